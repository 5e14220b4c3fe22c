//! What an attacker learns from a vault's files alone.
//!
//! ```text
//! cargo run --release --example leak_report -- [DIR [OLDER COPY OF DIR]]
//! ```
//!
//! Without a directory it makes a vault of its own, copies it, writes some more and compares.
#![allow(
    clippy::print_stderr,
    reason = "a program for a terminal says what went wrong"
)]

#[path = "support/footprint.rs"]
mod footprint;

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, io};

use footprint::{Files, read, report};
use vitalock::{Batch, Credentials, Kdf, KdfParameters, Options, Passphrase, Record, Vault};

/// Enough for a slot without a key store. An app asks for it and never has it in its code.
const WORDS: &[u8] = b"four quiet herons wade at dawn";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let done = match arguments.as_slice() {
        [] => of_its_own(),
        [dir] => of_a_vault(dir, None),
        [dir, older] => of_a_vault(dir, Some(older)),
        _ => {
            eprintln!("usage: leak_report [DIR [OLDER COPY OF DIR]]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leak_report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn of_a_vault(dir: &Path, older: Option<&PathBuf>) -> Result<(), Box<dyn Error>> {
    let older = older.map(|dir| read(dir)).transpose()?;
    print(&read(dir)?, older.as_ref())
}

fn of_its_own() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path().join("vault");
    let words = Passphrase::new(WORDS)?;
    let factors = Credentials::passphrase(&words);
    // The least that a vault accepts: nothing here is worth guessing.
    let options = Options::new().kdf(Kdf::Fixed(KdfParameters::FLOOR));
    let vault = Vault::create(&dir, options, factors)?.dangerous_without_recovery()?;

    let session = vault.unlock(&factors)?;
    put(&session, 0..200)?;
    session.lock();
    // Not before: whoever closes a file that SQLite has open drops its locks.
    let older = read(&dir)?;
    say("A vault with 200 records, locked:")?;
    print(&older, None)?;

    let session = vault.unlock(&factors)?;
    put(&session, 200..201)?;
    session.lock();
    say("\nAfter one more record, beside that copy:")?;
    print(&read(&dir)?, Some(&older))
}

fn put(session: &vitalock::Session, numbers: std::ops::Range<u32>) -> vitalock::Result<()> {
    let mut batch = Batch::new();
    for number in numbers {
        let body = format!(
            r#"{{"resourceType":"Observation","status":"final","valueQuantity":{{"value":{number}}}}}"#
        );
        batch.put(Record::new("Observation", body.as_str()).subject("Patient/1"));
    }
    session.commit(&batch).map(drop)
}

fn print(files: &Files, older: Option<&Files>) -> Result<(), Box<dyn Error>> {
    report(files, older).iter().try_for_each(|line| say(line))
}

fn say(line: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
