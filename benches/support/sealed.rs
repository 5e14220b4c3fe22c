//! Vitalock, through its public API.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vitalock::fhir::Reader;
use vitalock::{
    Batch, Credentials, Kdf, KdfParameters, Options, Passphrase, Query, Record, RecordId, Session,
    SessionPolicy, Timestamp, Vault,
};

use super::population::{CONTENT_TYPE, KIND, Observation};
use super::question::Question;
use super::shared::{Keystore, words};
use super::store::{Cost, Files, Store};

/// A vault with a passphrase slot and a biometric slot, and its open session.
pub(crate) struct Sealed {
    dir: PathBuf,
    keystore: Keystore,
    words: Passphrase,
    open: Option<Open>,
    /// A vault of its own whose passphrase costs the default.
    dear: Option<PathBuf>,
    ids: Vec<RecordId>,
    /// When a record was put, for the questions that were prepared.
    since: HashMap<u64, Timestamp>,
}

/// Fields drop in this order.
struct Open {
    session: Session,
    vault: Vault,
}

impl Store for Sealed {
    fn put(&mut self, records: Vec<Observation>) {
        let stored = self.session().commit(&batch(records)).unwrap();
        self.ids.extend(stored.iter().map(|stored| stored.id));
    }

    fn read(&mut self, number: u64) -> usize {
        let record = self.session().get(self.id(number)).unwrap();
        record.expect("it was put").body().len()
    }

    fn find(&mut self, question: &Question, most: usize) -> (usize, usize) {
        let (mut found, mut bytes) = (0, 0);
        for record in self.session().query(&self.query(question)).take(most) {
            found += 1;
            bytes += record.unwrap().body().len();
        }
        (found, bytes)
    }

    fn count(&mut self, question: &Question) -> u64 {
        self.session().count(&self.query(question)).unwrap()
    }

    fn import(&mut self, bundle: &[u8]) -> usize {
        let resources = Reader::new().bundle(bundle).unwrap();
        let batch: Batch = resources
            .iter()
            .map(|resource| resource.to_record_from("a server"))
            .collect();
        self.session().commit(&batch).unwrap().len()
    }

    fn len(&self) -> u64 {
        self.ids.len() as u64
    }

    fn prepare(&mut self, question: &Question) {
        if let Question::Since { number } = *question {
            let record = self.session().get(self.id(number)).unwrap();
            let updated = record.and_then(|record| record.updated());
            self.since.insert(number, updated.expect("it was put"));
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.session.lock();
        }
    }

    fn open(&mut self, number: u64, _files: Files) -> usize {
        let vault = Vault::open(&self.dir).unwrap();
        let session = vault.unlock(&Credentials::share(&self.keystore)).unwrap();
        let record = session.get(self.id(number)).unwrap();
        self.open = Some(Open { session, vault });
        record.expect("it was put").body().len()
    }

    fn bytes_on_disk(&mut self) -> u64 {
        self.close();
        let files = fs::read_dir(&self.dir).unwrap();
        let bytes = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        self.open(0, Files::One);
        bytes
    }

    fn unlock(&mut self, cost: Cost) {
        let dir = match cost {
            Cost::Floor => &self.dir,
            Cost::Default => self.dear.get_or_insert_with(|| {
                let dir = self.dir.with_file_name("dear");
                let cost = KdfParameters::DEFAULT;
                drop(make_vault(&dir, &self.keystore, &self.words, cost));
                dir
            }),
        };
        let vault = Vault::open(dir).unwrap();
        let factors = Credentials::passphrase(&self.words).and(&self.keystore);
        let session = vault.unlock(&factors).unwrap();
        self.open = Some(Open { session, vault });
    }
}

impl Sealed {
    /// Makes an empty store.
    pub(crate) fn make(at: &Path) -> Self {
        let (keystore, words) = (Keystore::new(), words());
        let dir = at.join("vault");
        let vault = make_vault(&dir, &keystore, &words, KdfParameters::FLOOR);
        let session = vault.unlock(&Credentials::share(&keystore)).unwrap();
        Self {
            dir,
            keystore,
            words,
            open: Some(Open { session, vault }),
            dear: None,
            ids: Vec::new(),
            since: HashMap::new(),
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.open.as_ref().expect("the vault is open").session
    }

    fn id(&self, number: u64) -> RecordId {
        self.ids[number as usize]
    }

    fn query(&self, question: &Question) -> Query {
        let query = Query::new();
        match question {
            Question::Latest { subject } => query.subject(subject).kind(KIND).newest_first(),
            Question::Window { from, until } => query
                .kind(KIND)
                .effective_from(Timestamp::from_micros(*from))
                .effective_until(Timestamp::from_micros(*until)),
            Question::Since { number } => query.updated_since(self.since[number]),
            Question::Timeline { subject, until } => query
                .subject(subject)
                .effective_until(Timestamp::from_micros(*until)),
        }
    }
}

fn batch(records: Vec<Observation>) -> Batch {
    let record = |from: Observation| {
        Record::new(KIND, from.body)
            .subject(&from.subject)
            .effective(Timestamp::from_micros(from.start))
            .content_type(CONTENT_TYPE)
    };
    records.into_iter().map(record).collect()
}

/// A vault with a slot for passphrase and share, and one for the biometric share.
fn make_vault(dir: &Path, keystore: &Keystore, words: &Passphrase, cost: KdfParameters) -> Vault {
    // The peers have their turns in between.
    let policy = SessionPolicy::new().idle(Duration::from_secs(900)).unwrap();
    let options = Options::new().kdf(Kdf::Fixed(cost)).session_policy(policy);
    let factors = Credentials::passphrase(words).and(keystore);
    let setup = Vault::create(dir, options, factors).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    lease.slots().add(&Credentials::share(keystore)).unwrap();
    drop(lease);
    session.lock();
    vault
}
