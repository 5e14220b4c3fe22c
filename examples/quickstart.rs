//! From a FHIR bundle to a vault and back, and a look at what the files give away.
//!
//! ```text
//! cargo run --release --example quickstart -- [--vault DIR] [bundle.json]
//! ```
//!
//! Without `--vault` everything is made in a private temporary directory and removed at the end.
//! With it the vault stays, and the next run opens it again.
#![allow(
    clippy::print_stderr,
    reason = "a program for a terminal says what went wrong"
)]

#[path = "support/device_share.rs"]
mod device_share;
#[path = "support/look.rs"]
mod look;
#[path = "support/story.rs"]
mod story;
#[path = "support/traces.rs"]
mod traces;

use std::fmt::Display;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use device_share::FileShare;
use look::Search;
use vitalock::fhir::Reader;
use vitalock::{
    Batch, Class, Credentials, ErrorKind, Kdf, KdfParameters, Options, Outcome, Passphrase, Query,
    Record, Session, Vault,
};

/// What the person knows. An app asks for it and never has it in its code.
const WORDS: &[u8] = b"four quiet herons wade";
/// The bundle that is taken where none is named.
const EXAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/data/patient-bundle.json"
);
/// How much of a time line is printed.
const SHOWN: usize = 40;

type Result<T, E = String> = std::result::Result<T, E>;

/// Prints a line, and gives up where nobody reads it.
macro_rules! say {
    ($($text:tt)*) => {
        writeln!(io::stdout(), $($text)*).map_err(failed("nobody listens"))?
    };
}

fn main() -> ExitCode {
    let Some((vault, bundle)) = arguments() else {
        eprintln!("usage: quickstart [--vault DIR] [bundle.json]");
        return ExitCode::from(2);
    };
    match run(vault, &bundle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(vault: Option<PathBuf>, bundle: &Path) -> Result<()> {
    let json = fs::read(bundle).map_err(failed("the bundle cannot be read"))?;
    let person = the_person(&json)?;
    let temporary = private_dir()?;
    let dir = vault.unwrap_or_else(|| temporary.path().join("vault"));

    // Two factors: a secret that the person knows, and a share that a key store releases.
    let words = Passphrase::new(WORDS).map_err(failed("the passphrase is not fit"))?;
    let share_file = beside(&dir, ".device-share");
    let keystore = FileShare::at(&share_file);
    let factors = Credentials::passphrase(&words).and(&keystore);

    let vault = open_or_create(&dir, factors)?;
    say!("One factor is a passphrase. The other is a demonstration, the file");
    say!("  {}", share_file.display());
    say!("On a phone the Secure Enclave or the Android Keystore takes its place.");

    let session = vault
        .unlock(&factors)
        .map_err(failed("the vault stays shut"))?;
    import(&session, &json)?;
    session.lock();
    say!("Locked: the keys are wiped and the files closed.");

    let session = vault
        .unlock(&factors)
        .map_err(failed("the vault stays shut"))?;
    say!("Unlocked with both factors.\n\nWhat happened to {person}, newest first:\n");
    tell(&session, &person)?;
    drop((session, vault));

    say!("\nLocked again. What the files give away:\n");
    look_at(&dir, temporary.path(), &json)
}

/// The vault of an earlier run, or a new one.
fn open_or_create(dir: &Path, factors: Credentials<'_>) -> Result<Vault> {
    match Vault::open(dir) {
        Ok(vault) => {
            say!("Opened the vault of an earlier run, {}.", dir.display());
            Ok(vault)
        }
        Err(error) => match error.kind() {
            ErrorKind::VaultNotFound | ErrorKind::VaultIncomplete => {
                let vault = create(dir, Options::new(), factors)?;
                say!("Made a vault, {}.", dir.display());
                say!(
                    "Its owner writes the recovery code down and types it back; here, the program."
                );
                Ok(vault)
            }
            _ => Err(failed("the vault cannot be opened")(error)),
        },
    }
}

fn create(dir: &Path, options: Options, factors: Credentials<'_>) -> Result<Vault> {
    let made = Vault::create(dir, options, factors).and_then(|setup| {
        let code = setup.recovery_code();
        code.reveal(|code| setup.confirm_recovery(code.as_bytes()))
    });
    made.map_err(failed("the vault cannot be made"))
}

/// Whom a bundle is about: its first Patient.
fn the_person(json: &[u8]) -> Result<String> {
    let resources = Reader::new().bundle(json);
    let resources = resources.map_err(failed("this is not a FHIR R4 bundle"))?;
    let mut people = resources
        .iter()
        .filter(|resource| resource.kind() == "Patient");
    let person = people.find_map(|patient| patient.subject().map(str::to_owned));
    person.ok_or_else(|| "the bundle has no Patient with an id".to_owned())
}

/// Puts every resource of a bundle, all or none. Allergies are for whoever finds the phone.
fn import(session: &Session, json: &[u8]) -> Result<()> {
    let resources = Reader::new().bundle(json);
    let mut batch = Batch::new();
    for resource in resources.map_err(failed("this is not a FHIR R4 bundle"))? {
        let class = match resource.kind() {
            "AllergyIntolerance" => Class::Emergency,
            _ => Class::Standard,
        };
        batch.put(resource.to_record_from("quickstart").class(class));
    }
    let stored = session
        .commit(&batch)
        .map_err(failed("the bundle is not imported"))?;
    let new = stored
        .iter()
        .filter(|stored| stored.outcome != Outcome::Unchanged);
    say!(
        "\nImported {} resources, {} of them new.",
        stored.len(),
        new.count()
    );
    Ok(())
}

/// Prints a person's time line.
fn tell(session: &Session, person: &str) -> Result<()> {
    let query = Query::new().subject(person).newest_first();
    for record in session.query(&query).take(SHOWN) {
        let record = record.map_err(failed("a record cannot be read"))?;
        let text = story::in_a_line(record.body());
        say!("  {:10}  {:18}  {text}", date_of(&record), record.kind());
    }
    let all = session
        .count(&query)
        .map_err(failed("the records cannot be counted"))?;
    let more = usize::try_from(all)
        .unwrap_or(usize::MAX)
        .saturating_sub(SHOWN);
    if more > 0 {
        say!("  ... and {more} more");
    }
    Ok(())
}

fn date_of(record: &Record) -> String {
    let micros = record.effective_time().map(|(start, _)| start.to_micros());
    let time = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    time.map_or_else(String::new, |time| time.strftime("%Y-%m-%d").to_string())
}

/// Searches the files for every string of the bundle.
fn look_at(dir: &Path, temporary: &Path, json: &[u8]) -> Result<()> {
    let files = look::files(dir).map_err(failed("the files cannot be read"))?;
    for (name, mode, bytes) in &files {
        say!("  {mode:o}  {:>9}  {name}", bytes.len());
    }
    let search = Search::of(json).map_err(failed("the bundle is not JSON"))?;
    // A word that an empty vault holds as well is the format's own, such as `standard`.
    let empty = an_empty_vault(temporary)?;
    let fixed = search.found_in(&empty);
    let found = search.found_in(&files);
    let found: Vec<_> = found.difference(&fixed).collect();

    say!(
        "\nSearched for the strings of the bundle: as they are, as UTF-16, base64 and hexadecimal,"
    );
    say!("percent-encoded, reversed, XORed with any byte.");
    say!(
        "  found: {} of {} strings",
        found.len(),
        search.len() - fixed.len()
    );
    say!(
        "  control: {} of {} in the bundle itself",
        search.found([json]).len(),
        search.len()
    );
    for word in &fixed {
        say!("  left out: {word:?}, which an empty vault holds too");
    }
    say!(
        "\nWhat can be read from the files all the same: how long they are, when they were written,"
    );
    say!(
        "beside an older copy which pages changed, and in the header which kinds of slots there are"
    );
    say!("(docs/threat-model.md; the example leak_report prints it).");
    match found.is_empty() {
        true => Ok(()),
        false => Err("the vault leaks".to_owned()),
    }
}

/// The files of a vault made the same way that nothing was put into.
fn an_empty_vault(temporary: &Path) -> Result<Vec<look::Seen>> {
    let words = Passphrase::new(WORDS).map_err(failed("the passphrase is not fit"))?;
    let keystore = FileShare::at(temporary.join("empty.device-share"));
    let factors = Credentials::passphrase(&words).and(&keystore);
    let quick = Options::new().kdf(Kdf::Fixed(KdfParameters::FLOOR));
    create(&temporary.join("empty"), quick, factors)?;
    look::files(&temporary.join("empty")).map_err(failed("the files cannot be read"))
}

fn private_dir() -> Result<tempfile::TempDir> {
    let mode = fs::Permissions::from_mode(0o700);
    let made = tempfile::Builder::new().permissions(mode).tempdir();
    made.map_err(failed("no temporary directory can be made"))
}

/// The path with more at the end of its name.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(more);
    path.with_file_name(name)
}

/// `--vault DIR` and the bundle; `None` if there is anything else.
fn arguments() -> Option<(Option<PathBuf>, PathBuf)> {
    let (mut vault, mut bundle) = (None, None);
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let (place, value) = match argument.to_str() {
            Some("--vault") => (&mut vault, arguments.next()?),
            Some(option) if option.starts_with('-') => return None,
            _ => (&mut bundle, argument),
        };
        if place.replace(PathBuf::from(value)).is_some() {
            return None;
        }
    }
    Some((vault, bundle.unwrap_or_else(|| EXAMPLE.into())))
}

/// Says what failed, and why.
fn failed<E: Display>(what: &str) -> impl FnOnce(E) -> String {
    move |why| format!("{what}: {why}")
}
