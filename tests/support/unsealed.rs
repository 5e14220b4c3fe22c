//! A class's database without the seal of its pages, for tests that look at rows or change them
//! past the crate.
//!
//! **Does** open a plain copy with a SQLite that knows nothing of vaults; what is changed there is
//! sealed again and put in the place of the original when the value is dropped.
//! **Never** touches a database while its vault is open.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use vitalock::Class;

use super::Scratch;
use super::spec::pages::PageSeal;
use super::spec::{ClassKeys, Factors, Header, Key, Share};

/// A plain copy of a database, and the way back.
pub struct Unsealed {
    connection: Option<Connection>,
    scratch: Scratch,
    original: PathBuf,
    seal: PageSeal,
    before: Vec<u8>,
}

/// How a test's vault is opened without the crate: which slot, and what its key store releases.
#[derive(Clone, Copy)]
pub struct Opener {
    pub slot: &'static str,
    pub passphrase: &'static str,
    pub release: fn(&Share, &str) -> Option<Key>,
}

impl Opener {
    pub fn keys(&self, vault: &Path, class: Class) -> (Header, ClassKeys) {
        let text = ["header", "header.2"].map(|name| std::fs::read_to_string(vault.join(name)));
        let text = text.into_iter().find_map(Result::ok).unwrap();
        let header = Header::parse(&text);
        let (purpose, number) = match class {
            Class::Emergency => ("standard", 1),
            Class::Standard => ("standard", 2),
            Class::Priority => ("priority", 3),
        };
        let release = |share: &Share, purpose: &str| (self.release)(share, purpose);
        let factors = Factors {
            passphrase: self.passphrase,
            release: &release,
            recovery_code: "",
            emergency_code: "",
        };
        let opened = header
            .slots_of(self.slot)
            .find_map(|slot| header.unwrap(slot, purpose, factors).ok());
        let opened = opened.expect("the slot opens");
        let found = opened.class_keys.iter().find(|(class, _)| *class == number);
        let keys = header.class_keys(number, &found.unwrap().1);
        (header, keys)
    }

    pub fn seal(&self, vault: &Path, class: Class) -> PageSeal {
        let (header, keys) = self.keys(vault, class);
        PageSeal::new(header.vault, &keys)
    }

    /// Changes the pages of a class's database as SQLite sees them.
    pub fn edit(&self, vault: &Path, class: Class, edit: impl FnOnce(&mut Vec<u8>)) {
        let (database, seal) = (
            super::fixture::database(vault, class),
            self.seal(vault, class),
        );
        let mut plain = seal.open_database(&std::fs::read(&database).unwrap());
        edit(&mut plain);
        std::fs::write(&database, seal.seal_database(&plain)).unwrap();
    }

    pub fn open(&self, vault: &Path, class: Class) -> Unsealed {
        let database = super::fixture::database(vault, class);
        Unsealed::open(&database, self.seal(vault, class))
    }
}

impl Unsealed {
    pub fn open(database: &Path, seal: PageSeal) -> Self {
        let scratch = Scratch::new();
        let plain = scratch.path().join("plain.db");
        let log = beside(database, "-wal");
        // A page that was torn on its way out of the log is whole in the log, as SQLite knows.
        let before = seal.open_database(&std::fs::read(database).unwrap());
        std::fs::write(&plain, &before).unwrap();
        if let Ok(log) = std::fs::read(log) {
            std::fs::write(beside(&plain, "-wal"), seal.open_log(&log)).unwrap();
        }
        Self {
            connection: Some(Connection::open(&plain).unwrap()),
            scratch,
            original: database.to_owned(),
            seal,
            before,
        }
    }
}

impl Deref for Unsealed {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }
}

impl Drop for Unsealed {
    fn drop(&mut self) {
        let closed = self.connection.take().map(Connection::close);
        if std::thread::panicking() {
            return;
        }
        assert!(matches!(closed, Some(Ok(()))), "no statement is left");
        let after = std::fs::read(self.scratch.path().join("plain.db")).unwrap();
        if after != self.before {
            std::fs::write(&self.original, self.seal.seal_database(&after)).unwrap();
            let _ = std::fs::remove_file(beside(&self.original, "-wal"));
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
