//! A process whose SQLite cannot be used from several threads.
#![expect(unsafe_code, reason = "sqlite3_config is C")]

use std::path::Path;

use rusqlite::ffi::{SQLITE_CONFIG_SINGLETHREAD, SQLITE_OK, sqlite3_config};

use crate::child::line;
use crate::process::{elsewhere, make_plain, run, say};
use crate::support::{Scratch, words};

/// In the other process: what a host may have done before it opens a vault.
pub(crate) fn single_threaded(dir: &Path) {
    // SAFETY: this option takes no argument, and no other thread uses SQLite yet.
    let code = unsafe { sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) };
    assert_eq!(code, SQLITE_OK);
    let made = make_plain(dir, &words());
    say(&made.map_or_else(|error| format!("{:?}", error.kind()), |_| "made".to_owned()));
}

#[test]
fn an_sqlite_without_mutexes_is_not_used() {
    let scratch = Scratch::new();
    let (said, status, rest) = run(elsewhere(&line("single-threaded", &scratch.vault())));
    assert!(status.success(), "{rest}");
    assert_eq!(said, ["SqliteUnsuitable"]);
    let opened = vitalock::Vault::open(scratch.vault()).unwrap_err();
    assert_eq!(opened.kind(), vitalock::ErrorKind::VaultIncomplete);
    drop(make_plain(&scratch.vault(), &words()).unwrap());
}
