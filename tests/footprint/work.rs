//! Work on a vault that any process does in the same way: FHIR resources as they come, and plain
//! records of every class.

use std::path::{Path, PathBuf};

use vitalock::fhir::Reader;
use vitalock::{Batch, Class, Lease, Query, Record, Timestamp};

use crate::population::observation;
use crate::support::data;

/// How many Observations the work has.
const OBSERVATIONS: usize = 400;
/// How many plain records there are in each class.
const PLAIN: u64 = 70;
/// And how many are put later.
const MORE: u64 = 40;

/// 2027-05-04T03:02:01Z, in microseconds.
const FIRST: i64 = 1_809_399_721_000_000;

/// The Observations of Synthea patients where they are here, else made-up ones; and the project's
/// own bundle.
fn resources() -> Vec<Record> {
    let example = "examples/data/patient-bundle.json";
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(example)];
    let synthea = data::unpacked("fhir/synthea-r4-500-patients.tar.xz");
    let synthea = synthea.map(|folder| data::json_files(&folder));
    files.extend(synthea.iter().flatten().cloned());
    let mut records = Vec::new();
    let read = |file: &PathBuf| std::fs::read(file).unwrap();
    for (at, bundle) in files.iter().map(read).enumerate() {
        let resources = Reader::new().bundle(&bundle).unwrap();
        let wanted = resources
            .iter()
            .filter(|resource| at == 0 || resource.kind() == "Observation");
        records.extend(wanted.map(|resource| resource.to_record_from("footprint")));
        if records.len() > OBSERVATIONS {
            break;
        }
    }
    let missing = OBSERVATIONS.saturating_sub(records.len());
    if synthea.is_none() {
        data::tell("SKIPPED: the files of Synthea's Observations: made-up ones are put instead");
    }
    let made_up = (0..).map(observation).map(|observation| {
        Record::new("Observation", observation.body)
            .subject(&observation.subject)
            .content_type("application/fhir+json")
            .effective(Timestamp::from_micros(observation.start))
    });
    records.extend(made_up.take(missing));
    records
}

/// A record with everything that a record can have.
fn plain(class: Class, number: u64) -> Record {
    let time = |minutes: u64| {
        let micros = i64::try_from(minutes * 60_000_000).unwrap();
        Timestamp::from_micros(FIRST + micros)
    };
    let body = format!(
        "Letter {number} of {class:?}, written on 2027-05-04T03:02:01Z: {}",
        "the stairs are steep; ".repeat(usize::try_from(number % 60).unwrap() + 10)
    );
    Record::new(&format!("DischargeLetter-{}", number % 3), body.as_str())
        .class(class)
        .subject(&format!("Person/{class:?}-{}", number % 4))
        .content_type("text/x-letter")
        .effective(time(number))
        .expires(time(number + 1_000_000))
        .client(&format!("ward-nine/{class:?}/{number}"), 1)
        .device("stethoscope-17")
        .app("ward-round-app")
}

/// Everything that is put at first. The files of FHIR go into Standard.
pub(crate) fn put_all(lease: &Lease) {
    let mut records = resources();
    for class in Class::ALL {
        records.extend((0..PLAIN).map(|number| plain(class, number)));
    }
    put(lease, records);
}

/// What is put later, and the log is full of.
pub(crate) fn put_more(lease: &Lease, turn: u64) {
    let first = PLAIN + turn * MORE;
    let numbers = first..first + MORE;
    let of_class = |class| numbers.clone().map(move |number| plain(class, number));
    put(lease, Class::ALL.into_iter().flat_map(of_class).collect());
}

fn put(lease: &Lease, records: Vec<Record>) {
    let mut batch = Batch::new();
    let last = records.len() - 1;
    for (at, record) in records.into_iter().enumerate() {
        batch.put(record);
        if at % 50 == 49 || at == last {
            lease.commit(&std::mem::take(&mut batch)).unwrap();
        }
    }
}

/// Erases every other record.
pub(crate) fn erase_half(lease: &Lease) {
    let ids = lease
        .query(&Query::new())
        .map(|record| record.unwrap().id());
    let mut batch = Batch::new();
    for id in ids.step_by(2) {
        batch.erase(id.unwrap());
    }
    lease.commit(&batch).unwrap();
}
