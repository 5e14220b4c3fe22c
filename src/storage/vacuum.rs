//! A full VACUUM of a sealed database, which this crate never runs but a tool with the keys may.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::connection;
use super::vfs::{Pages, SealingVfs};
use super::{IndexEntry, Store};
use crate::class::Class;
use crate::id::{RecordId, VaultId};
use crate::sealing::{PageSealer, Sealed};
use crate::secret::SecretKey;

#[path = "../../tests/support/spec/mod.rs"]
mod spec;

const VAULT: [u8; 16] = [9; 16];

/// The keys of a class as the second implementation derives them.
fn keys() -> spec::ClassKeys {
    spec::ClassKeys::derive(&VAULT, spec::STANDARD, &[7; 32])
}

fn sealer() -> PageSealer {
    let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|key| {
        *key = keys().page;
        Ok(())
    });
    PageSealer::new(key, VaultId::from_bytes(VAULT), Class::Standard)
}

/// A connection without the authorizer and limits of this crate's own.
fn unguarded(path: &Path, vfs: &SealingVfs) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, vfs.name()).unwrap();
    let settings =
        "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON; PRAGMA cache_spill = OFF";
    connection.execute_batch(settings).unwrap();
    connection
}

type Row = (i64, Vec<u8>, Vec<u8>);

fn rows(connection: &Connection) -> Vec<Row> {
    let mut statement = connection
        .prepare("SELECT place, id, body FROM records ORDER BY place")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// A database with 400 rows, every other one of which was deleted, and what this crate gives back
/// then given back.
fn fill(path: &Path) {
    std::fs::write(path, "").unwrap();
    let settings = Sealed::from_stored(vec![1; 64]);
    Store::create(path, sealer(), [&settings; 3], |_| Ok(())).unwrap();
    let store = Store::open(path, sealer()).unwrap();
    let filled = store.write(|writing| {
        for number in 0..400 {
            let index = IndexEntry {
                kind: 1,
                subject: 1,
                content: 1,
                start: number,
                finish: number,
                updated: number,
                expires: (number % 2 == 0).then_some(0),
                client: None,
                client_version: None,
                pinned: 0,
            };
            let mut body = vec![0; 900];
            getrandom::fill(&mut body).unwrap();
            let id = RecordId::make().unwrap();
            writing.insert(id, 1, &index, &Sealed::from_stored(body))?;
        }
        Ok(())
    });
    filled.unwrap();
    let removed = store
        .write(|writing| writing.remove_expired(1, usize::MAX))
        .unwrap();
    assert_eq!(removed.records.len(), 200);
    store.scrub(|| {}).unwrap();
}

#[test]
fn a_vacuumed_database_is_smaller_has_the_same_rows_and_unseals_by_the_specification() {
    let directory = tempfile::tempdir().unwrap();
    let path = std::fs::canonicalize(directory.path())
        .unwrap()
        .join("standard.db");
    fill(&path);
    let before = length(&path);
    let pages = Pages {
        sizes: &[4096],
        may_be_none: false,
        of_a_vault: true,
    };
    let vfs = SealingVfs::register(c"unix-excl", sealer(), pages, None).unwrap();
    let connection = unguarded(&path, &vfs);
    let held = rows(&connection);
    assert_eq!(held.len(), 200);
    connection.execute_batch("VACUUM").unwrap();
    assert!(rows(&connection) == held);
    // What it was built in lay in memory: beside the database there is its log and nothing else.
    let names = path.parent().unwrap().read_dir().unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["standard.db", "standard.db-wal"]);
    connection.close().unwrap();
    let after = length(&path);
    assert!(after < before * 2 / 3, "{after} of {before}");

    // It is a database as this crate makes them: schema, page size, reserved bytes, vacuum mode.
    let store = Store::open(path.as_path(), sealer()).unwrap();
    assert_eq!(store.settings().unwrap().as_bytes(), [1; 64]);
    drop(store);
    let seal = spec::pages::PageSeal::new(VAULT, &keys());
    let plain = path.with_file_name("plain.db");
    std::fs::write(&plain, seal.open_database(&std::fs::read(&path).unwrap())).unwrap();
    let plain = Connection::open(plain).unwrap();
    assert!(rows(&plain) == held);
    let check: String = plain
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_vacuum_on_a_connection_of_this_crate_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = std::fs::canonicalize(directory.path())
        .unwrap()
        .join("standard.db");
    fill(&path);
    let before = std::fs::read(&path).unwrap();
    for role in [connection::Role::Writer, connection::Role::Reader] {
        let vfs = connection::register_vfs(sealer(), role, None).unwrap();
        let connection = connection::open(&path, &vfs, role).unwrap();
        let into = path.with_file_name("other.db");
        for sql in [
            "VACUUM".to_owned(),
            format!("VACUUM INTO '{}'", into.display()),
        ] {
            assert!(connection.execute_batch(&sql).is_err(), "{sql}");
        }
        drop(connection);
        assert!(!into.exists());
    }
    assert!(std::fs::read(&path).unwrap() == before);
}
