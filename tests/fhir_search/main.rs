//! Searching: the official parameters, the words of the specification, and answers held against those
//! of an evaluator that reads every resource.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::print_stderr,
    reason = "a test may fail where it stands, and says what it skips"
)]

mod coverage;
mod generated;
mod life;
mod oracle;
mod rules;
#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use support::{Keystore, Scratch, make_vault_with, options, words};
use vitalock::fhir::Reader;
use vitalock::{Class, Credentials, Record, Session, Vault};

/// A vault of resources, open.
pub(crate) struct Store {
    _scratch: Scratch,
    keystore: Keystore,
    vault: Vault,
    session: Option<Session>,
}

impl Store {
    pub(crate) fn made() -> Self {
        let (scratch, keystore) = (Scratch::in_memory(), Keystore::new());
        let (vault, _) = make_vault_with(&scratch.vault(), &keystore, options().keep_history(true));
        let mut store = Self {
            _scratch: scratch,
            keystore,
            vault,
            session: None,
        };
        store.session = Some(store.unlock());
        store
    }

    pub(crate) fn of(resources: &[Value]) -> Self {
        let store = Self::made();
        store.put(resources);
        store
    }

    pub(crate) fn unlock(&self) -> Session {
        let words = words();
        let factors = Credentials::passphrase(&words).and(&self.keystore);
        self.vault.unlock(&factors).unwrap()
    }

    pub(crate) fn session(&self) -> &Session {
        self.session.as_ref().unwrap()
    }

    pub(crate) fn put(&self, resources: &[Value]) {
        for part in resources.chunks(2000) {
            let records = part
                .iter()
                .map(|resource| record(resource, Class::Standard));
            self.session().commit(&records.collect()).unwrap();
        }
    }

    /// The ids that a search finds, in its order.
    pub(crate) fn ids(&self, search: &str) -> Vec<String> {
        ids(self.session(), search)
    }

    /// The same without order.
    pub(crate) fn set(&self, search: &str) -> Vec<String> {
        let mut ids = self.ids(search);
        ids.sort();
        ids
    }
}

pub(crate) fn record(resource: &Value, class: Class) -> Record {
    let json = resource.to_string();
    let resource = Reader::new().resource(json.as_bytes()).unwrap();
    resource.to_record().class(class)
}

pub(crate) fn ids(session: &Session, search: &str) -> Vec<String> {
    let found = session.fhir().search(search);
    let found = found.unwrap_or_else(|error| panic!("{search}: {error}"));
    let id = |record: vitalock::Result<Record>| {
        let resource: Value = serde_json::from_slice(record.unwrap().body()).unwrap();
        resource["id"].as_str().unwrap_or("").to_owned()
    };
    found.map(id).collect()
}
