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
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use fhir::store::Store;
use serde_json::Value;
use vault::Openable;
use vitalock::Cursor;

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

    /// Nothing is done beforehand: the import works out what a resource is found by.
    fn put(&mut self, resources: &[String]) -> Duration {
        let lines = resources.join("\n");
        let go_on = &mut |_| ControlFlow::Continue(());
        let fhir = self.vault.session().fhir();
        let imported = fhir.import_ndjson(&mut lines.as_bytes(), go_on).unwrap();
        assert_eq!(imported.refused, 0, "{:?}", imported.faults);
        Duration::ZERO
    }

    fn read(&mut self, kind: &str, id: &str, found: &mut dyn FnMut(&[u8])) {
        let fhir = self.vault.session().fhir();
        let record = fhir.read(&format!("{kind}/{id}")).unwrap();
        found(record.expect("it was put").body());
    }

    fn prepare(&mut self, search: &str, page: u64) {
        let fhir = self.vault.session().fhir();
        let wanted = (search.to_owned(), page);
        if self.cursors.contains_key(&wanted) {
            return;
        }
        let mut matches = fhir.search(search).unwrap();
        for _ in 2..page {
            assert!(matches.by_ref().all(|found| found.is_ok()));
            let end = matches.cursor().unwrap().expect("there is a next page");
            matches = fhir.search_after(search, &end).unwrap();
        }
        assert!(matches.by_ref().all(|found| found.is_ok()));
        let end = matches.cursor().unwrap().expect("there is a next page");
        self.cursors.insert(wanted, end);
    }

    fn search(&mut self, search: &str, page: u64, found: &mut dyn FnMut(&[u8])) {
        let fhir = self.vault.session().fhir();
        let matches = match page {
            1 => fhir.search(search),
            _ => fhir.search_after(search, &self.cursors[&(search.to_owned(), page)]),
        };
        for record in matches.unwrap() {
            found(record.unwrap().body());
        }
    }

    fn everything(&mut self, patient: &str, found: &mut dyn FnMut(&[u8])) {
        let fhir = self.vault.session().fhir();
        for record in fhir.everything(patient).unwrap() {
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
