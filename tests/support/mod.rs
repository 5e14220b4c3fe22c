//! What the tests of the public API share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may fail where it stands"
)]

pub mod anchors;
pub mod data;
pub mod fixture;
pub mod host;
pub mod spec;
pub mod unsealed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vitalock::{Credentials, Kdf, KdfParameters, Options, Passphrase, Vault};

pub use host::Keystore;

/// A private directory that is removed with the value.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The same in memory, where the system has such a place: for tests that are about what was
    /// written and not about how a disk does it.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        tempfile::tempdir_in(memory).map_or_else(|_| Self::new(), Self)
    }

    /// Where a vault may be made.
    pub fn vault(&self) -> PathBuf {
        self.0.path().join("vault")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Everything in a directory: names and contents.
pub fn all_files_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let file = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap())
    };
    entries.map(file).collect()
}

/// Everything in a vault's directory but what unlocking writes, in vain too: the table of failed
/// attempts, and the events.
pub fn files_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = all_files_of(dir);
    files.remove("attempts");
    files.remove("events");
    files
}

/// The two copies of the header.
pub fn headers_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = all_files_of(dir);
    files.retain(|name, _| name.starts_with("header"));
    assert_eq!(files.len(), 2);
    files
}

pub const WORDS_TEXT: &str = "vier stille Reiher waten";
pub const WORDS: &[u8] = WORDS_TEXT.as_bytes();

pub fn words() -> Passphrase {
    Passphrase::new(WORDS).unwrap()
}

/// Real Argon2id at the floor, so that tests spend their time on what they test.
pub fn options() -> Options {
    Options::new().kdf(Kdf::Fixed(KdfParameters::FLOOR))
}

/// A vault with a primary slot and its recovery slots, and the recovery code's text.
pub fn make_vault(dir: &Path, keystore: &Keystore) -> (Vault, String) {
    make_vault_with(dir, keystore, options())
}

pub fn make_vault_with(dir: &Path, keystore: &Keystore, options: Options) -> (Vault, String) {
    let words = words();
    let setup = Vault::create(dir, options, Credentials::passphrase(&words).and(keystore)).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    (vault, code)
}
