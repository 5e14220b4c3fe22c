//! The same work on a vault, each time.

use std::path::Path;

use vitalock::{Batch, Class, Record, RecordId, Session, Timestamp};

use crate::support::Scratch;
use crate::support::fixture::{copy, make_quick_vault, step_up, unlock};

/// 2026-03-01T08:00:00Z, in microseconds.
const FIRST: i64 = 1_772_352_000_000_000;
const MINUTE: i64 = 60_000_000;

/// When the record with this number was taken.
pub(crate) fn time_of(number: u32) -> Timestamp {
    Timestamp::from_micros(FIRST + i64::from(number) * MINUTE)
}

pub(crate) fn record_of(number: u32, class: Class) -> Record {
    let body = format!(
        concat!(
            r#"{{"resourceType":"Observation","id":"o{}","status":"final","code":{{"coding":["#,
            r#"{{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}}]}},"#,
            r#""subject":{{"reference":"Patient/{}"}},"effectiveDateTime":"2026-03-01T08:00:00Z","#,
            r#""valueQuantity":{{"value":{},"unit":"beats/minute","code":"/min"}},"note":[{{"text":"{}"}}]}}"#
        ),
        number,
        number % 7,
        50 + number % 90,
        "after the stairs ".repeat(usize::try_from(number % 40).unwrap()),
    );
    Record::new("Observation", body.as_str())
        .class(class)
        .subject(&format!("Patient/{}", number % 7))
        .content_type("application/fhir+json")
        .effective(time_of(number))
        .client(&format!("watch/{number}"), 1)
}

/// Puts records in batches, in every class by turns.
pub(crate) fn put(session: &Session, numbers: std::ops::Range<u32>) -> Vec<(Class, RecordId)> {
    let numbers: Vec<u32> = numbers.collect();
    let mut places = Vec::new();
    for some in numbers.chunks(100) {
        let mut batch = Batch::new();
        let classes = some.iter().map(|number| Class::ALL[*number as usize % 3]);
        let classes: Vec<Class> = classes.collect();
        for (number, class) in some.iter().zip(&classes) {
            batch.put(record_of(*number, *class));
        }
        let stored = session.commit(&batch).unwrap();
        places.extend(
            classes
                .into_iter()
                .zip(stored.iter().map(|stored| stored.id)),
        );
    }
    places
}

/// A vault after some work: as it was while its session was open, and locked.
pub(crate) struct Lived {
    scratch: Scratch,
    /// Where each record is.
    pub(crate) places: Vec<(Class, RecordId)>,
}

impl Lived {
    pub(crate) fn make() -> Self {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), true);
        let session = unlock(&vault);
        let lease = step_up(&session);
        let mut places = put(&lease, 0..1200);
        // Some change, and some go.
        for (_, id) in &places[..60] {
            let record = lease.get(*id).unwrap().unwrap();
            lease.put(record.with_body("corrected")).unwrap();
        }
        for (_, id) in places.split_off(1150) {
            lease.erase(id).unwrap();
        }
        places.extend(put(&lease, 1200..1500));
        copy(&scratch.vault(), &scratch.path().join("open"));
        drop(lease);
        session.lock();
        Self { scratch, places }
    }

    pub(crate) fn open(&self) -> std::path::PathBuf {
        self.scratch.path().join("open")
    }

    pub(crate) fn locked(&self) -> std::path::PathBuf {
        self.scratch.vault()
    }

    pub(crate) fn states(&self) -> [std::path::PathBuf; 2] {
        [self.open(), self.locked()]
    }
}

/// The sealed files of a vault's directory, with their names.
pub(crate) fn sealed_files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = crate::footprint::read(dir).unwrap().into_iter();
    let is_sealed =
        |name: &str| crate::footprint::Units::of(name) != crate::footprint::Units::Clear;
    files
        .filter(|(name, bytes)| is_sealed(name) && !bytes.is_empty())
        .collect()
}

/// The same files without their seal.
pub(crate) fn unsealed_files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let open = |(name, bytes): (String, Vec<u8>)| {
        let class = Class::ALL.into_iter().find(|class| {
            let database = crate::support::fixture::database(Path::new(""), *class);
            name.starts_with(database.to_str().unwrap())
        });
        let seal = crate::support::fixture::seal(dir, class.unwrap());
        let bytes = if name.ends_with("-wal") {
            seal.open_log(&bytes)
        } else {
            seal.open_database(&bytes)
        };
        (name, bytes)
    };
    sealed_files(dir).into_iter().map(open).collect()
}
