//! The peer `vitalock`: a vault through its public API, its key in a biometric slot.
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

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::Keystore;
use peer::lock::version_of;
use peer::population::{CONTENT_TYPE, KIND, Observation};
use peer::store::Store;
use vitalock::{
    Batch, Credentials, Kdf, KdfParameters, Options, Passphrase, Query, Record, RecordId, Session,
    SessionPolicy, Timestamp, Vault,
};

struct Sealed {
    directory: PathBuf,
    keystore: Keystore,
    open: Option<Open>,
    ids: Vec<RecordId>,
}

/// Fields drop in this order.
struct Open {
    session: Session,
    _vault: Vault,
}

impl Store for Sealed {
    /// A vault with a slot for passphrase and share, as each must have, and one for the share
    /// alone, which nothing is stretched for.
    fn make(at: &Path) -> Self {
        let (keystore, directory) = (Keystore::new(), at.join("vault"));
        let words = Passphrase::new("vier stille Reiher waten".as_bytes()).unwrap();
        let factors = Credentials::passphrase(&words).and(&keystore);
        // The other peers have their turns in between.
        let policy = SessionPolicy::new().idle(Duration::from_secs(900)).unwrap();
        let options = Options::new()
            .kdf(Kdf::Fixed(KdfParameters::FLOOR))
            .session_policy(policy);
        let setup = Vault::create(&directory, options, factors).unwrap();
        let vault = setup.dangerous_without_recovery().unwrap();
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        lease.slots().add(&Credentials::share(&keystore)).unwrap();
        drop(lease);
        // Whoever holds a session, locked or not, holds the vault.
        drop((session, vault));
        let mut sealed = Self {
            directory,
            keystore,
            open: None,
            ids: Vec::new(),
        };
        sealed.open();
        sealed
    }

    fn version(&self) -> String {
        let lock = include_str!("../../Cargo.lock");
        let cipher = match option_env!("CARGO_PKG_NAME") {
            Some("compare-aws-lc") => " with AWS-LC",
            _ => "",
        };
        format!("Vitalock {}{cipher}", version_of("vitalock", lock))
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
        self.open = None;
    }

    fn open(&mut self) {
        let vault = Vault::open(&self.directory).unwrap();
        let session = vault.unlock(&Credentials::share(&self.keystore)).unwrap();
        self.open = Some(Open {
            session,
            _vault: vault,
        });
    }
}

impl Sealed {
    fn session(&self) -> &Session {
        &self.open.as_ref().expect("the vault is open").session
    }
}

fn main() {
    peer::serve::serve::<Sealed>();
}
