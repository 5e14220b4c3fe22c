//! What takes a process of its own: limits and settings that hold for a whole process.

use std::path::Path;

use rusqlite::ffi::{SQLITE_CONFIG_SINGLETHREAD, SQLITE_OK, sqlite3_config};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vitalock::{Credentials, Kdf, KdfParameters, Options, Query, Vault};

use crate::canary::{describe, record, words};
use crate::process::{Device, factors, make_plain, say, told};

#[test]
#[ignore = "the other process of this binary's tests"]
fn another_process() {
    let Some(told) = told() else { return };
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    let [verb, dir] = told[..] else {
        panic!("told nothing that is known: {told:?}");
    };
    let dir = Path::new(dir);
    let done = match verb {
        "create" => make_plain(dir, &words()).map(drop),
        "little memory" => with_little_memory(dir),
        "single-threaded" => single_threaded(dir),
        "small files" => with_small_files(dir),
        "use" => use_it(dir),
        _ => panic!("told nothing that is known: {told:?}"),
    };
    say(&done.map_or_else(|error| describe(&error), |()| "done".to_owned()));
}

fn with_little_memory(dir: &Path) -> vitalock::Result<()> {
    limit(Resource::As, 700 * 1024 * 1024);
    let words = words();
    let options = Options::new().kdf(Kdf::Fixed(KdfParameters::CEILING));
    let credentials = Credentials::passphrase(&words).and(&Device);
    let setup = Vault::create(dir, options, credentials)?;
    setup.dangerous_without_recovery().map(drop)
}

#[expect(unsafe_code, reason = "sqlite3_config is C")]
fn single_threaded(dir: &Path) -> vitalock::Result<()> {
    // SAFETY: this option takes no argument, and no other thread uses SQLite yet.
    let code = unsafe { sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) };
    assert_eq!(code, SQLITE_OK);
    make_plain(dir, &words()).map(drop)
}

fn with_small_files(dir: &Path) -> vitalock::Result<()> {
    limit(Resource::Fsize, 100);
    make_plain(dir, &words()).map(drop)
}

fn use_it(dir: &Path) -> vitalock::Result<()> {
    let words = words();
    let vault = Vault::open(dir)?;
    let session = vault.unlock(&factors(&words))?;
    let stored = session.put(record())?;
    for record in session.query(&Query::new()) {
        record?;
    }
    session.erase(stored.id)?;
    let lease = session.step_up(&factors(&words))?;
    lease.slots().add_emergency().map(drop)
}

fn limit(resource: Resource, most: u64) {
    let maximum = getrlimit(resource).maximum;
    let limit = Rlimit {
        current: Some(most),
        maximum,
    };
    setrlimit(resource, limit).unwrap();
}
