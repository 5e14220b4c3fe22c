//! How a vault is protected, as a page for who has to answer for it.
//!
//! ```text
//! cargo run --release --example posture -- [--json] [DIR] > posture.html
//! ```
//!
//! It takes no key: of a vault in a directory it says what can be seen while it is locked. Without a
//! directory it makes a vault of its own, unlocks it, and reports on that.
#![allow(
    clippy::print_stderr,
    reason = "a program for a terminal says what went wrong"
)]

use std::env;
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use vitalock::{Class, Credentials, Options, Passphrase, Posture, Record, Vault};

/// Enough for a slot without a key store. An app asks for it and never has it in its code.
const WORDS: &[u8] = b"four quiet herons wade at dawn";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (options, places): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|word| word.starts_with("--"));
    let json = match options.as_slice() {
        [] => false,
        [option] if option == "--json" => true,
        _ => return Err("usage: posture [--json] [DIR]".into()),
    };
    let posture = match places.as_slice() {
        [] => of_an_example()?,
        [place] => Vault::open(place)?.posture(),
        _ => return Err("usage: posture [--json] [DIR]".into()),
    };
    let text = if json {
        posture.to_json()
    } else {
        posture.to_html()
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn of_an_example() -> Result<Posture, Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let place = std::fs::canonicalize(scratch.path())?.join("vault");
    let words = Passphrase::new(WORDS)?;
    let factors = Credentials::passphrase(&words);
    let setup = Vault::create(place, Options::new(), factors)?;
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes())?;
    let session = vault.unlock(&factors)?;
    let allergy = Record::new("AllergyIntolerance", "penicillin").class(Class::Emergency);
    session.put(allergy)?;
    Ok(vault.posture())
}
