//! Vaults that open in milliseconds, in this process and in its children.
//!
//! **Does** make a vault whose biometric slot opens every class, from a key store that has no
//! state, and look at its files past the crate that is tested.
//! **Never** touches a database file while the vault is open: it looks at a copy.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use vitalock::{
    Class, Credentials, KeyShare, Lease, Options, Purpose, RecordId, Session, ShareError,
    ShareSink, Vault,
};

use super::spec::pages::PageSeal;
use super::spec::{ClassKeys, Header, Share};
use super::unsealed::{Opener, Unsealed};
use super::{Scratch, options, words};

/// A key store that a child process has as well: the share follows from blob and challenge.
pub struct Twin;

impl KeyShare for Twin {
    fn provider(&self) -> &str {
        "twin"
    }

    fn enrol(&self, _purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        let mut blob = vec![0; 32];
        getrandom::fill(&mut blob).unwrap();
        Ok(blob)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        sink.fill(&twin_share(purpose == Purpose::Priority, blob, challenge));
        Ok(())
    }

    fn destroy(&self, _purpose: Purpose, _blob: &[u8]) -> Result<(), ShareError> {
        Ok(())
    }
}

fn twin_share(priority: bool, blob: &[u8], challenge: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| u8::from(priority) ^ blob[at] ^ challenge[at].rotate_left(1))
}

/// How the vaults of [`make_quick_vault`] are opened without the crate.
const TWIN: Opener = Opener {
    slot: "biometric",
    passphrase: "",
    release: |share: &Share, purpose: &str| {
        Some(twin_share(
            purpose == "priority",
            &share.blob,
            &share.challenge,
        ))
    },
};

/// A class's database of a closed vault, without the seal of its pages.
pub fn unsealed(vault: &Path, class: Class) -> Unsealed {
    TWIN.open(vault, class)
}

/// The header of such a vault, and a class's keys.
pub fn keys(vault: &Path, class: Class) -> (Header, ClassKeys) {
    TWIN.keys(vault, class)
}

/// What the pages of a class of such a vault are sealed with.
pub fn seal(vault: &Path, class: Class) -> PageSeal {
    TWIN.seal(vault, class)
}

/// Makes a vault that [`unlock`] and [`step_up`] open without Argon2id.
pub fn make_quick_vault(dir: &Path, keep_history: bool) -> Vault {
    make_quick_vault_with(dir, options().keep_history(keep_history))
}

pub fn make_quick_vault_with(dir: &Path, options: Options) -> Vault {
    let words = words();
    let factors = Credentials::passphrase(&words).and(&Twin);
    let setup = Vault::create(dir, options, factors).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    lease
        .slots()
        .dangerous_add_biometric_for_priority(&Twin)
        .unwrap();
    drop(lease);
    session.lock();
    vault
}

pub fn unlock(vault: &Vault) -> Session {
    vault.unlock(&Credentials::share(&Twin)).unwrap()
}

pub fn step_up(session: &Session) -> Lease {
    session.step_up(&Credentials::share(&Twin)).unwrap()
}

pub const DATABASES: [&str; 3] = ["emergency.db", "standard.db", "priority.db"];

pub fn database(dir: &Path, class: Class) -> PathBuf {
    let at = Class::ALL.iter().position(|each| *each == class).unwrap();
    dir.join(DATABASES[at])
}

/// Copies a vault as its files are now, also while it is open: another process reads them, since
/// closing a descriptor in this one would drop SQLite's locks.
pub fn copy(vault: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(vault).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Checks a closed vault's databases on a copy: SQLite finds them whole, and no change waits to be
/// finished. Gives how many records each has.
pub fn assert_whole_and_settled(vault: &Path) -> Vec<i64> {
    let scratch = Scratch::in_memory();
    let there = scratch.path().join("copy");
    copy(vault, &there);
    let classes = Class::ALL.into_iter().zip(DATABASES);
    classes
        .map(|(class, name)| assert_whole_and_settled_below(&unsealed(&there, class), name))
        .collect()
}

/// The same of one database without its seal.
pub fn assert_whole_and_settled_below(connection: &rusqlite::Connection, name: &str) -> i64 {
    let number = |sql: &str| {
        let ask = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        connection.query_row(sql, [], ask).unwrap()
    };
    let check: String = connection
        .query_row("PRAGMA quick_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "{name}");
    assert_eq!(number("SELECT count(*) FROM intents"), 0, "{name}");
    assert_eq!(number("SELECT count(*) FROM applied"), 0, "{name}");
    number("SELECT count(*) FROM records")
}

/// Which of the needles stand in which of the vault's files, as bytes: below the seal of pages,
/// where a file has one.
pub fn found_in_files(vault: &Path, needles: &[Needle]) -> Vec<String> {
    let scratch = Scratch::new();
    let there = scratch.path().join("copy");
    copy(vault, &there);
    let mut starts: HashMap<[u8; 16], Vec<&Needle>> = HashMap::new();
    for needle in needles {
        let start = needle.bytes.first_chunk();
        let start = start.expect("a needle is long enough to be no accident");
        starts.entry(*start).or_default().push(needle);
    }
    // Most places in a file are not worth a look at the table.
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    let mut worth = vec![false; 1 << 16];
    needles
        .iter()
        .for_each(|needle| worth[pair(&needle.bytes)] = true);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&there).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let of_class = DATABASES.iter().position(|name| file.starts_with(name));
        let bytes = match of_class.map(|at| TWIN.seal(&there, Class::ALL[at])) {
            Some(seal) if file.ends_with("-wal") => seal.open_log(&bytes),
            Some(seal) => seal.open_database(&bytes),
            None => bytes,
        };
        for at in 0..bytes.len().saturating_sub(15) {
            if !worth[pair(&bytes[at..])] {
                continue;
            }
            let start: &[u8; 16] = bytes[at..].first_chunk().unwrap();
            for needle in starts.get(start).into_iter().flatten() {
                found.push(format!("{} in {file}", needle.what));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Bytes that are looked for. Their first sixteen count: a sealed body starts with its random
/// nonce, and SQLite puts the rest of a long one on other pages.
#[derive(Clone)]
pub struct Needle {
    pub what: String,
    pub bytes: Vec<u8>,
}

/// What a closed vault holds on disk of each of these records and of its subject: the sealed bodies
/// of every revision, the subject's wrapped key and sealed name.
pub fn sealed_parts_of(vault: &Path, ids: &[(Class, RecordId)]) -> Vec<Vec<Needle>> {
    let scratch = Scratch::new();
    let there = scratch.path().join("copy");
    copy(vault, &there);
    let connections = Class::ALL.map(|class| unsealed(&there, class));
    let parts = ids.iter().enumerate().map(|(at, (class, id))| {
        let of_class = Class::ALL.iter().position(|each| each == class).unwrap();
        sealed_parts(
            &connections[of_class],
            *id,
            &format!("record {at} of {class:?}"),
        )
    });
    parts.collect()
}

fn sealed_parts(connection: &rusqlite::Connection, id: RecordId, what: &str) -> Vec<Needle> {
    let mut parts = Vec::new();
    for (part, sql) in [
        ("body", "SELECT body FROM records WHERE id = ?1"),
        ("earlier body", "SELECT body FROM revisions WHERE id = ?1"),
        (
            "key",
            "SELECT key FROM subjects JOIN records USING (subject) WHERE id = ?1",
        ),
        (
            "name",
            "SELECT name FROM subjects JOIN records USING (subject) WHERE id = ?1",
        ),
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        let blobs = statement.query_map([id.to_bytes()], |row| row.get::<_, Vec<u8>>(0));
        for blob in blobs.unwrap() {
            parts.push(Needle {
                what: format!("{what}, {}, {part}", parts.len()),
                // The suite comes first, the same everywhere.
                bytes: blob.unwrap()[1..].to_vec(),
            });
        }
    }
    parts
}
