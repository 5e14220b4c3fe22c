//! What a whole life of a vault asks of the operating system.

use std::collections::BTreeSet;

use crate::child::line;
use crate::process::{may_trace, run};
use crate::support::Scratch;
use crate::trace::{Call, between, calls, traced};

#[test]
fn a_vault_stays_in_its_directory_and_makes_every_commit_durable() {
    if !may_trace("a_vault_stays_in_its_directory_and_makes_every_commit_durable") {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.path().canonicalize().unwrap().join("vault");
    let options = ["-e", "trace=%file,%desc,%network"];
    let (command, log) = traced(&scratch, &options, &line("watched workflow", &dir));
    let (said, status, rest) = run(command);
    assert!(status.success(), "{said:?}: {rest}");
    let all = calls(&log);
    let calls = between(&all, "begin", "end");
    let dir = dir.to_str().unwrap();

    nothing_is_written_elsewhere(calls, dir);
    only_known_places_are_read(calls, dir);
    what_is_made_is_private_from_the_first_moment(calls, dir);
    a_database_belongs_to_sqlite_alone(calls, dir);
    every_commit_is_flushed(calls);
    a_header_is_replaced_in_order(calls, dir);
    let network: Vec<_> = calls.iter().filter(|call| is_network(call)).collect();
    assert!(network.is_empty(), "{network:?}");
}

/// The control is the test above: the same calls find what a vault on the disk does.
#[test]
fn a_vault_in_memory_makes_changes_and_opens_no_file() {
    if !may_trace("a_vault_in_memory_makes_changes_and_opens_no_file") {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.path().canonicalize().unwrap().join("vault");
    let options = ["-e", "trace=%file,%desc,%network"];
    let (command, log) = traced(&scratch, &options, &line("in memory", &dir));
    let (said, status, rest) = run(command);
    assert!(status.success(), "{said:?}: {rest}");
    let all = calls(&log);
    let calls = between(&all, "begin", "end");
    for call in calls {
        assert!(written(call).is_empty(), "{call:?}");
        if let Some((path, flags, _)) = call.opened() {
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
            assert!(!writes.iter().any(|flag| flags.contains(flag)), "{call:?}");
            assert!(!path.starts_with(dir.to_str().unwrap()), "{call:?}");
        }
    }
    let network: Vec<_> = calls.iter().filter(|call| is_network(call)).collect();
    assert!(network.is_empty(), "{network:?}");
}

/// Which arguments of a call name something that it makes, changes or removes.
fn written(call: &Call) -> &'static [usize] {
    match call.name.as_str() {
        "mkdir" | "rmdir" | "unlink" | "chmod" | "chown" | "lchown" | "truncate" | "mknod"
        | "utime" | "utimes" | "setxattr" => &[0],
        "mkdirat" | "unlinkat" | "fchmodat" | "fchmodat2" | "fchownat" | "mknodat"
        | "utimensat" => &[1],
        "rename" | "link" => &[0, 1],
        "renameat" | "renameat2" | "linkat" => &[1, 3],
        "symlink" => &[1],
        "symlinkat" => &[2],
        _ => &[],
    }
}

fn nothing_is_written_elsewhere(calls: &[Call], dir: &str) {
    let inside = |path: &str| path == dir || path.starts_with(&format!("{dir}/"));
    let mut made = BTreeSet::new();
    for call in calls {
        for &at in written(call) {
            assert!(inside(&call.path(at)), "{call:?}");
        }
        if let Some((path, flags, _)) = call.opened() {
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
            if writes.iter().any(|flag| flags.contains(flag)) {
                assert!(inside(&path), "{call:?}");
                made.insert(path.rsplit('/').next().unwrap().to_owned());
            }
        }
    }
    let expected = [
        "attempts",
        "emergency.db",
        "emergency.db-wal",
        "header.draft",
        "lock",
        "priority.db",
        "priority.db-wal",
        "reserve",
        "setup",
        "standard.db",
        "standard.db-wal",
    ];
    assert_eq!(made.into_iter().collect::<Vec<_>>(), expected);
}

fn only_known_places_are_read(calls: &[Call], dir: &str) {
    let known = ["/dev/urandom", "/etc/", "/proc/", "/sys/", "/usr/", "/lib"];
    for call in calls {
        let Some((path, ..)) = call.opened() else {
            continue;
        };
        let above = dir.starts_with(&path);
        let inside = path.starts_with(dir);
        let allowed = known.iter().any(|known| path.starts_with(known));
        assert!(above || inside || allowed, "{call:?}");
    }
}

fn what_is_made_is_private_from_the_first_moment(calls: &[Call], dir: &str) {
    let (mut ours, mut of_sqlite) = (0, 0);
    for call in calls {
        let Some((path, flags, mode)) = call.opened() else {
            continue;
        };
        // SQLite opens the directory itself by path, to flush it.
        if path.starts_with(dir) && (path != dir || call.is_relative()) {
            assert!(flags.contains("O_NOFOLLOW"), "{call:?}");
        }
        if path.starts_with(dir) {
            assert!(flags.contains("O_CLOEXEC"), "{call:?}");
        }
        if flags.contains("O_CREAT") {
            assert_eq!(mode, Some("0600"), "{call:?}");
            if call.is_relative() {
                assert!(flags.contains("O_EXCL"), "{call:?}");
                ours += 1;
            } else {
                assert!(path.ends_with(".db-wal"), "{call:?}");
                of_sqlite += 1;
            }
        }
    }
    assert!(ours > 5 && of_sqlite > 3, "{ours} {of_sqlite}");
    let mut made = calls.iter().filter(|call| call.name.starts_with("mkdir"));
    assert!(made.all(|call| call.args.last().unwrap() == "0700"));
}

/// Ours is the file before SQLite has ever seen it, and never again.
fn a_database_belongs_to_sqlite_alone(calls: &[Call], dir: &str) {
    for name in ["emergency.db", "standard.db", "priority.db"] {
        for file in [name.to_owned(), format!("{name}-wal")] {
            let path = format!("{dir}/{file}");
            let mut ours = Vec::new();
            let mut of_sqlite = Vec::new();
            for (at, call) in calls.iter().enumerate() {
                match call.opened() {
                    Some((opened, ..)) if opened == path && call.is_relative() => {
                        ours.push((at, call));
                    }
                    Some((opened, ..)) if opened == path => of_sqlite.push(at),
                    _ => {}
                }
            }
            let first = *of_sqlite.first().unwrap();
            if file == name {
                let [(made, call)] = ours[..] else {
                    panic!("opened {} times: {ours:?}", ours.len());
                };
                assert!(call.args[2].contains("O_CREAT|O_EXCL"), "{call:?}");
                let closed = calls[made..]
                    .iter()
                    .position(|call| call.name == "close" && call.file() == path);
                assert!(made + closed.unwrap() < first, "closed before SQLite opens");
            } else {
                assert!(ours.is_empty(), "{ours:?}");
            }
        }
    }
}

fn every_commit_is_flushed(calls: &[Call]) {
    let is_flush = |call: &Call| call.name == "fsync" || call.name == "fdatasync";
    let is_log = |call: &Call| call.file().ends_with(".db-wal");
    let mut commits = 0;
    let mut begun = None;
    for (at, call) in calls.iter().enumerate() {
        match call.said() {
            Some("commit") => begun = Some(at),
            Some("committed") => {
                // What the timer writes meanwhile is its own affair.
                let during = calls[begun.take().unwrap()..at].iter();
                let during = during.filter(|other| other.process == call.process);
                let during: Vec<_> = during.collect();
                let wrote = during
                    .iter()
                    .rposition(|call| call.name.starts_with("pwrite") && is_log(call));
                let flushed = during
                    .iter()
                    .rposition(|call| is_flush(call) && is_log(call));
                assert!(wrote.is_some() && flushed > wrote, "{during:#?}");
                commits += 1;
            }
            _ => {}
        }
    }
    assert_eq!(commits, 7);
}

fn a_header_is_replaced_in_order(calls: &[Call], dir: &str) {
    let draft = format!("{dir}/header.draft");
    let mut replaced = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        if !call.name.starts_with("rename") {
            continue;
        }
        assert_eq!(call.path(1), draft);
        replaced.push(call.path(3).replace(dir, ""));
        let before = &calls[..at];
        let last = |found: &dyn Fn(&Call) -> bool| before.iter().rposition(found).unwrap();
        let made = last(&|call| {
            call.opened()
                .is_some_and(|(path, flags, _)| path == draft && flags.contains("O_EXCL"))
        });
        let wrote = last(&|call| call.name == "write" && call.file() == draft);
        let flushed = last(&|call| call.name == "fsync" && call.file() == draft);
        assert!(made < wrote && wrote < flushed, "{call:?}");
        let touches = |call: &&Call| {
            call.name == "fsync" || call.name.starts_with("rename") || call.said().is_some()
        };
        let next = calls[at + 1..].iter().find(touches).unwrap();
        assert_eq!((next.name.as_str(), next.file()), ("fsync", dir));
    }
    let made = ["/attempts", "/header.2", "/header"];
    assert_eq!(replaced[..3], made, "while it is made");
    assert_eq!(replaced[3..5], ["/header", "/header.2"], "when it changes");
    assert!(replaced.len() >= 7, "{replaced:?}");
}

fn is_network(call: &Call) -> bool {
    let names = [
        "accept",
        "bind",
        "connect",
        "getpeername",
        "getsockname",
        "getsockopt",
        "listen",
        "recv",
        "send",
        "setsockopt",
        "shutdown",
        "socket",
    ];
    call.name != "sendfile" && names.iter().any(|name| call.name.starts_with(name))
}
