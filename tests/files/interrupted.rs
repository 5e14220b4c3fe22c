//! Killed at a system call while it makes a vault: afterwards there is a whole vault or a place to
//! make one, never half of one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use vitalock::{ErrorKind, Record, Vault};

use crate::child::{PAST, line};
use crate::process::{factors, make_plain, may_trace, run};
use crate::support::{Scratch, words};
use crate::trace::{Call, between, calls, traced};

/// What changes a disk.
const CHANGES: &str = "mkdirat,openat,fchmod,fsync,fdatasync,write,pwrite64,ftruncate,renameat,\
                       unlink,unlinkat,fchown,close";
/// How many places of death are tried when nobody asked for all.
const SOME: usize = 30;

#[test]
fn a_vault_whose_making_is_killed_anywhere_is_whole_or_can_be_made_again() {
    if !may_trace("a_vault_whose_making_is_killed_anywhere_is_whole_or_can_be_made_again") {
        return;
    }
    let (mut whole, mut again) = (0, 0);
    for death in chosen(&changes(), 16) {
        let (scratch, said, status) = make_with(&death, "signal=KILL");
        assert_eq!(said, ["begin"], "{death:?}");
        assert_eq!(status.signal(), Some(9), "{death:?}");
        if stands_or_can_be_made(&scratch.vault()) {
            whole += 1;
        } else {
            again += 1;
        }
    }
    assert!(whole > 0 && again > 0, "{whole} {again}");
}

#[test]
fn a_vault_whose_making_fails_anywhere_is_whole_or_can_be_made_again() {
    if !may_trace("a_vault_whose_making_fails_anywhere_is_whole_or_can_be_made_again") {
        return;
    }
    let (mut made, mut failed) = (0, 0);
    let changes = changes();
    let changes: Vec<Call> = changes
        .into_iter()
        .filter(|call| call.name != "close")
        .collect();
    for change in chosen(&changes, 12) {
        let (scratch, said, status) = make_with(&change, "error=EIO");
        assert!(status.success(), "{change:?}: {said:?}");
        let there = stands_or_can_be_made(&scratch.vault());
        match said[1].as_str() {
            "made" => {
                assert!(there, "{change:?}");
                made += 1;
            }
            "Io" | "ReadOnly" => {
                assert!(!there, "{change:?}: an error is no vault");
                failed += 1;
            }
            other => panic!("{change:?}: {other}"),
        }
    }
    assert!(made > 0 && failed > 10, "{made} {failed}");
}

/// What making a vault does to a disk, call by call.
fn changes() -> Vec<Call> {
    let scratch = Scratch::new();
    let trace = format!("trace={CHANGES}");
    let words = line("create", &scratch.vault());
    let (command, log) = traced(&scratch, &["-e", &trace], &words);
    let (said, status, rest) = run(command);
    assert!(status.success(), "{rest}");
    assert_eq!(said, ["begin", "made"]);
    let all = calls(&log);
    let changes = between(&all, "begin", "made")[1..].to_vec();
    assert!(changes.len() > 50, "{}", changes.len());
    let shared = ["close", "openat", "write"];
    let mut shared = changes
        .iter()
        .filter(|call| shared.contains(&call.name.as_str()));
    assert!(shared.all(|call| call.number > PAST));
    changes
}

/// Every call, or a part of them when nobody asked for all: the last ones, where a vault comes to
/// be, in any case.
fn chosen(changes: &[Call], last: usize) -> Vec<Call> {
    let soak = std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let every = if soak {
        1
    } else {
        changes.len().div_ceil(SOME)
    };
    let last = changes.len() - last;
    let chosen = changes.iter().enumerate();
    let chosen = chosen.filter(|(at, _)| at % every == 0 || *at >= last);
    chosen.map(|(_, call)| call.clone()).collect()
}

/// Makes a vault in another process, where one call does not do what it should.
fn make_with(call: &Call, effect: &str) -> (Scratch, Vec<String>, ExitStatus) {
    let scratch = Scratch::new();
    let (trace, words) = (format!("trace={CHANGES}"), line("create", &scratch.vault()));
    let inject = format!("inject={}:{effect}:when={}", call.name, call.number);
    let (command, _) = traced(&scratch, &["-e", &trace, "-e", &inject], &words);
    let (said, status, _) = run(command);
    (scratch, said, status)
}

/// Uses a vault that is there, or makes one where none came to be; whether one was there.
pub(crate) fn stands_or_can_be_made(dir: &Path) -> bool {
    let words = words();
    let (vault, was_there) = match Vault::open(dir) {
        Ok(vault) => (vault, true),
        Err(error) => {
            let kinds = [ErrorKind::VaultIncomplete, ErrorKind::VaultNotFound];
            assert!(kinds.contains(&error.kind()), "{error}");
            (make_plain(dir, &words).unwrap(), false)
        }
    };
    assert!(!dir.join("setup").exists());
    let session = vault.unlock(&factors(&words)).unwrap();
    let stored = session.put(Record::new("Note", "whole")).unwrap();
    assert_eq!(session.get(stored.id).unwrap().unwrap().body(), b"whole");
    drop(session.step_up(&factors(&words)).unwrap());
    session.lock();
    assert_eq!(
        fs::read(dir.join("header")).unwrap(),
        fs::read(dir.join("header.2")).unwrap()
    );
    was_there
}
