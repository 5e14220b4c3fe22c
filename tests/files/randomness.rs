//! No random bytes: a typed error and nothing half done.

use std::path::Path;

use vitalock::{ErrorKind, Query, Record, Vault};

use crate::child::{PAST, line};
use crate::interrupted::stands_or_can_be_made;
use crate::process::{factors, make_plain, may_trace, run};
use crate::support::{Scratch, words};
use crate::trace::{between, calls, traced};
use crate::tree::tree;

const REFUSED: &str = "RandomUnavailable";

/// Runs a child whose call number `number` for random bytes fails, or none; what it said.
fn without_random(scratch: &Scratch, words: &str, number: Option<usize>) -> Vec<String> {
    let inject = number.map(|number| format!("inject=getrandom:error=EIO:when={number}"));
    let mut options = vec!["-e", "trace=getrandom,write"];
    if let Some(inject) = &inject {
        options.extend(["-e", inject]);
    }
    let (command, _) = traced(scratch, &options, words);
    let (said, status, rest) = run(command);
    assert!(status.success(), "{number:?}: {said:?}: {rest}");
    said
}

/// The numbers of the calls for random bytes between two lines of a child that none fails.
fn numbers(scratch: &Scratch, to: &str) -> Vec<usize> {
    let all = calls(&scratch.path().join("trace"));
    let calls = between(&all, "begin", to).iter();
    let calls = calls.filter(|call| call.name == "getrandom");
    let numbers: Vec<usize> = calls.map(|call| call.number).collect();
    assert!(numbers.iter().all(|number| *number > PAST), "{numbers:?}");
    numbers
}

/// Each number, or a part of them when nobody asked for all.
fn chosen(numbers: &[usize]) -> impl Iterator<Item = usize> {
    let soak = std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let every = if soak { 1 } else { numbers.len().div_ceil(30) };
    numbers.iter().copied().step_by(every)
}

#[test]
fn no_vault_is_half_made_for_want_of_random_bytes() {
    if !may_trace("no_vault_is_half_made_for_want_of_random_bytes") {
        return;
    }
    let scratch = Scratch::new();
    let said = without_random(&scratch, &line("create", &scratch.vault()), None);
    assert_eq!(said, ["begin", "made"]);
    let numbers = numbers(&scratch, "made");
    assert!(numbers.len() > 15, "{numbers:?}");
    for number in chosen(&numbers) {
        let scratch = Scratch::new();
        let words = line("create", &scratch.vault());
        let said = without_random(&scratch, &words, Some(number));
        assert_eq!(said, ["begin", REFUSED], "at call {number}");
        assert!(
            !stands_or_can_be_made(&scratch.vault()),
            "at call {number}: an error is no vault"
        );
    }
}

#[test]
fn no_change_is_half_made_for_want_of_random_bytes() {
    if !may_trace("no_change_is_half_made_for_want_of_random_bytes") {
        return;
    }
    let fresh = || {
        let scratch = Scratch::new();
        drop(make_plain(&scratch.vault(), &words()).unwrap());
        scratch
    };
    let scratch = fresh();
    let said = without_random(&scratch, &line("use", &scratch.vault()), None);
    let steps = ["begin", "unlocked", "first", "second", "third", "done"];
    assert_eq!(said, steps);
    let numbers = numbers(&scratch, "done");
    assert!(numbers.len() > 15, "{numbers:?}");
    let mut refused = 0;
    for number in chosen(&numbers) {
        let scratch = fresh();
        let before = tree(&scratch.vault());
        let said = without_random(&scratch, &line("use", &scratch.vault()), Some(number));
        if said == steps {
            // A log that could not be emptied when the vault was closed is read again.
            assert_eq!(count(&scratch.vault()), 4, "{number}");
            continue;
        }
        refused += 1;
        assert_eq!(said.last().map(String::as_str), Some(REFUSED), "{number}");
        let reached = said.len() - 1;
        assert_eq!(said[..reached], steps[..reached], "{number}");
        if reached <= 1 {
            assert_eq!(tree(&scratch.vault()), before, "{number}: nothing changed");
        }
        let records = [0, 0, 0, 1, 2, 4][reached];
        assert_eq!(count(&scratch.vault()), records, "{number}: {said:?}");
    }
    assert!(refused > 5, "only {refused} changes were refused");
}

/// How many records a vault has in every class.
fn count(dir: &Path) -> u64 {
    let words = words();
    let vault = Vault::open(dir).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    let lease = session.step_up(&factors(&words)).unwrap();
    let counted = lease.count(&Query::new()).unwrap();
    let opened = lease.query(&Query::new());
    let opened: Vec<Record> = opened.map(|record| record.unwrap()).collect();
    assert_eq!(u64::try_from(opened.len()).unwrap(), counted);
    counted
}

#[test]
fn the_kind_has_the_name_that_the_other_process_says() {
    assert_eq!(format!("{:?}", ErrorKind::RandomUnavailable), REFUSED);
}
