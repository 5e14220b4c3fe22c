//! Shrinking that is killed, or whose disk fails, at any call by which it reaches the medium.

use std::fs;
use std::path::Path;

use crate::loose::{Loose, bodies_in};
use crate::process::{elsewhere_below, may_trace, run};
use crate::support::data::tell;
use crate::support::fixture::{assert_whole_and_settled, step_up, unlock};

const CALLS: [&str; 4] = ["pwrite64", "fdatasync", "fsync", "ftruncate"];

/// At how many of each call it is killed, unless all are asked for.
const POINTS: usize = 6;

#[test]
fn shrinking_killed_at_any_call_loses_nothing_and_goes_on_later() {
    if !may_trace("shrinking_killed_at_any_call_loses_nothing_and_goes_on_later") {
        return;
    }
    let loose = Loose::make();
    let whole = loose.copy();
    let all = calls(&whole.vault());
    let mut killed = 0;
    for (name, range) in CALLS.into_iter().zip(all) {
        for at in points(range) {
            let scratch = loose.copy();
            let inject = format!("inject={name}:signal=SIGKILL:when={at}");
            let (_, status, _) = traced(&scratch.vault(), name, &inject);
            killed += usize::from(!status.success());
            assert!(bodies_in(&scratch.vault()) == loose.bodies, "{name} {at}");
            assert_whole_and_settled(&scratch.vault());
            finish(&scratch.vault());
            assert!(bodies_in(&scratch.vault()) == loose.bodies, "{name} {at}");
            let (now, whole) = (lengths(&scratch.vault()), lengths(&whole.vault()));
            // What differs is how often it was unlocked, which the audit trails say.
            let alike = now
                .iter()
                .zip(&whole)
                .all(|(now, whole)| now.abs_diff(*whole) <= 2 * 4096);
            assert!(alike, "{name} {at}: {now:?} {whole:?}");
        }
    }
    assert!(killed >= 12, "{killed}");
    tell(&format!("{killed} kills while shrinking"));
}

#[test]
fn a_disk_that_fails_while_shrinking_is_reported_by_kind_and_loses_nothing() {
    if !may_trace("a_disk_that_fails_while_shrinking_is_reported_by_kind_and_loses_nothing") {
        return;
    }
    let loose = Loose::make();
    let counted = loose.copy();
    let all = calls(&counted.vault());
    let (mut refused, mut kinds) = (0, Vec::new());
    for (name, range) in CALLS.into_iter().zip(all) {
        for error in ["EIO", "ENOSPC"] {
            for at in points(range.clone()).into_iter().step_by(2) {
                for for_good in ["", "+"] {
                    let scratch = loose.copy();
                    let inject = format!("inject={name}:error={error}:when={at}{for_good}");
                    let (said, status, rest) = traced(&scratch.vault(), name, &inject);
                    assert!(status.success(), "{inject}: {rest}");
                    let [_, outcome, _] = said.as_slice() else {
                        panic!("{inject}: {said:?}")
                    };
                    if outcome != "ok" {
                        assert!(["Io", "StorageFull"].contains(&&**outcome), "{outcome}");
                        refused += 1;
                        kinds.push(outcome.clone());
                    }
                    assert!(bodies_in(&scratch.vault()) == loose.bodies, "{inject}");
                    assert_whole_and_settled(&scratch.vault());
                }
            }
        }
    }
    kinds.sort();
    kinds.dedup();
    assert!(
        refused > 20 && kinds == ["Io", "StorageFull"],
        "{refused} {kinds:?}"
    );
}

/// Runs the other process under strace.
fn traced(dir: &Path, name: &str, inject: &str) -> (Vec<String>, std::process::ExitStatus, String) {
    let trace = format!("trace={name}");
    let words = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", inject];
    run(elsewhere_below("strace", &words, &told(dir)))
}

/// How often each call is made before shrinking begins and until it ends.
fn calls(dir: &Path) -> [std::ops::Range<usize>; 4] {
    let log = dir.with_extension("calls");
    let words = ["-f", "-qq", "-o", log.to_str().unwrap()];
    let (said, ..) = run(elsewhere_below("strace", &words, &told(dir)));
    assert_eq!(said[..2], ["begin", "ok"]);
    let text = fs::read_to_string(log).unwrap();
    let (before, after) = text.split_at(text.find("@begin").unwrap());
    let (during, _) = after.split_at(after.find("@ok").unwrap());
    CALLS.map(|name| {
        let call = format!("{name}(");
        let from = before.matches(&call).count();
        from..from + during.matches(&call).count()
    })
}

fn told(dir: &Path) -> String {
    format!("shrink\t{}", dir.display())
}

/// Every call in the long form, a spread of them in the short one; the first is 1.
fn points(range: std::ops::Range<usize>) -> Vec<usize> {
    let all: Vec<usize> = range.map(|call| call + 1).collect();
    let soak = std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    if soak || all.len() <= POINTS {
        return all;
    }
    let spread = (0..POINTS).map(|at| all[at * (all.len() - 1) / (POINTS - 1)]);
    spread.collect()
}

fn finish(dir: &Path) {
    let vault = vitalock::Vault::open(dir).unwrap();
    let session = unlock(&vault);
    step_up(&session).shrink(u64::MAX).unwrap();
}

fn lengths(dir: &Path) -> [u64; 3] {
    let length = |name| fs::metadata(dir.join(name)).unwrap().len();
    crate::support::fixture::DATABASES.map(length)
}
