//! Whatever the umask: 0700 and 0600, ours, and nothing beside what the format names.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::child::line;
use crate::process::{STRANGER, Talking, elsewhere, elsewhere_as, give_away};
use crate::support::Scratch;
use crate::tree::{Found, names};

const NAMES: [&str; 14] = [
    "",
    "attempts",
    "emergency.db",
    "emergency.db-wal",
    "events",
    "header",
    "header.2",
    "header.draft",
    "lock",
    "priority.db",
    "priority.db-wal",
    "reserve",
    "standard.db",
    "standard.db-wal",
];

#[test]
fn every_file_is_private_at_every_step_whatever_the_umask() {
    let root = rustix::process::geteuid().is_root();
    for mask in ["000", "022", "077", "777"] {
        let scratch = Scratch::new();
        let dir = scratch.vault();
        let words = line(&format!("workflow\t{mask}"), &dir);
        // Root writes and enters whatever the mode says, so somebody else does it.
        let (command, owner) = if root {
            give_away(scratch.path());
            (elsewhere_as(STRANGER, &words), STRANGER)
        } else {
            (elsewhere(&words), rustix::process::geteuid().as_raw())
        };
        let (over, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            // Also between the steps: what others may do is never more than at them.
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for found in names(&dir) {
                        assert_eq!(found.mode & 0o7077, 0, "{mask}: {found:?}");
                    }
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
            let mut child = Talking::start(command);
            let (mut steps, mut logs) = (Vec::new(), 0);
            while let Some(step) = child.hear() {
                logs += check(&dir, owner, &step, mask);
                steps.push(step);
                child.go_on();
            }
            let (status, rest) = child.end();
            over.store(true, Ordering::Relaxed);
            assert!(status.success(), "{mask}: after {steps:?}: {rest}");
            assert_eq!(steps.last().map(String::as_str), Some("end"));
            assert!(logs > 10, "the log was seen while the vault was open");
        });
        assert!(looks.load(Ordering::Relaxed) > 10);
    }
}

/// Checks a vault's directory at a step; how many logs there are.
fn check(dir: &Path, owner: u32, step: &str, mask: &str) -> usize {
    let found = names(dir);
    if step == "begin" {
        assert_eq!(found, [], "nothing is made before the code is typed back");
        return 0;
    }
    for Found {
        name,
        kind,
        mode,
        owner: of,
        ..
    } in &found
    {
        let (right, wanted) = if name.is_empty() {
            (0o700, "directory")
        } else {
            (0o600, "file")
        };
        assert_eq!((*mode, *kind), (right, wanted), "{name} at {step}, {mask}");
        assert_eq!(*of, owner, "{name} at {step}, {mask}");
        assert!(NAMES.contains(&name.as_str()), "{name} at {step}, {mask}");
    }
    let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
    let logs = names.iter().filter(|name| name.ends_with("-wal")).count();
    if ["made", "locked", "dropped", "end"].contains(&step) {
        assert_eq!(logs, 0, "{step}: {names:?}");
    }
    for name in ["attempts", "header", "header.2", "lock", "standard.db"] {
        assert!(names.contains(&name), "{name} at {step}");
    }
    logs
}
