//! Killed before its first, its second, ... write: a change happens whole or not at all.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;

use crate::change::{Change, Start, reopen};
use crate::child::{Task, calls, run, strace_works};
use crate::support::data::tell;
use crate::support::fixture::found_in_files;

/// The calls by which a change reaches the disk.
const CALLS: [&str; 9] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "unlink",
    "openat",
    "write",
    "renameat",
    "unlinkat",
];

const SIGKILL: i32 = 9;

#[test]
fn a_change_that_is_killed_at_any_call_is_there_whole_or_not_at_all() {
    if !strace_works() {
        return;
    }
    let start = Start::make();
    let (mut killed, mut kept, mut undone) = (0, 0, 0);
    let mut met = BTreeSet::new();
    for change in Change::all() {
        let (before, after) = start.before_and_after(change);
        let traces = change.traces(&start);
        let control = found_in_files(&start.path(), &traces);
        assert!(
            control.len() >= traces.len(),
            "{change:?}: the traces are there at first"
        );
        for name in CALLS {
            let counted = start.copy();
            for at in points(calls(change, &counted.vault(), name), 5) {
                let scratch = start.copy();
                let inject = format!("inject=?{name}:signal=SIGKILL:when={at}");
                let trace = format!("trace=?{name}");
                let words = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
                let output = run(Task::Change(change), &scratch.vault(), &words);
                let died = output.status.signal() == Some(SIGKILL);
                assert!(died || output.status.success(), "{output:?}");
                killed += usize::from(died);
                met.insert(name);
                let state = reopen(&scratch.vault()).without("later");
                let whole = state == before
                    || state == after
                    || (change == Change::EraseExpired && state.is_between(&before, &after));
                assert!(
                    whole,
                    "{change:?} killed at {name} {at}: {state:#?}\n{before:#?}\n{after:#?}"
                );
                kept += usize::from(state == after);
                undone += usize::from(state == before);
                if state == after {
                    let found = found_in_files(&scratch.vault(), &traces);
                    assert!(
                        found.is_empty(),
                        "{change:?} killed at {name} {at}: {found:?}"
                    );
                }
            }
        }
    }
    tell(&format!(
        "{killed} kills: {kept} changes done, {undone} not"
    ));
    assert_all_met(CALLS, &met);
    // The sweep met both sides of the point at which a change counts.
    assert!(
        killed > 100 && kept > 20 && undone > 20,
        "{killed} {kept} {undone}"
    );
}

/// A call that no change makes would be swept by nobody.
pub(crate) fn assert_all_met<'a>(
    names: impl IntoIterator<Item = &'a str>,
    met: &BTreeSet<&'a str>,
) {
    for name in names {
        // Some processors lack the one, and SQLite is compiled to make the one flush or the other.
        let instead = match name {
            "unlink" => "unlinkat",
            "fdatasync" => "fsync",
            _ => name,
        };
        let any = met.contains(name) || met.contains(instead);
        assert!(any, "no change calls {name}");
    }
}

/// Every call in the long form, a spread of them in the short one.
pub(crate) fn points(all: Vec<usize>, short: usize) -> Vec<usize> {
    let most = if soak() { usize::MAX } else { short };
    if all.len() <= most {
        return all;
    }
    (0..most)
        .map(|at| all[at * (all.len() - 1) / (most - 1)])
        .collect()
}

pub(crate) fn soak() -> bool {
    std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1")
}
