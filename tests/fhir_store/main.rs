//! The FHIR store: resources written, patched, exchanged, and found again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::print_stderr,
    reason = "a test may fail where it stands, and says what it skips"
)]

mod parameters;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod transfer;
mod writing;

use serde_json::Value;
use support::{Keystore, Scratch, make_vault_with, options, words};
use vitalock::{Credentials, ErrorKind, FhirStore, Lease, Options, Record, Session, Vault};

/// A vault, open.
pub(crate) struct Home {
    _scratch: Scratch,
    keystore: Keystore,
    pub(crate) vault: Vault,
    session: Option<Session>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::with(options().keep_history(true))
    }

    pub(crate) fn with(options: Options) -> Self {
        let (scratch, keystore) = (Scratch::in_memory(), Keystore::new());
        let (vault, _) = make_vault_with(&scratch.vault(), &keystore, options);
        let mut home = Self {
            _scratch: scratch,
            keystore,
            vault,
            session: None,
        };
        home.session = Some(home.unlock());
        home
    }

    fn unlock(&self) -> Session {
        let words = words();
        let factors = Credentials::passphrase(&words).and(&self.keystore);
        self.vault.unlock(&factors).unwrap()
    }

    pub(crate) fn unlock_again(&mut self) {
        self.session().lock();
        self.session = None;
        self.session = Some(self.unlock());
    }

    pub(crate) fn lease(&self) -> Lease {
        let words = words();
        let factors = Credentials::passphrase(&words).and(&self.keystore);
        self.session().step_up(&factors).unwrap()
    }

    pub(crate) fn session(&self) -> &Session {
        self.session.as_ref().unwrap()
    }

    pub(crate) fn fhir(&self) -> FhirStore {
        self.session().fhir()
    }

    /// The bodies that a search finds.
    pub(crate) fn found(&self, search: &str) -> Vec<Value> {
        let found = self.fhir().search(search).unwrap();
        found.map(|record| value(&record.unwrap())).collect()
    }
}

pub(crate) fn value(record: &Record) -> Value {
    serde_json::from_slice(record.body()).unwrap()
}

pub(crate) fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}
