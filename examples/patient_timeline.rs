//! From a person's FHIR resources to a time line, pictures and an export.
//!
//! ```text
//! cargo run --release --example patient_timeline -- [[bundle.json | lines.ndjson] OUT-DIR]
//! ```
//!
//! Without a file it takes a made-up person. Without `OUT-DIR` it prints the time line and leaves
//! nothing. With it the vault stays there, and beside it what was asked for **in clear**: the charts
//! (SVG) and the person (NDJSON), readable to this user alone.
#![allow(
    clippy::print_stderr,
    reason = "a program for a terminal says what went wrong"
)]

#[path = "support/chart.rs"]
mod chart;
#[path = "support/device_share.rs"]
mod device_share;
#[path = "support/reading.rs"]
mod reading;
#[path = "support/story.rs"]
mod story;

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use device_share::FileShare;
use reading::Reading;
use serde_json::Value;
use vitalock::{
    Credentials, ErrorKind, ExportFormat, FhirStore, Imported, Options, Passphrase, Record, Vault,
};

/// What the person knows. An app asks for it and never has it in its code.
const WORDS: &[u8] = b"four quiet herons wade";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/edda.ndjson");
/// What is drawn where there is enough of it: LOINC codes and names of files.
const CHARTS: [(&str, &str); 3] = [
    ("4548-4", "hba1c.svg"),
    ("18262-6", "ldl-cholesterol.svg"),
    ("29463-7", "body-weight.svg"),
];
/// What the time line tells, each followed by the person.
const EVENTS: [&str; 7] = [
    "AllergyIntolerance?patient=",
    "Condition?patient=",
    "Encounter?patient=",
    "Immunization?patient=",
    "MedicationRequest?_include=MedicationRequest:medication&patient=",
    "Observation?code=http://loinc.org|85354-9,http://loinc.org|55284-4\
     &status=final,amended,corrected&patient=",
    "Procedure?patient=",
];
/// Where these have their date, the better one first.
const DATES: [&str; 8] = [
    "/onsetDateTime",
    "/effectiveDateTime",
    "/period/start",
    "/occurrenceDateTime",
    "/authoredOn",
    "/performedDateTime",
    "/performedPeriod/start",
    "/recordedDate",
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let Some((file, out)) = arguments() else {
        eprintln!("usage: patient_timeline [[bundle.json | lines.ndjson] OUT-DIR]");
        return ExitCode::from(2);
    };
    match run(&file, out.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        // An error of Vitalock's is made of fixed words, and quotes no resource.
        Err(error) => {
            eprintln!("patient_timeline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &Path, out: Option<&Path>) -> Result<()> {
    let private = fs::Permissions::from_mode(0o700);
    let temporary = tempfile::Builder::new().permissions(private).tempdir()?;
    if let Some(out) = out.filter(|out| !out.is_dir()) {
        DirBuilder::new().mode(0o700).create(out)?;
    }
    let home = out.unwrap_or_else(|| temporary.path());

    // Two factors: a secret that the person knows, and a share that a key store releases.
    let words = Passphrase::new(WORDS)?;
    let keystore = FileShare::at(home.join("vault.device-share"));
    let factors = Credentials::passphrase(&words).and(&keystore);
    let vault = open_or_create(&home.join("vault"), factors)?;
    let session = vault.unlock(&factors)?;
    let fhir = session.fhir();

    import(&fhir, file)?;
    let patient = the_patient(&fhir)?;
    let reference = format!("Patient/{}", text(&patient, "/id"));
    let person = describe(&patient);
    tell(&fhir, &reference, &person)?;
    if let Some(out) = out {
        draw(&fhir, &reference, &person, out)?;
        export(&fhir, &reference, &out.join("person.ndjson"))?;
    }
    session.lock();
    Ok(())
}

fn open_or_create(dir: &Path, factors: Credentials<'_>) -> Result<Vault> {
    match Vault::open(dir) {
        Err(error) if error.kind() == ErrorKind::VaultNotFound => {
            let setup = Vault::create(dir, Options::new(), factors)?;
            // The owner writes the recovery code down and types it back; here, the program.
            let code = setup.recovery_code();
            Ok(code.reveal(|code| setup.confirm_recovery(code.as_bytes()))?)
        }
        opened => Ok(opened?),
    }
}

/// Takes a file in, lines or a Bundle. Again, it changes nothing.
fn import(fhir: &FhirStore, file: &Path) -> Result<()> {
    let go_on = &mut |_| ControlFlow::Continue(());
    let imported: Imported = match file.extension().is_some_and(|end| end == "ndjson") {
        true => fhir.import_ndjson(&mut File::open(file)?, go_on)?,
        false => fhir.import_bundle(&fs::read(file)?, go_on)?,
    };
    if let Some(fault) = imported.faults.into_iter().next() {
        return Err(fault.into());
    }
    say(format_args!(
        "Imported: {} new, {} changed, {} as they were.\n",
        imported.created, imported.updated, imported.unchanged
    ))
}

fn the_patient(fhir: &FhirStore) -> Result<Value> {
    let mut patients = fhir.search("Patient")?;
    match (patients.next().transpose()?, patients.next()) {
        (Some(patient), None) => json(&patient),
        (None, _) => Err("there is no Patient in it".into()),
        (Some(_), Some(_)) => Err("the vault has several people; name another OUT-DIR".into()),
    }
}

/// Prints what happened, year by year, and what was measured in each.
fn tell(fhir: &FhirStore, reference: &str, person: &str) -> Result<()> {
    let mut lines = Vec::new();
    for search in EVENTS {
        let mut matches = fhir.search(&format!("{search}{reference}"))?;
        let found: Vec<_> = matches.by_ref().collect::<vitalock::Result<_>>()?;
        // What the found ones refer to came along: here, the Medications.
        let mut names = HashMap::new();
        for record in matches.included()? {
            let named = format!("{}/{}", record.kind(), text(&json(&record)?, "/id"));
            names.insert(named, story::in_a_line(record.body()));
        }
        for record in found {
            let event = json(&record)?;
            let named = names.get(text(&event, "/medicationReference/reference"));
            let what = named.map_or_else(|| story::in_a_line(record.body()), String::clone);
            lines.push((date_of(&event), format!("{:18}  {what}", record.kind())));
        }
    }
    for (code, _) in CHARTS {
        let readings = readings(fhir, reference, code)?;
        for of_year in readings.chunk_by(|one, next| one.date.get(..4) == next.date.get(..4)) {
            let [first, ..] = of_year else { continue };
            let values: Vec<_> = of_year.iter().map(|one| one.written.as_str()).collect();
            let values = values.join(", ");
            let year = first.date.get(..4).unwrap_or_default();
            // After everything else of the year.
            let line = format!("{:18}  {}  {values} {}", "", first.name, first.unit);
            lines.push((format!("{year}~"), line));
        }
    }
    lines.sort();
    say(format_args!("{person}"))?;
    let mut year = "";
    for (date, line) in &lines {
        if !date.starts_with(year) || year.is_empty() {
            year = date.get(..4).unwrap_or_default();
            say(format_args!("\n{year}"))?;
        }
        let date = date.get(5..).unwrap_or_default();
        say(format_args!("  {date:5}  {line}"))?;
    }
    let all = fhir.search_count(&format!("Observation?patient={reference}"))?;
    say(format_args!("\n{all} observations in all."))
}

/// The values of a code, oldest first, without those that were taken back. Units are never mixed:
/// the newest says which is meant.
fn readings(fhir: &FhirStore, reference: &str, code: &str) -> Result<Vec<Reading>> {
    let found = fhir.search(&format!(
        "Observation?patient={reference}&code=http://loinc.org|{code}\
         &status=final,amended,corrected&_sort=date"
    ))?;
    let mut readings = Vec::new();
    for record in found {
        readings.extend(Reading::of(&record?));
    }
    let unit = readings.last().map(|newest| newest.unit.clone());
    readings.retain(|reading| Some(&reading.unit) == unit.as_ref());
    Ok(readings)
}

/// Draws what there are two values of. The pictures are in clear.
fn draw(fhir: &FhirStore, reference: &str, person: &str, out: &Path) -> Result<()> {
    for (code, name) in CHARTS {
        let readings = readings(fhir, reference, code)?;
        let [_, .., newest] = readings.as_slice() else {
            continue;
        };
        let title = format!("{} (LOINC {code})", newest.name);
        let svg = chart::draw(&title, person, &readings)?;
        write_privately(&out.join(name), |file| Ok(file.write_all(svg.as_bytes())?))?;
    }
    Ok(())
}

/// Writes everything about the person. The file is in clear.
fn export(fhir: &FhirStore, reference: &str, path: &Path) -> Result<()> {
    let everything = fhir.everything(reference)?;
    let go_on = &mut |_| ControlFlow::Continue(());
    write_privately(path, |file| {
        let written = fhir.export(everything, ExportFormat::Ndjson, file, go_on)?;
        say(format_args!(
            "{written} resources in {}, in clear.",
            path.display()
        ))
    })
}

/// Makes a file that only this user can read, whole or not at all. It is written under another name
/// beside its place, never in a folder for temporary files.
fn write_privately(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let beside = path.parent().unwrap_or_else(|| Path::new("."));
    // Its mode is 0600, and it is removed where it is not kept.
    let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(beside)?);
    write(&mut file)?;
    let file = file.into_inner()?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn describe(patient: &Value) -> String {
    let given = text(patient, "/name/0/given/0");
    let family = text(patient, "/name/0/family");
    format!("{given} {family}, born {}", text(patient, "/birthDate"))
}

fn json(record: &Record) -> Result<Value> {
    serde_json::from_slice(record.body()).map_err(|_| "a resource is not JSON".into())
}

fn text<'a>(resource: &'a Value, path: &str) -> &'a str {
    let found = resource.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The day as it is written: 8 o'clock here may be yesterday in UTC.
fn date_of(event: &Value) -> String {
    let mut dates = DATES.iter().map(|path| text(event, path));
    let date = dates.find(|date| !date.is_empty()).unwrap_or_default();
    date.get(..10).unwrap_or(date).to_owned()
}

fn say(words: std::fmt::Arguments<'_>) -> Result<()> {
    Ok(writeln!(io::stdout(), "{words}")?)
}

/// The file and where results go; `None` if there is anything else.
fn arguments() -> Option<(PathBuf, Option<PathBuf>)> {
    let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    if arguments
        .iter()
        .any(|argument| argument.to_string_lossy().starts_with('-'))
    {
        return None;
    }
    match arguments.as_slice() {
        [] => Some((EXAMPLE.into(), None)),
        [out] if !out.is_file() => Some((EXAMPLE.into(), Some(out.clone()))),
        [file, out] => Some((file.clone(), Some(out.clone()))),
        _ => None,
    }
}
