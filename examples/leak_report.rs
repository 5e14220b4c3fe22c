//! What an attacker learns from a vault's files alone.
//!
//! ```text
//! cargo run --release --example leak_report -- [DIR [OLDER COPY OF DIR]]
//! ```
//!
//! It takes no key. With a directory it says what the files in it tell, and with an older copy what
//! the two tell beside one another. Without a directory it makes a vault of its own, works on it,
//! and looks at copies of it: locked, open, and after most was erased.
#![allow(
    clippy::print_stderr,
    reason = "a program for a terminal says what went wrong"
)]

#[path = "support/footprint.rs"]
mod footprint;
#[path = "support/tells.rs"]
mod tells;

use std::error::Error;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use footprint::{Units, read, report};
use vitalock::{
    Batch, Credentials, Kdf, KdfParameters, Options, Passphrase, Query, Record, Session, Vault,
};

/// Enough for a slot without a key store. An app asks for it and never has it in its code.
const WORDS: &[u8] = b"four quiet herons wade at dawn";

type Done<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let is_option = |path: &PathBuf| path.to_string_lossy().starts_with('-');
    let done = match arguments.as_slice() {
        [] => of_its_own(),
        [dir] if !is_option(dir) => of_a_vault(dir, None),
        [dir, older] if !is_option(dir) => of_a_vault(dir, Some(older)),
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

fn of_a_vault(dir: &Path, older: Option<&Path>) -> Done {
    let files = read(dir)?;
    if files.keys().all(|name| Units::of(name) != Units::Pages) {
        return Err("there is no vault in this directory".into());
    }
    let older = older.map(read).transpose()?;
    for name in files.keys() {
        let metadata = fs::symlink_metadata(dir.join(name))?;
        let written = jiff::Timestamp::from_second(metadata.mtime())?;
        let mode = metadata.mode() & 0o7777;
        say(&format!("{name}: mode {mode:o}, last written {written}"))?;
    }
    say("")?;
    say_all(&report(&files, older.as_ref()))?;
    say("\nSo whoever has these files knows:")?;
    say_all(&tells::alone(&files))?;
    if let Some(older) = older {
        say("\nand beside the older copy:")?;
        say_all(&tells::beside(&older, &files))?;
    }
    Ok(())
}

fn of_its_own() -> Done {
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path().join("vault");
    // By another process: whoever closes a file that SQLite has open in this one drops its locks.
    let copy = |name: &str| -> Done<PathBuf> {
        let to = scratch.path().join(name);
        let copied = Command::new("cp").arg("-a").arg(&dir).arg(&to).status()?;
        match copied.success() {
            true => Ok(to),
            false => Err("the files cannot be copied".into()),
        }
    };
    let words = Passphrase::new(WORDS)?;
    let factors = Credentials::passphrase(&words);
    // The least that a vault accepts: nothing here is worth guessing.
    let options = Options::new().kdf(Kdf::Fixed(KdfParameters::FLOOR));
    let vault = Vault::create(&dir, options, factors)?.dangerous_without_recovery()?;

    let session = vault.unlock(&factors)?;
    put(&session, 0..400)?;
    session.lock();
    say("A vault with 400 records, locked\n")?;
    let locked = copy("locked")?;
    of_a_vault(&locked, None)?;

    let session = vault.unlock(&factors)?;
    put(&session, 400..401)?;
    say("\n\nOpen, after one more record\n")?;
    let open = copy("open")?;
    of_a_vault(&open, Some(&locked))?;

    erase(&session, 300)?;
    session.lock();
    say("\n\nLocked again, with 300 erased\n")?;
    of_a_vault(&copy("erased")?, Some(&open))
}

fn put(session: &Session, numbers: std::ops::Range<u32>) -> vitalock::Result<()> {
    let mut batch = Batch::new();
    for number in numbers {
        let body = format!(
            r#"{{"resourceType":"Observation","status":"final","valueQuantity":{{"value":{number}}},"note":[{{"text":"{}"}}]}}"#,
            "at rest, sitting; ".repeat(30)
        );
        batch.put(Record::new("Observation", body.as_str()).subject("Patient/1"));
    }
    session.commit(&batch).map(drop)
}

fn erase(session: &Session, many: usize) -> vitalock::Result<()> {
    let mut batch = Batch::new();
    for record in session.query(&Query::new()).take(many) {
        if let Some(id) = record?.id() {
            batch.erase(id);
        }
    }
    session.commit(&batch).map(drop)
}

fn say_all(lines: &[String]) -> Done {
    lines.iter().try_for_each(|line| say(line))
}

fn say(line: &str) -> Done {
    Ok(writeln!(io::stdout(), "{line}")?)
}
