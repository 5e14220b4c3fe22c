//! A vault at rest, its files in memory, so that it can be damaged and put back thousands of times.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vitalock::{
    Class, Credentials, EmergencyCode, ErrorKind, Passphrase, Query, Record, RecoveryCode, Session,
    Vault,
};

use crate::support::{Keystore, Scratch, make_vault, words};

pub(crate) use crate::support::files_of as read_all;

/// Everything but the databases, which say of every unlocking that it was.
pub(crate) fn but_databases(dir: &Path) -> Files {
    let mut files = read_all(dir);
    files.retain(|name, _| !name.ends_with(".db"));
    files
}

/// Everything in a directory: names and contents.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) const COPIES: [&str; 2] = ["header", "header.2"];

/// A locked vault with one slot of each kind that a vault with a key store has, one platform key
/// waiting to be destroyed, and one record in each class.
pub(crate) struct Frozen {
    scratch: Scratch,
    pub(crate) keychain: Arc<Keystore>,
    pub(crate) finger: Arc<Keystore>,
    pub(crate) words: Passphrase,
    pub(crate) code: RecoveryCode,
    pub(crate) emergency: EmergencyCode,
    pub(crate) files: Files,
    /// The table of failed attempts, where none has failed.
    attempts: Vec<u8>,
}

impl Frozen {
    pub(crate) fn make() -> Self {
        let [keychain, finger] = ["keychain", "finger"].map(|name| Arc::new(Keystore::named(name)));
        Self::make_with(keychain, finger)
    }

    /// The same with key stores that another vault may use as well.
    pub(crate) fn make_with(keychain: Arc<Keystore>, finger: Arc<Keystore>) -> Self {
        let (scratch, words) = (Scratch::new(), words());
        let (vault, code) = make_vault(&scratch.vault(), &keychain);
        let everyday = Credentials::passphrase(&words).and(&*keychain);
        let session = vault.unlock(&everyday).unwrap();
        let lease = session.step_up(&everyday).unwrap();
        for class in [Class::Emergency, Class::Standard, Class::Priority] {
            lease.put(Record::new("Note", "kept").class(class)).unwrap();
        }
        lease.slots().add(&Credentials::share(&*finger)).unwrap();
        let lost = Keystore::named("lost");
        let gone = lease.slots().add(&Credentials::share(&lost)).unwrap();
        lease.slots().remove(gone, None).unwrap();
        let emergency = lease.slots().add_emergency().unwrap();
        drop((lease, session, vault));
        Self {
            code: RecoveryCode::parse(code.as_bytes()).unwrap(),
            files: read_all(&scratch.vault()),
            attempts: fs::read(scratch.vault().join("attempts")).unwrap(),
            scratch,
            keychain,
            finger,
            words,
            emergency,
        }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.scratch.vault()
    }

    /// The header's text as it was left; both copies have it.
    pub(crate) fn header(&self) -> &str {
        assert_eq!(self.files["header"], self.files["header.2"]);
        std::str::from_utf8(&self.files["header"]).unwrap()
    }

    pub(crate) fn everyday(&self) -> Credentials<'_> {
        Credentials::passphrase(&self.words).and(&*self.keychain)
    }

    pub(crate) fn touch(&self) -> Credentials<'_> {
        Credentials::share(&*self.finger)
    }

    /// The header's lines of the one slot of this kind.
    pub(crate) fn slot_lines(&self, kind: &str) -> Vec<&str> {
        let mut lines = self.header().lines();
        let first =
            lines.find(|line| line.starts_with("slot ") && line.ends_with(&format!(" {kind}")));
        let mut found = vec![first.unwrap()];
        found.extend(
            lines.take_while(|line| line.starts_with("wrap ") || line.starts_with("escrow ")),
        );
        found
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        put(&self.dir(), name, bytes);
    }

    pub(crate) fn put_both(&self, bytes: &[u8]) {
        COPIES.iter().for_each(|name| self.put(name, bytes));
    }

    pub(crate) fn now(&self) -> Files {
        let mut now = read_all(&self.dir());
        for (name, content) in &self.files {
            if name.ends_with(".db") {
                now.insert(name.clone(), content.clone());
            }
        }
        now
    }

    /// Puts every file back as it was left.
    pub(crate) fn restore(&self) {
        for name in self
            .now()
            .keys()
            .filter(|name| !self.files.contains_key(*name))
        {
            fs::remove_file(self.dir().join(name)).unwrap();
        }
        for (name, bytes) in &self.files {
            self.put(name, bytes);
        }
    }

    /// Opens and unlocks; what it failed with, or none where it succeeded. No failure makes the next
    /// attempt wait.
    pub(crate) fn failure(&self, credentials: &Credentials<'_>) -> Option<ErrorKind> {
        self.put("attempts", &self.attempts);
        let opened = Vault::open(self.dir()).and_then(|vault| vault.unlock(credentials));
        self.put("attempts", &self.attempts);
        let _ = fs::remove_file(self.dir().join("events"));
        opened.err().map(|error| error.kind())
    }

    /// That the vault opens and every record is there.
    pub(crate) fn assert_whole(&self) {
        let vault = Vault::open(self.dir()).unwrap();
        let session = vault.unlock(&self.everyday()).unwrap();
        assert_everything(&session, &self.everyday());
    }
}

/// That a session reaches all three records.
pub(crate) fn assert_everything(session: &Session, credentials: &Credentials<'_>) {
    assert_eq!(session.count(&Query::new()).unwrap(), 2);
    let lease = session.step_up(credentials).unwrap();
    let bodies: Vec<_> = lease
        .query(&Query::new())
        .map(|record| record.unwrap().body().to_vec())
        .collect();
    assert_eq!(bodies, [b"kept", b"kept", b"kept"]);
}

pub(crate) fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Whether the long sweeps were asked for.
pub(crate) fn soak() -> bool {
    std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1")
}
