//! Rows in SQLite or SQLCipher, doing what a vault does: its columns and indexes (docs/spec/05)
//! with names and bodies as they are, its page size, its cache and its durability.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::peer::population::{CONTENT_TYPE, KIND, Observation};
use super::peer::store::Store;
use super::sql;

/// What tells one library from the other.
pub(crate) trait Library {
    /// The name and version, besides SQLite's own.
    fn version(connection: &Connection) -> String;

    /// What comes first on every connection: a key, where there is one.
    fn unlock(connection: &Connection);
}

/// One database, through one connection.
pub(crate) struct Rows<L> {
    file: PathBuf,
    open: Option<Open>,
    ids: Vec<[u8; 16]>,
    last_updated: i64,
    library: PhantomData<L>,
}

struct Open {
    connection: Connection,
    /// Numbers of kinds and content types, and of subjects: an app looks each up once.
    terms: HashMap<String, i64>,
    subjects: HashMap<String, i64>,
}

impl<L: Library> Store for Rows<L> {
    fn make(at: &Path) -> Self {
        let file = at.join("records.db");
        let connection = Connection::open(&file).unwrap();
        L::unlock(&connection);
        connection.pragma_update(None, "page_size", 4096).unwrap();
        connection.execute_batch(sql::SCHEMA).unwrap();
        drop(connection);
        let mut rows = Self {
            file,
            open: None,
            ids: Vec::new(),
            last_updated: 0,
            library: PhantomData,
        };
        rows.open();
        rows
    }

    fn version(&self) -> String {
        L::version(self.connection())
    }

    fn put(&mut self, records: Vec<Observation>) {
        execute(self.connection(), "BEGIN IMMEDIATE");
        for record in &records {
            let id = self.insert(record);
            self.ids.push(id);
        }
        execute(self.connection(), "COMMIT");
    }

    fn len(&self) -> u64 {
        self.ids.len() as u64
    }

    fn read(&mut self, number: u64) -> usize {
        let id = &self.ids[number as usize];
        let mut statement = self.connection().prepare_cached(sql::BY_ID).unwrap();
        let found = statement.query_row([id], Found::read).unwrap();
        found.body.len()
    }

    fn range(&mut self, from: i64, until: i64) -> (usize, usize) {
        let open = self.open.as_mut().expect("the database is open");
        let kind = number_of(&mut open.terms, &open.connection, &TERMS, KIND);
        let mut statement = open.connection.prepare_cached(sql::IN_WINDOW).unwrap();
        let mut rows = statement.query(params![kind, from, until, -1]).unwrap();
        let (mut found, mut bytes) = (0, 0);
        while let Some(row) = rows.next().unwrap() {
            found += 1;
            bytes += Found::read(row).unwrap().body.len();
        }
        (found, bytes)
    }

    fn close(&mut self) {
        self.open = None;
    }

    fn open(&mut self) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags).unwrap();
        L::unlock(&connection);
        for (name, value) in [("cache_size", -16 * 1024), ("synchronous", 2)] {
            connection.pragma_update(None, name, value).unwrap();
        }
        let mode = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        assert_eq!(mode.unwrap(), "wal");
        self.open = Some(Open {
            connection,
            terms: HashMap::new(),
            subjects: HashMap::new(),
        });
    }
}

impl<L> Rows<L> {
    fn connection(&self) -> &Connection {
        let open = self.open.as_ref().expect("the database is open");
        &open.connection
    }

    fn insert(&mut self, record: &Observation) -> [u8; 16] {
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.last_updated = (now.as_micros() as i64).max(self.last_updated + 1);
        let open = self.open.as_mut().expect("the database is open");
        let connection = &open.connection;
        let kind = number_of(&mut open.terms, connection, &TERMS, KIND);
        let content = number_of(&mut open.terms, connection, &TERMS, CONTENT_TYPE);
        let subject = number_of(&mut open.subjects, connection, &SUBJECTS, &record.subject);
        let mut statement = connection.prepare_cached(sql::INSERT).unwrap();
        statement
            .execute(params![
                id,
                1_i64,
                kind,
                subject,
                content,
                record.start,
                record.start,
                self.last_updated,
                None::<i64>,
                None::<&[u8]>,
                None::<i64>,
                record.body,
            ])
            .unwrap();
        id
    }
}

/// What is read: every column, since an app shows a record with its times and identity.
struct Found {
    _id: [u8; 16],
    _numbers: [i64; 8],
    _client: (Option<i64>, Option<Vec<u8>>, Option<i64>),
    body: Vec<u8>,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            _id: row.get(1)?,
            _numbers: [
                row.get(0)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
                row.get(8)?,
            ],
            _client: (row.get(9)?, row.get(10)?, row.get(11)?),
            body: row.get(12)?,
        })
    }
}

fn execute(connection: &Connection, sql: &str) {
    let mut statement = connection.prepare_cached(sql).unwrap();
    statement.execute([]).unwrap();
}

/// How a table gives names numbers.
struct Numbering {
    find: &'static str,
    make: &'static str,
}

const TERMS: Numbering = Numbering {
    find: "SELECT term FROM terms WHERE name = ?1",
    make: "INSERT INTO terms (name) VALUES (?1)",
};

const SUBJECTS: Numbering = Numbering {
    find: "SELECT subject FROM subjects WHERE name = ?1",
    make: "INSERT INTO subjects (name) VALUES (?1)",
};

/// The number of a name, which is given one where it has none.
fn number_of(
    known: &mut HashMap<String, i64>,
    connection: &Connection,
    table: &Numbering,
    name: &str,
) -> i64 {
    if let Some(number) = known.get(name) {
        return *number;
    }
    let mut find = connection.prepare_cached(table.find).unwrap();
    let found: Option<i64> = find.query_row([name], |row| row.get(0)).optional().unwrap();
    let number = found.unwrap_or_else(|| {
        let mut make = connection.prepare_cached(table.make).unwrap();
        make.execute([name]).unwrap();
        connection.last_insert_rowid()
    });
    known.insert(name.to_owned(), number);
    number
}
