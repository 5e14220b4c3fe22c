//! Plain SQLite doing the same work: the columns and indexes of docs/spec/05 with names and bodies
//! in clear, one connection with the page size and the cache of a vault's.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use vitalock::{KdfParameters, Timestamp, Vault, fhir::Reader};

use super::population::{CONTENT_TYPE, KIND, Observation};
use super::question::Question;
use super::shared::WORDS;
use super::sql;
use super::store::{Cost, Files, Store};

/// How SQLite is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As most apps do: WAL with `synchronous` FULL, and SQLite's own defaults.
    Usual,
    /// With a vault's settings: what they cost before anything is sealed.
    Hardened,
}

/// An SQLite database in clear.
pub(crate) struct Plain {
    file: PathBuf,
    manner: Manner,
    open: Option<Open>,
    ids: Vec<[u8; 16]>,
    last_updated: i64,
    /// When a record was put, for the questions that were prepared.
    since: HashMap<u64, i64>,
}

struct Open {
    connection: Connection,
    /// An empty database of the same schema.
    other: Option<Connection>,
    /// Numbers of kinds and content types, and of subjects: an app looks each up once.
    terms: HashMap<String, i64>,
    subjects: HashMap<String, i64>,
}

impl Store for Plain {
    fn put(&mut self, records: Vec<Observation>) {
        self.begin();
        for record in &records {
            let row = NewRow {
                kind: KIND,
                subject: Some(&record.subject),
                content: CONTENT_TYPE,
                effective: Some((record.start, record.start)),
                client: None,
                body: &record.body,
            };
            let id = self.insert(&row);
            self.ids.push(id);
        }
        self.commit();
    }

    fn read(&mut self, number: u64) -> usize {
        read(&self.opened().connection, &self.ids[number as usize])
    }

    fn find(&mut self, question: &Question, most: usize) -> (usize, usize) {
        let bound = self.bind(question);
        let mut statement = self
            .opened()
            .connection
            .prepare_cached(bound.select)
            .unwrap();
        let (first, second, third) = bound.values;
        let mut rows = statement
            .query(params![first, second, third, most as i64])
            .unwrap();
        let (mut found, mut bytes) = (0, 0);
        while let Some(row) = rows.next().unwrap() {
            found += 1;
            bytes += Found::read(row).unwrap().body.len();
        }
        (found, bytes)
    }

    fn count(&mut self, question: &Question) -> u64 {
        let bound = self.bind(question);
        let mut statement = self
            .opened()
            .connection
            .prepare_cached(bound.count)
            .unwrap();
        let counted: i64 = statement.query_row(bound.values, |row| row.get(0)).unwrap();
        counted as u64
    }

    fn import(&mut self, bundle: &[u8]) -> usize {
        let resources = Reader::new().bundle(bundle).unwrap();
        self.begin();
        for resource in &resources {
            let client = resource.id().map(|id| {
                (
                    format!("{}/{id}", resource.kind()),
                    resource.version().unwrap_or(0),
                )
            });
            let effective = resource.effective();
            let row = NewRow {
                kind: resource.kind(),
                subject: resource.subject(),
                content: CONTENT_TYPE,
                effective: effective.map(|(from, until)| (from.to_micros(), until.to_micros())),
                client: client
                    .as_ref()
                    .map(|(id, version)| (id.as_str(), *version as i64)),
                body: resource.json(),
            };
            if !self.is_held(&row) {
                self.insert(&row);
            }
        }
        self.commit();
        resources.len()
    }

    fn len(&self) -> u64 {
        self.ids.len() as u64
    }

    fn prepare(&mut self, question: &Question) {
        if let Question::Since { number } = *question {
            let id = &self.ids[number as usize];
            let sql = "SELECT updated FROM records WHERE id = ?1";
            let updated = self
                .opened()
                .connection
                .query_row(sql, [id], |row| row.get(0));
            self.since.insert(number, updated.unwrap());
        }
    }

    fn close(&mut self) {
        self.open = None;
    }

    fn open(&mut self, number: u64, files: Files) -> usize {
        let other = (files == Files::Two).then(|| {
            let connection = connect(&beside(&self.file), self.manner);
            let found = connection
                .prepare("SELECT 1 FROM records LIMIT 1")
                .unwrap()
                .exists([]);
            assert!(!found.unwrap());
            connection
        });
        self.open = Some(Open {
            other,
            ..Open::new(&self.file, self.manner)
        });
        self.read(number)
    }

    fn bytes_on_disk(&mut self) -> u64 {
        self.close();
        let bytes = fs::metadata(&self.file).unwrap().len();
        self.open = Some(Open::new(&self.file, self.manner));
        bytes
    }

    fn unlock(&mut self, cost: Cost) {
        let cost = match cost {
            Cost::Default => KdfParameters::DEFAULT,
            Cost::Floor => KdfParameters::FLOOR,
        };
        let params = Params::new(cost.memory_kib(), cost.passes(), cost.lanes(), Some(32)).unwrap();
        let mut blocks = vec![Block::new(); params.block_count()];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(WORDS, &[7; 16], &mut [0; 32], &mut blocks)
            .unwrap();
        self.open = Some(Open::new(&self.file, self.manner));
    }
}

impl Plain {
    /// Makes an empty store.
    pub(crate) fn make(at: &Path, manner: Manner) -> Self {
        let file = at.join("plain.db");
        if manner == Manner::Hardened {
            // Installs the allocator that wipes what SQLite frees.
            assert!(Vault::memory_protection().sqlite_heap_wiped);
        }
        for file in [&file, &beside(&file)] {
            let connection = Connection::open(file).unwrap();
            connection.pragma_update(None, "page_size", 4096).unwrap();
            if manner == Manner::Hardened {
                connection.pragma_update(None, "auto_vacuum", 2).unwrap();
            }
            connection.execute_batch(sql::SCHEMA).unwrap();
        }
        let open = Some(Open::new(&file, manner));
        Self {
            file,
            manner,
            open,
            ids: Vec::new(),
            last_updated: 0,
            since: HashMap::new(),
        }
    }

    fn opened(&self) -> &Open {
        self.open.as_ref().expect("the database is open")
    }

    /// A question in this database's numbers.
    fn bind(&mut self, question: &Question) -> Bound {
        let open = self.open.as_mut().expect("the database is open");
        let kind = number_of(&mut open.terms, &open.connection, "terms", KIND);
        let mut subject =
            |name: &str| number_of(&mut open.subjects, &open.connection, "subjects", name);
        let (select, count, values) = match question {
            Question::Latest { subject: name } => {
                (sql::LATEST, sql::COUNT_LATEST, (subject(name), kind, 0))
            }
            Question::Window { from, until } => {
                (sql::IN_WINDOW, sql::COUNT_WINDOW, (kind, *from, *until))
            }
            Question::Since { number } => {
                (sql::SINCE, sql::COUNT_SINCE, (self.since[number], 0, 0))
            }
            Question::Timeline {
                subject: name,
                until,
            } => (
                sql::TIMELINE,
                sql::COUNT_TIMELINE,
                (subject(name), *until, 0),
            ),
        };
        Bound {
            select,
            count,
            values,
        }
    }

    fn begin(&self) {
        execute(&self.opened().connection, "BEGIN IMMEDIATE");
    }

    fn commit(&self) {
        execute(&self.opened().connection, "COMMIT");
    }

    /// Whether this version of the client's record, or a later one, is there already.
    fn is_held(&self, row: &NewRow<'_>) -> bool {
        let Some((client, version)) = row.client else {
            return false;
        };
        let mut statement = self
            .opened()
            .connection
            .prepare_cached("SELECT client_version FROM records WHERE client = ?1")
            .unwrap();
        let held: Option<i64> = statement
            .query_row([client.as_bytes()], |row| row.get(0))
            .optional()
            .unwrap();
        held.is_some_and(|held| held >= version)
    }

    fn insert(&mut self, row: &NewRow<'_>) -> [u8; 16] {
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        self.last_updated = Timestamp::now().to_micros().max(self.last_updated + 1);
        let updated = self.last_updated;
        let open = self.open.as_mut().expect("the database is open");
        let connection = &open.connection;
        let kind = number_of(&mut open.terms, connection, "terms", row.kind);
        let content = number_of(&mut open.terms, connection, "terms", row.content);
        let subject = row.subject.unwrap_or("");
        let subject = number_of(&mut open.subjects, connection, "subjects", subject);
        let (start, finish) = row.effective.unwrap_or((i64::MIN, i64::MIN));
        let mut statement = connection.prepare_cached(sql::INSERT).unwrap();
        statement
            .execute(params![
                id,
                1_i64,
                kind,
                subject,
                content,
                start,
                finish,
                updated,
                None::<i64>,
                row.client.map(|(id, _)| id.as_bytes()),
                row.client.map(|(_, version)| version),
                row.body,
            ])
            .unwrap();
        id
    }
}

impl Open {
    fn new(file: &Path, manner: Manner) -> Self {
        Self {
            connection: connect(file, manner),
            other: None,
            terms: HashMap::new(),
            subjects: HashMap::new(),
        }
    }
}

/// Where the second database lies.
fn beside(file: &Path) -> PathBuf {
    file.with_extension("beside")
}

fn connect(file: &Path, manner: Manner) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match manner {
        Manner::Usual => Connection::open_with_flags(file, flags),
        Manner::Hardened => Connection::open_with_flags_and_vfs(file, flags, c"unix-excl"),
    };
    let connection = connection.unwrap();
    let set = |name, value: i64| connection.pragma_update(None, name, value).unwrap();
    // This copy of SQLite is compiled to overwrite what is deleted; plain SQLite does not.
    set("secure_delete", i64::from(manner == Manner::Hardened));
    if manner == Manner::Hardened {
        set("cell_size_check", 1);
        set("cache_spill", 0);
    }
    set("cache_size", -16 * 1024);
    set("synchronous", 2);
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    connection
}

/// A question as SQL.
struct Bound {
    select: &'static str,
    count: &'static str,
    values: (i64, i64, i64),
}

/// What is put.
struct NewRow<'a> {
    kind: &'a str,
    subject: Option<&'a str>,
    content: &'a str,
    effective: Option<(i64, i64)>,
    client: Option<(&'a str, i64)>,
    body: &'a [u8],
}

/// What is read: every column, since an app shows a record with its times and identity.
struct Found {
    _id: [u8; 16],
    _numbers: [i64; 9],
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
                row.get(12)?,
            ],
            _client: (row.get(9)?, row.get(10)?, row.get(11)?),
            body: row.get(13)?,
        })
    }
}

fn execute(connection: &Connection, sql: &str) {
    let mut statement = connection.prepare_cached(sql).unwrap();
    statement.execute([]).unwrap();
}

fn read(connection: &Connection, id: &[u8; 16]) -> usize {
    let mut statement = connection.prepare_cached(sql::BY_ID).unwrap();
    let found = statement.query_row([id], Found::read).unwrap();
    found.body.len()
}

/// The number of a name, which is given one where it has none.
fn number_of(
    known: &mut HashMap<String, i64>,
    connection: &Connection,
    table: &str,
    name: &str,
) -> i64 {
    if let Some(number) = known.get(name) {
        return *number;
    }
    let (find, make) = match table {
        "terms" => (
            "SELECT term FROM terms WHERE name = ?1",
            "INSERT INTO terms (name) VALUES (?1)",
        ),
        _ => (
            "SELECT subject FROM subjects WHERE name = ?1",
            "INSERT INTO subjects (name) VALUES (?1)",
        ),
    };
    let mut find = connection.prepare_cached(find).unwrap();
    let found: Option<i64> = find.query_row([name], |row| row.get(0)).optional().unwrap();
    let number = found.unwrap_or_else(|| {
        let mut make = connection.prepare_cached(make).unwrap();
        make.execute([name]).unwrap();
        connection.last_insert_rowid()
    });
    known.insert(name.to_owned(), number);
    number
}
