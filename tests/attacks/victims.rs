//! Who is attacked: a vault with something in it, and what an app might have done instead.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rusqlite::Connection;
use vitalock::{Class, Credentials, Options, Passphrase, Record, Vault};

use crate::support::anchors::Memory;
use crate::support::{Keystore, Scratch, WORDS_TEXT, options, words};

/// What the attacker is after.
pub(crate) const CONTENT: &str = "canary-content-hiv-positive";
pub(crate) const KIND: &str = "canary-kind-oncology";
pub(crate) const PERSON: &str = "canary-person-ada";

/// A vault with a record of each class, locked.
pub(crate) struct Victim {
    pub(crate) scratch: Scratch,
    pub(crate) keystore: Keystore,
    pub(crate) anchor: Option<Arc<Memory>>,
    pub(crate) shared: bool,
    pub(crate) code: String,
}

impl Victim {
    /// With both factors, and an anchor.
    pub(crate) fn new() -> Self {
        Self::with(options(), true, true)
    }

    pub(crate) fn with(options: Options, shared: bool, anchored: bool) -> Self {
        let anchor = anchored.then(|| Arc::new(Memory::default()));
        let mut victim = Self {
            scratch: Scratch::new(),
            keystore: Keystore::new(),
            anchor: anchor.clone(),
            shared,
            code: String::new(),
        };
        let options = match anchor {
            Some(anchor) => options.anchor(anchor),
            None => options,
        };
        let words = words();
        let (vault, code) = {
            let setup = Vault::create(victim.dir(), options, victim.factors(&words)).unwrap();
            let code = setup.recovery_code().reveal(str::to_owned);
            (setup.confirm_recovery(code.as_bytes()).unwrap(), code)
        };
        victim.code = code;
        let session = vault.unlock(&victim.factors(&words)).unwrap();
        let lease = session.step_up(&victim.factors(&words)).unwrap();
        for class in Class::ALL {
            lease.put(record(class)).unwrap();
        }
        drop(lease);
        session.lock();
        victim
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.scratch.vault()
    }

    pub(crate) fn factors<'a>(&'a self, words: &'a Passphrase) -> Credentials<'a> {
        let words = Credentials::passphrase(words);
        match self.shared {
            true => words.and(&self.keystore),
            false => words,
        }
    }

    pub(crate) fn open(&self) -> Vault {
        let vault = Vault::open(self.dir()).unwrap();
        match &self.anchor {
            Some(anchor) => vault.anchored(anchor.clone()),
            None => vault,
        }
    }

    /// A copy of everything in the directory.
    pub(crate) fn image(&self) -> Scratch {
        let image = Scratch::new();
        copy(&self.dir(), &image.vault());
        image
    }

    /// Puts an image in the place of the vault.
    pub(crate) fn put_back(&self, image: &Scratch) {
        std::fs::remove_dir_all(self.dir()).unwrap();
        copy(&image.vault(), &self.dir());
    }
}

pub(crate) fn record(class: Class) -> Record {
    Record::new(KIND, CONTENT).subject(PERSON).class(class)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// What an app without a vault does: the same record in a database of its own, in a folder that it
/// made without a thought.
pub(crate) fn plain_app() -> Scratch {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.vault()).unwrap();
    let connection = Connection::open(scratch.vault().join("health.db")).unwrap();
    connection
        .execute_batch("CREATE TABLE observations (kind TEXT, person TEXT, body TEXT)")
        .unwrap();
    let row = [KIND, PERSON, CONTENT];
    let sql = "INSERT INTO observations VALUES (?1, ?2, ?3)";
    connection.execute(sql, row).unwrap();
    let open = |path: PathBuf, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    open(scratch.vault(), 0o755);
    open(scratch.vault().join("health.db"), 0o644);
    scratch
}

/// All bytes of all files below a directory.
pub(crate) fn bytes_of(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.extend(path.file_name().unwrap().as_encoded_bytes());
        all.extend(std::fs::read(path).unwrap());
    }
    all
}

pub(crate) fn holds(bytes: &[u8], what: &str) -> bool {
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

/// The passphrase that the owner has.
pub(crate) const WORDS: &str = WORDS_TEXT;
