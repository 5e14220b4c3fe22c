//! The peer `askar`: entries in Askar's store over SQLite, with a raw key.
//!
//! The person is an encrypted tag. The time is a tag in clear, because Askar compares no others;
//! what is neither asked for nor read back is left out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement may fail where it stands"
)]

#[path = "../../peer/mod.rs"]
mod peer;

use std::path::{Path, PathBuf};

use askar_storage::backend::sqlite::{SqliteBackend, SqliteStoreOptions};
use askar_storage::entry::{EntryKind, EntryOperation, EntryTag, TagFilter};
use askar_storage::future::block_on;
use askar_storage::{
    Backend, BackendSession, ManageBackend, PassKey, StoreKeyMethod, generate_raw_store_key,
};
use peer::lock::version_of;
use peer::population::{KIND, Observation};
use peer::store::Store;

struct Askar {
    file: PathBuf,
    key: PassKey<'static>,
    open: Option<Open>,
    names: Vec<String>,
}

struct Open {
    backend: SqliteBackend,
    /// What reads and single writes go through, each on its own.
    session: <SqliteBackend as Backend>::Session,
}

impl Store for Askar {
    fn make(at: &Path) -> Self {
        let mut askar = Self {
            file: at.join("askar.db"),
            key: generate_raw_store_key(None).unwrap(),
            open: None,
            names: Vec::new(),
        };
        let method = StoreKeyMethod::RawKey;
        let making = askar
            .options()
            .provision_backend(method, askar.key.clone(), None, false);
        let backend = block_on(making).unwrap();
        block_on(backend.close()).unwrap();
        askar.open();
        askar
    }

    fn version(&self) -> String {
        let lock = include_str!("../Cargo.lock");
        format!("askar-storage {}", version_of("askar-storage", lock))
    }

    fn put(&mut self, records: Vec<Observation>) {
        let mut names: Vec<_> = records.iter().map(|_| name()).collect();
        let open = self.open.as_mut().expect("the store is open");
        if let ([record], [name]) = (records.as_slice(), names.as_slice()) {
            block_on(insert(&mut open.session, name, record));
        } else {
            let mut transaction = open.backend.session(None, true).unwrap();
            block_on(async {
                for (record, name) in records.iter().zip(&names) {
                    insert(&mut transaction, name, record).await;
                }
                transaction.close(true).await.unwrap();
            });
        }
        self.names.append(&mut names);
    }

    fn len(&self) -> u64 {
        self.names.len() as u64
    }

    fn read(&mut self, number: u64) -> usize {
        let name = &self.names[number as usize];
        let open = self.open.as_mut().expect("the store is open");
        let found = block_on(open.session.fetch(EntryKind::Item, KIND, name, false));
        found.unwrap().expect("it was put").value.len()
    }

    fn range(&mut self, from: i64, until: i64) -> (usize, usize) {
        let filter = TagFilter::all_of(vec![
            TagFilter::is_gte(CLEAR_START, sortable(from)),
            TagFilter::is_lt(CLEAR_START, sortable(until)),
        ]);
        let open = self.open.as_mut().expect("the store is open");
        let (item, kind) = (Some(EntryKind::Item), Some(KIND));
        let finding = open
            .session
            .fetch_all(item, kind, Some(filter), None, None, false, false);
        let found = block_on(finding).unwrap();
        let bytes = found.iter().map(|entry| entry.value.len()).sum();
        (found.len(), bytes)
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            block_on(async {
                open.session.close(true).await.unwrap();
                open.backend.close().await.unwrap();
            });
        }
    }

    fn open(&mut self) {
        let method = Some(StoreKeyMethod::RawKey);
        let opening = self.options().open_backend(method, self.key.clone(), None);
        let backend = block_on(opening).unwrap();
        let session = backend.session(None, false).unwrap();
        self.open = Some(Open { backend, session });
    }
}

impl Askar {
    /// Its defaults: WAL, `synchronous` FULL, pages of 4 KiB. The cache cannot be set.
    fn options(&self) -> SqliteStoreOptions {
        SqliteStoreOptions::from_path(self.file.to_str().expect("the path is text"))
    }
}

async fn insert(session: &mut impl BackendSession, name: &str, record: &Observation) {
    let tags = [
        EntryTag::Encrypted("subject".to_owned(), record.subject.clone()),
        EntryTag::Plaintext(START.to_owned(), sortable(record.start)),
    ];
    let (item, insert) = (EntryKind::Item, EntryOperation::Insert);
    let body = Some(record.body.as_slice());
    session
        .update(item, insert, KIND, name, body, Some(&tags), None)
        .await
        .unwrap();
}

/// The time's tag, and its name in a query, which tells with `~` that it is in clear.
const START: &str = "start";
const CLEAR_START: &str = "~start";

/// A time as text whose order is that of the times.
fn sortable(micros: i64) -> String {
    format!("{micros:020}")
}

/// 128 random bits, as the identity of a record everywhere in the comparison.
fn name() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn main() {
    peer::serve::serve::<Askar>();
}
