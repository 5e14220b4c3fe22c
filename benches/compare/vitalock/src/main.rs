//! The peer `vitalock`: records in a vault.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

#[path = "../../../../tests/support/host.rs"]
#[allow(dead_code, unreachable_pub, reason = "only its own part is used")]
mod host;
#[path = "../../peer/mod.rs"]
mod peer;

mod vault;

use std::path::Path;

use peer::population::{CONTENT_TYPE, KIND, Observation};
use peer::store::Store;
use vault::Openable;
use vitalock::{Batch, Query, Record, RecordId, Session, Timestamp};

struct Sealed {
    vault: Openable,
    ids: Vec<RecordId>,
}

impl Store for Sealed {
    fn make(at: &Path) -> Self {
        Self {
            vault: Openable::make(at),
            ids: Vec::new(),
        }
    }

    fn version(&self) -> String {
        vault::version()
    }

    fn put(&mut self, records: Vec<Observation>) {
        let record = |from: Observation| {
            Record::new(KIND, from.body)
                .subject(&from.subject)
                .effective(Timestamp::from_micros(from.start))
                .content_type(CONTENT_TYPE)
        };
        let batch: Batch = records.into_iter().map(record).collect();
        let stored = self.session().commit(&batch).unwrap();
        self.ids.extend(stored.iter().map(|stored| stored.id));
    }

    fn len(&self) -> u64 {
        self.ids.len() as u64
    }

    fn read(&mut self, number: u64) -> usize {
        let record = self.session().get(self.ids[number as usize]).unwrap();
        record.expect("it was put").body().len()
    }

    fn range(&mut self, from: i64, until: i64) -> (usize, usize) {
        let query = Query::new()
            .kind(KIND)
            .effective_from(Timestamp::from_micros(from))
            .effective_until(Timestamp::from_micros(until));
        let (mut found, mut bytes) = (0, 0);
        for record in self.session().query(&query) {
            found += 1;
            bytes += record.unwrap().body().len();
        }
        (found, bytes)
    }

    fn close(&mut self) {
        self.vault.close();
    }

    fn open(&mut self) {
        self.vault.open();
    }
}

impl Sealed {
    fn session(&self) -> &Session {
        self.vault.session()
    }
}

fn main() {
    peer::serve::serve::<Sealed>();
}
