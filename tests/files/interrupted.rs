//! Killed at a system call while it makes a vault: afterwards there is a whole vault or a place to
//! make one, never half of one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use vitalock::{ErrorKind, Record, Vault};

use crate::child::{PAST, line};
use crate::process::{factors, make_plain, may_trace, run};
use crate::support::{Scratch, words};
use crate::trace::{Call, between, calls, traced};

/// What changes a disk.
const CHANGES: &str = "mkdirat,openat,fchmod,fsync,fdatasync,write,pwrite64,ftruncate,renameat,\
                       unlink,unlinkat,fchown,close";
/// How many places of death are tried when nobody asked for all.
const SOME: usize = 36;

#[test]
fn a_vault_whose_making_is_killed_anywhere_is_whole_or_can_be_made_again() {
    if !may_trace("a_vault_whose_making_is_killed_anywhere_is_whole_or_can_be_made_again") {
        return;
    }
    let scratch = Scratch::new();
    let trace = format!("trace={CHANGES}");
    let (command, log) = traced(&scratch, &["-e", &trace], &line("create", &scratch.vault()));
    let (said, status, rest) = run(command);
    assert!(status.success(), "{rest}");
    assert_eq!(said, ["begin", "made"]);
    let all = calls(&log);
    let deaths: Vec<&Call> = between(&all, "begin", "made").iter().skip(1).collect();
    assert!(deaths.len() > 50, "{}", deaths.len());
    let busy = ["close", "openat", "write"];
    let mut shared = deaths
        .iter()
        .filter(|call| busy.contains(&call.name.as_str()));
    assert!(shared.all(|call| call.number > PAST));
    let every = match std::env::var_os("VITALOCK_SOAK") {
        Some(_) => 1,
        None => deaths.len().div_ceil(SOME),
    };
    // The last steps, where a vault comes to be, are tried in any case.
    let last = deaths.len() - 16;
    let (mut whole, mut again) = (0, 0);
    for (at, death) in deaths.iter().enumerate() {
        if at % every != 0 && at < last {
            continue;
        }
        let scratch = Scratch::new();
        let dir = scratch.vault();
        let inject = format!("inject={}:signal=KILL:when={}", death.name, death.number);
        let (command, _) = traced(
            &scratch,
            &["-e", &trace, "-e", &inject],
            &line("create", &dir),
        );
        let (said, status, rest) = run(command);
        assert_eq!(said, ["begin"], "{death:?}: {rest}");
        assert_eq!(status.signal(), Some(9), "{death:?}");
        if stands_or_can_be_made(&dir) {
            whole += 1;
        } else {
            again += 1;
        }
    }
    assert!(whole > 0 && again > 0, "{whole} {again}");
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
