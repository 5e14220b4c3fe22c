//! A disk that fails, once or from some call on: the error has a kind, the session goes on or says
//! why not, and what was answered is what is found later.

use std::collections::BTreeSet;

use crate::change::{Change, Start, State, look, reopen};
use crate::child::{FAST, Task, calls, run, said, strace_works};
use crate::support::data::tell;
use crate::support::fixture::{copy, step_up, unlock};
use crate::sweep::{assert_all_met, points};

const FAULTS: [(&str, &str); 11] = [
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EIO"),
    ("fdatasync", "EIO"),
    ("fsync", "EIO"),
    ("ftruncate", "EIO"),
    ("unlink", "EIO"),
    ("openat", "ENOSPC"),
    ("write", "ENOSPC"),
    ("write", "EIO"),
    ("renameat", "EIO"),
    ("unlinkat", "EIO"),
];

#[test]
fn a_change_that_the_disk_refuses_is_what_was_answered() {
    if !strace_works() {
        return;
    }
    let start = Start::make();
    let (mut refused, mut succeeded) = (0, 0);
    let mut met = BTreeSet::new();
    for change in Change::all() {
        let (before, after) = start.before_and_after(change);
        for (name, error) in FAULTS {
            let counted = start.copy();
            for at in points(calls(change, &counted.vault(), name), 3) {
                // The child has to be able to say what came of it.
                let kept = if name == "write" {
                    &[""][..]
                } else {
                    &["", "+"]
                };
                met.insert(name);
                for for_good in kept {
                    let scratch = start.copy();
                    let inject = format!("inject=?{name}:error={error}:when={at}{for_good}");
                    let trace = format!("trace=?{name}");
                    let words = [FAST, "-o", "/dev/null", "-e", &trace, "-e", &inject];
                    let output = run(Task::Change(change), &scratch.vault(), &words);
                    let here = format!("{change:?}, {inject}: {output:?}");
                    assert!(output.status.success(), "{here}");
                    let said = |word| said(&output, word).expect(&here);
                    let outcome = said("outcome");
                    match outcome.as_str() {
                        "ok" => succeeded += 1,
                        "Io" | "StorageFull" | "ReadOnly" => refused += 1,
                        _ => panic!("{here}"),
                    }
                    let found = reopen(&scratch.vault());
                    let had_later = found.seen.contains_key("later");
                    let found = found.without("later");
                    let possible = |state: &State| {
                        *state == after
                            || (outcome != "ok" && *state == before)
                            || (change == Change::EraseExpired && state.is_between(&before, &after))
                    };
                    assert!(possible(&found), "{here}\n{found:#?}");
                    // The session shows all of it or nothing, or says that it cannot look.
                    let seen = said("seen");
                    let whole = [&before, &after].map(|state| state.digest().to_string());
                    let typed = ["Io", "StorageFull", "ReadOnly"].contains(&seen.as_str());
                    assert!(typed || whole.contains(&seen), "{here}");
                    if outcome == "ok" && !typed {
                        assert_eq!(seen, whole[1], "{here}");
                    }
                    if said("later") == "ok" {
                        assert!(had_later, "{here}");
                        // What the session showed when it wrote on is what stays.
                        assert_eq!(said("seen again"), found.digest().to_string(), "{here}");
                    }
                    assert_eq!(said("end"), "locked", "{here}");
                }
            }
        }
    }
    tell(&format!(
        "{} faults: {refused} changes refused, {succeeded} done",
        refused + succeeded
    ));
    assert_all_met(FAULTS.map(|(name, _)| name), &met);
    assert!(refused > 50 && succeeded > 50, "{refused} {succeeded}");
}

#[test]
fn where_nothing_at_all_can_be_written_a_vault_opens_and_releases_nothing_that_it_cannot_record() {
    if !strace_works() {
        return;
    }
    let start = Start::make();
    let scratch = start.copy();
    let crashed = scratch.path().join("crashed");
    let full = {
        let vault = vitalock::Vault::open(scratch.vault()).unwrap();
        let session = unlock(&vault);
        let lease = step_up(&session);
        Change::PutLarge.run(&lease).unwrap();
        Change::PutInThreeClasses.run(&lease).unwrap();
        // As a crash leaves it: everything is still in the logs.
        copy(&scratch.vault(), &crashed);
        look(&lease).unwrap().digest().to_string()
    };
    let words = [
        "-o",
        "/dev/null",
        "-e",
        "trace=pwrite64",
        "-e",
        "inject=pwrite64:error=ENOSPC",
    ];
    let output = run(Task::Change(Change::Put), &crashed, &words);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said(&output, "outcome").as_deref(), Some("StorageFull"));
    assert_eq!(said(&output, "seen").as_deref(), Some("StorageFull"));
    assert_eq!(
        reopen(&crashed).digest().to_string(),
        full,
        "and nothing is lost"
    );
}
