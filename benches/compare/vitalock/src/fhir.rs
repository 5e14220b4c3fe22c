//! The peer `fhir-vitalock`: FHIR resources in a vault, found by search strings.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

#[path = "../../fhir/mod.rs"]
mod fhir;
#[path = "../../../../tests/support/host.rs"]
#[allow(dead_code, unreachable_pub, reason = "only its own part is used")]
mod host;
#[path = "../../peer/mod.rs"]
mod peer;
mod vault;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use fhir::store::Store;
use serde_json::Value;
use vault::Openable;
use vitalock::fhir::Reader;
use vitalock::{Batch, Cursor};

struct Sealed {
    vault: Openable,
    /// Where the page before ended, which an app holds when it asks for the next one.
    cursors: HashMap<(String, u64), Cursor>,
}

impl Store for Sealed {
    fn make(at: &Path) -> Self {
        Self {
            vault: Openable::make(at),
            cursors: HashMap::new(),
        }
    }

    fn version(&self) -> String {
        vault::version()
    }

    /// Nothing is done beforehand: committing works out what a resource is found by.
    fn put(&mut self, resources: &[String]) -> Duration {
        let reader = Reader::new();
        let record = |json: &String| reader.resource(json.as_bytes()).unwrap().to_record();
        let batch: Batch = resources.iter().map(record).collect();
        self.vault.session().commit(&batch).unwrap();
        Duration::ZERO
    }

    fn read(&mut self, kind: &str, id: &str, found: &mut dyn FnMut(&[u8])) {
        self.search(&format!("{kind}?_id={id}"), 1, found);
    }

    fn prepare(&mut self, search: &str, page: u64) {
        let fhir = self.vault.session().fhir();
        let wanted = (search.to_owned(), page);
        if page == 1 || self.cursors.contains_key(&wanted) {
            return;
        }
        let mut matches = session.fhir().search(search).unwrap();
        for _ in 2..page {
            assert!(matches.by_ref().all(|found| found.is_ok()));
            let end = matches.cursor().unwrap().expect("there is a next page");
            matches = session.fhir().search_after(search, &end).unwrap();
        }
        assert!(matches.by_ref().all(|found| found.is_ok()));
        let end = matches.cursor().unwrap().expect("there is a next page");
        self.cursors.insert(wanted, end);
    }

    fn search(&mut self, search: &str, page: u64, found: &mut dyn FnMut(&[u8])) {
        let fhir = self.vault.session().fhir();
        let matches = match page {
            1 => session.fhir().search(search),
            _ => session
                .fhir()
                .search_after(search, &self.cursors[&(search.to_owned(), page)]),
        };
        for record in matches.unwrap() {
            found(record.unwrap().body());
        }
    }

    fn rows(&mut self) -> Value {
        Value::Null
    }

    fn close(&mut self) {
        self.vault.close();
    }

    fn open(&mut self) {
        self.vault.open();
    }
}

fn main() {
    fhir::serve::serve::<Sealed>();
}
