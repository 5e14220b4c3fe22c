//! The VFS under SQLite itself: what it answers, and what it leaves on the medium.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{Pages, SealingVfs, reserve_tail};
use crate::class::Class;
use crate::fs::MemoryDir;
use crate::id::{VaultId, decode_hex_into};
use crate::sealing::PageSealer;
use crate::secret::SecretKey;

pub(in crate::storage) fn sealer() -> PageSealer {
    let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|key| {
        key.fill(7);
        Ok(())
    });
    PageSealer::new(key, VaultId::from_bytes([9; 16]), Class::Standard)
}

pub(super) const PAGES: Pages = Pages {
    sizes: &[4096],
    may_be_none: true,
    of_a_vault: true,
};

/// A sealed database with a schema of the test's own.
pub(in crate::storage) struct Unschooled {
    vfs: SealingVfs,
    directory: tempfile::TempDir,
}

impl Unschooled {
    pub(in crate::storage) fn make(schema: &str) -> Self {
        Self::make_with(schema, PAGES, None)
    }

    pub(super) fn make_with(schema: &str, pages: Pages, memory: Option<MemoryDir>) -> Self {
        let vfs = SealingVfs::register(c"unix-excl", sealer(), pages, memory).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let database = Self { vfs, directory };
        let connection = database.open();
        reserve_tail(&connection).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = MEMORY; PRAGMA page_size = 4096;
                 PRAGMA auto_vacuum = INCREMENTAL;",
            )
            .unwrap();
        connection.execute_batch(schema).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL")
            .unwrap();
        drop(connection);
        database
    }

    pub(in crate::storage) fn path(&self) -> PathBuf {
        std::fs::canonicalize(self.directory.path())
            .unwrap()
            .join("rows.db")
    }

    pub(in crate::storage) fn open(&self) -> Connection {
        self.open_at(&self.path())
    }

    pub(in crate::storage) fn open_at(&self, path: &Path) -> Connection {
        let connection = self.open_unset_at(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA synchronous = FULL;",
            )
            .unwrap();
        connection
    }

    /// Opens, and changes no setting.
    pub(in crate::storage) fn open_unset_at(&self, path: &Path) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        Connection::open_with_flags_and_vfs(path, flags, self.vfs.name())
    }
}

/// The sealed database that docs/spec/vectors/make.py has written.
struct Vector(serde_json::Value);

impl Vector {
    fn load() -> Self {
        let text = include_str!("../../../docs/spec/vectors/pages.json");
        Self(serde_json::from_str(text).unwrap())
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        hex(self.0.pointer(path).unwrap())
    }

    fn sealer(&self) -> PageSealer {
        let bytes: [u8; 32] = self.bytes("/page_key").try_into().unwrap();
        let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|key| {
            *key = bytes;
            Ok(())
        });
        let vault = VaultId::from_bytes(self.bytes("/vault").try_into().unwrap());
        assert_eq!(self.0["class"], Class::Standard.code());
        PageSealer::new(key, vault, Class::Standard)
    }

    /// The database in a directory of its own, with its log or without.
    fn lay_out(&self, with_log: bool) -> Unschooled {
        let vfs = SealingVfs::register(c"unix-excl", self.sealer(), PAGES, None).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let database = Unschooled { vfs, directory };
        let path = database.path();
        std::fs::write(&path, self.bytes("/database/sealed")).unwrap();
        if with_log {
            let log = path.with_file_name("rows.db-wal");
            std::fs::write(log, self.bytes("/log/sealed")).unwrap();
        }
        database
    }

    fn rows(&self) -> Vec<(i64, Vec<u8>)> {
        let rows = self.0["rows"].as_array().unwrap().iter();
        rows.map(|row| (row[0].as_i64().unwrap(), hex(&row[1])))
            .collect()
    }
}

fn hex(text: &serde_json::Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    let mut bytes = vec![0; text.len() / 2];
    assert!(decode_hex_into(text, &mut bytes));
    bytes
}

fn notes(connection: &Connection) -> Vec<(i64, Vec<u8>)> {
    let mut statement = connection
        .prepare("SELECT number, body FROM notes ORDER BY number")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_database_that_another_implementation_sealed_is_read_with_the_commit_in_its_log() {
    let vector = Vector::load();
    let written = vector.rows();
    assert_eq!(written.len(), 3);
    let database = vector.lay_out(true);
    let connection = database.open();
    assert_eq!(notes(&connection), written);
    let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    assert_eq!(check, Ok("ok".to_owned()));
    connection
        .execute("INSERT INTO notes (body) VALUES (x'77')", [])
        .unwrap();
    drop(connection);
    let rows = notes(&database.open());
    assert_eq!((rows.len(), &rows[..3]), (4, &written[..]));

    // The third row stands in the log alone.
    let without = vector.lay_out(false);
    assert_eq!(notes(&without.open()), written[..2]);
}

#[test]
fn the_database_of_the_vector_is_nothing_to_another_key() {
    let vector = Vector::load();
    let mut database = vector.lay_out(true);
    database.vfs = SealingVfs::register(c"unix-excl", sealer(), PAGES, None).unwrap();
    let connection = Connection::open_with_flags_and_vfs(
        database.path(),
        OpenFlags::SQLITE_OPEN_READ_WRITE,
        database.vfs.name(),
    );
    let asked = connection
        .unwrap()
        .query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0));
    let code = asked
        .unwrap_err()
        .sqlite_error()
        .map(|error| error.extended_code);
    assert_eq!(code, Some(rusqlite::ffi::SQLITE_IOERR_DATA));
}

/// Frames were once compared with the header of the log as it lies on the medium: an older log in
/// the place of the present one was then read, header and all, by every connection that came to it.
#[test]
fn an_older_log_is_not_read_in_the_place_of_the_present_one() {
    let database = Unschooled::make("CREATE TABLE notes (body)");
    let log = database.path().with_file_name("rows.db-wal");
    let writer = database.open();
    let body = |connection: &Connection| {
        connection.query_row("SELECT body FROM notes", [], |row| row.get::<_, String>(0))
    };
    writer
        .execute("INSERT INTO notes VALUES ('first')", [])
        .unwrap();
    writer
        .execute("UPDATE notes SET body = 'older'", [])
        .unwrap();
    // SQLite holds no locks on the log, so that this process may open it as well.
    let older = std::fs::read(&log).unwrap();
    crate::storage::store::empty_log(&writer).unwrap();
    writer
        .execute("UPDATE notes SET body = 'other'", [])
        .unwrap();
    writer
        .execute("UPDATE notes SET body = 'newer'", [])
        .unwrap();
    let newer = std::fs::read(&log).unwrap();
    assert_eq!(older.len(), newer.len());

    let reader = database.open();
    std::fs::write(&log, older).unwrap();
    let code = body(&reader)
        .unwrap_err()
        .sqlite_error()
        .map(|error| error.extended_code);
    assert_eq!(code, Some(rusqlite::ffi::SQLITE_IOERR_DATA));
    std::fs::write(&log, newer).unwrap();
    assert_eq!(body(&reader), Ok("newer".to_owned()));
}

/// No vault is vacuumed whole: what is erased goes page by page. But nothing of SQLite stands in the
/// way.
#[test]
fn a_sealed_database_can_be_vacuumed_whole_and_page_by_page() {
    for vacuum in ["VACUUM", "PRAGMA incremental_vacuum"] {
        let database = Unschooled::make("CREATE TABLE notes (number INTEGER PRIMARY KEY, body)");
        let connection = database.open();
        connection
            .execute_batch(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)
                 INSERT INTO notes SELECT i, randomblob(1000) FROM n;",
            )
            .unwrap();
        crate::storage::store::empty_log(&connection).unwrap();
        let size = || std::fs::metadata(database.path()).unwrap().len();
        let full = size();
        connection
            .execute("DELETE FROM notes WHERE number % 20 > 0", [])
            .unwrap();
        let left = notes(&connection);
        assert_eq!(left.len(), 100);
        {
            // The one gives a page back at each step.
            let mut statement = connection.prepare(vacuum).unwrap();
            let mut steps = statement.raw_query();
            while steps.next().unwrap().is_some() {}
        }
        crate::storage::store::empty_log(&connection).unwrap();
        let after = size();
        assert!(after * 5 < full, "{vacuum}: {full} {after}");
        drop(connection);

        let connection = database.open();
        assert!(notes(&connection) == left, "{vacuum}");
        let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
        assert_eq!(check, Ok("ok".to_owned()));
        drop(connection);
        // Every page is sealed anew for the place that it has now.
        let bytes = std::fs::read(database.path()).unwrap();
        assert_eq!(bytes.len() % 4096, 0);
        for (number, page) in (1..).zip(bytes.chunks(4096)) {
            let mut page = page.to_vec();
            assert!(sealer().open(&mut page, crate::sealing::Unit::Page(number)));
        }
        let names = std::fs::read_dir(database.directory.path()).unwrap();
        assert_eq!(names.count(), 1, "no other file is left");
    }
}
