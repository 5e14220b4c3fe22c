//! The rows of one class's database, opened and checked against docs/spec 03, 05, 08 and 09.
//!
//! **Does** read a copy of the database with a SQLite that knows nothing of vaults.
//! **Never** opens the database where it lies, or calls this project.
//! **Format** docs/spec/03-sealed-record.md, 05-schema-and-pragmas.md, 08-anchor.md.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::audit::Entry;
use super::fields::Fields;
use super::pages::PageSeal;
use super::{ClassKeys, EMERGENCY, Key, STANDARD, array, hmac, lp, message_key, open};

/// All that a class's database says.
pub struct Content {
    pub keeps_history: bool,
    pub subjects: Vec<Subject>,
    pub records: Vec<Row>,
    pub earlier: Vec<Row>,
    pub intents: usize,
    pub state: State,
    pub entries: Vec<Entry>,
    /// The AES keys of the messages met, each good for one message.
    pub message_keys: Vec<Key>,
}

/// What the database says of itself.
pub struct State {
    pub generation: u64,
    rows: [u64; 4],
    pub entries: u64,
    pub link: Key,
    pub next_key: Key,
    pub notice: u64,
    /// Which event from outside was the last that was taken in.
    pub event: [u8; 16],
    /// The key that the trail began with, sealed.
    pub root: Vec<u8>,
}

pub struct Subject {
    pub key: Key,
    pub name: Option<String>,
    number: i64,
    key_id: [u8; 16],
}

/// A record, or one of its earlier revisions.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub id: [u8; 16],
    pub revision: u64,
    pub kind: String,
    pub subject: Option<String>,
    pub created: i64,
    pub updated: i64,
    pub effective: Option<(i64, i64)>,
    pub expires: Option<i64>,
    pub pinned: bool,
    pub client: Option<(String, u64)>,
    pub device: Option<String>,
    pub app: Option<String>,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// Reads a class from copies of its files.
pub fn read_class(vault: &Path, id: [u8; 16], keys: &ClassKeys) -> Content {
    let name = match keys.class {
        EMERGENCY => "emergency.db",
        STANDARD => "standard.db",
        _ => "priority.db",
    };
    let seal = PageSeal::new(id, keys);
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    let database = std::fs::read(vault.join(name)).unwrap();
    std::fs::write(&copy, seal.open_database(&database)).unwrap();
    if let Ok(log) = std::fs::read(vault.join(format!("{name}-wal"))) {
        std::fs::write(copies.path().join("copy.db-wal"), seal.open_log(&log)).unwrap();
    }
    let connection = Connection::open(&copy).unwrap();
    check_schema(&connection);
    Reader {
        connection,
        vault: id,
        keys,
        message_keys: Vec::new(),
    }
    .read()
}

fn check_schema(connection: &Connection) {
    let pragma = |name: &str| -> i64 {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap()
    };
    assert_eq!(
        (pragma("application_id"), pragma("user_version")),
        (0x5654_4C4B, 1)
    );
    let page = include_str!("../../../docs/spec/05-schema-and-pragmas.md");
    let words = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let sql = page.split("```sql\n").nth(1).unwrap();
    let sql = sql.split("```").next().unwrap();
    let mut specified: Vec<_> = sql.split(';').map(words).collect();
    specified.retain(|statement| !statement.is_empty());
    let mut found: Vec<String> = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(|sql| words(&sql.unwrap()))
        .collect();
    specified.sort();
    found.sort();
    assert_eq!(found, specified);
}

struct Reader<'a> {
    connection: Connection,
    vault: [u8; 16],
    keys: &'a ClassKeys,
    message_keys: Vec<Key>,
}

/// Where an envelope lives.
#[derive(Clone, Copy)]
struct Place<'a> {
    table: u8,
    kind: &'a str,
    row: [u8; 16],
    number: u64,
    key_id: [u8; 16],
}

const NOWHERE: Place<'static> = Place {
    table: 0,
    kind: "",
    row: [0; 16],
    number: 0,
    key_id: [0; 16],
};

const RECORDS: &str = "SELECT id, revision, kind, subject, body, content, start, finish, updated, \
     expires, client, client_version, pinned FROM records ORDER BY place";
const REVISIONS: &str =
    "SELECT id, revision, kind, subject, body FROM revisions ORDER BY id, revision";

/// What the index columns of a record's row say.
#[derive(Debug, PartialEq, Eq)]
struct Index {
    content: i64,
    start: i64,
    finish: i64,
    updated: i64,
    expires: Option<i64>,
    client: Option<[u8; 16]>,
    client_version: Option<i64>,
    pinned: i64,
}

/// What both kinds of row have.
struct Sealed {
    id: [u8; 16],
    revision: u64,
    kind: i64,
    subject: i64,
    body: Vec<u8>,
}

impl Reader<'_> {
    fn read(mut self) -> Content {
        let (keeps_history, state) = self.settings();
        let terms = self.terms();
        let subjects = self.subjects();
        let records = self.records(&terms, &subjects);
        let earlier = self
            .rows(REVISIONS, |row| Ok(sealed(row)))
            .into_iter()
            .map(|row| self.open_row(2, row, &terms, &subjects))
            .collect();
        self.check_sum(&state);
        let entries = self.entries(&state);
        let intents = self.rows("SELECT 1 FROM intents", |_| Ok(())).len();
        Content {
            keeps_history,
            subjects,
            records,
            earlier,
            intents,
            state,
            entries,
            message_keys: self.message_keys,
        }
    }

    fn settings(&mut self) -> (bool, State) {
        let rows = self.rows("SELECT number, body FROM settings ORDER BY number", |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        let [(1, body), (2, state), (3, root)] = rows.as_slice() else {
            panic!("settings has the rows 1 to 3")
        };
        let place = Place {
            table: 6,
            number: 1,
            ..NOWHERE
        };
        let key = self.keys.settings;
        let settings = self.open(&key, place, body);
        assert_eq!(settings[..2], [1, self.keys.class]);
        assert!(settings.len() == 3 && settings[2] < 2);
        let state = self.open(&key, Place { number: 2, ..place }, state);
        let mut fields = Fields(&state);
        assert_eq!(fields.byte(), 1);
        let state = State {
            generation: fields.number(),
            rows: [(); 4].map(|()| fields.number()),
            entries: fields.number(),
            link: fields.key(),
            next_key: fields.key(),
            notice: fields.number(),
            event: fields.id(),
            root: root.clone(),
        };
        assert!(fields.rest().is_empty() && state.generation > 0);
        (settings[2] == 1, state)
    }

    /// The sum over all rows is the one that the state has.
    fn check_sum(&mut self, state: &State) {
        let mut sum = [0_u64; 4];
        for (table, sql) in [
            (1, "SELECT id, revision, body FROM records"),
            (2, "SELECT id, revision, body FROM revisions"),
            (10, "SELECT id, 0, body FROM deposits"),
        ] {
            for (id, revision, body) in self.rows(sql, |row| {
                Ok((
                    row.get::<_, [u8; 16]>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                ))
            }) {
                let tag = &body[body.len() - 16..];
                let parts = [&[1, table], &id[..], &revision.to_le_bytes(), tag];
                let hash = hmac(&self.keys.rows, &parts.concat());
                let mut carry = 0;
                for (word, more) in sum.iter_mut().zip(hash.chunks(8)) {
                    let more = u128::from(u64::from_le_bytes(array(more)));
                    let whole = u128::from(*word) + more + carry;
                    (*word, carry) = (
                        u64::try_from(whole & u128::from(u64::MAX)).unwrap(),
                        whole >> 64,
                    );
                }
            }
        }
        assert_eq!(sum, state.rows);
    }

    /// The audit trail, each entry linked with the one before it.
    fn entries(&mut self, state: &State) -> Vec<Entry> {
        let rows = self.rows("SELECT entry, body FROM audit ORDER BY entry", |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        let key = self.keys.entries;
        let mut link = [0; 32];
        let mut entries: Vec<Entry> = Vec::new();
        let segments = self.rows(
            "SELECT first, last, body FROM segments ORDER BY last",
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                ))
            },
        );
        for (first, last, body) in segments {
            let place = Place {
                table: 14,
                number: u64::try_from(last).unwrap(),
                ..NOWHERE
            };
            let packed =
                Entry::unpack(&self.open(&key, place, &body), &self.vault, self.keys.class);
            let next = entries.len() as u64 + 1;
            assert_eq!(
                (next, first),
                (packed[0].number, next.cast_signed()),
                "no gap"
            );
            for entry in packed {
                link = entry.link_after(&link, &self.vault, self.keys.class);
                assert_eq!(entry.link, link);
                entries.push(entry);
            }
            assert_eq!(entries.len() as u64, last.cast_unsigned());
        }
        let first = entries.len() as u64 + 1;
        for (number, (at, body)) in (first..).zip(rows) {
            assert_eq!(u64::try_from(at).unwrap(), number, "no entry is missing");
            let place = Place {
                table: 9,
                number,
                ..NOWHERE
            };
            let entry = Entry::read(number, &self.open(&key, place, &body));
            link = entry.link_after(&link, &self.vault, self.keys.class);
            assert_eq!(entry.link, link);
            entries.push(entry);
        }
        assert_eq!(u64::try_from(entries.len()).unwrap(), state.entries);
        assert_eq!(link, state.link);
        entries
    }

    /// Term number to (room, text).
    fn terms(&mut self) -> BTreeMap<i64, (u8, String)> {
        let rows = self.rows("SELECT term, token, body FROM terms", |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, [u8; 16]>(1)?,
                row.get::<_, Vec<u8>>(2)?,
            ))
        });
        let key = self.keys.terms;
        rows.into_iter()
            .map(|(number, token, body)| {
                let place = Place {
                    table: 5,
                    number: u64::try_from(number).unwrap(),
                    ..NOWHERE
                };
                let term = self.open(&key, place, &body);
                let text = String::from_utf8(term[1..].to_vec()).unwrap();
                assert!(matches!(term[0], 1 | 2));
                assert_eq!(token, self.keys.token(term[0], &text));
                (number, (term[0], text))
            })
            .collect()
    }

    fn subjects(&mut self) -> Vec<Subject> {
        let sql = "SELECT subject, key_id, token, key, name FROM subjects ORDER BY subject";
        let rows = self.rows(sql, |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, [u8; 16]>(1)?,
                row.get::<_, [u8; 16]>(2)?,
                row.get::<_, Vec<u8>>(3)?,
                row.get::<_, Vec<u8>>(4)?,
            ))
        });
        let wrap = self.keys.subject_wrap;
        rows.into_iter()
            .map(|(number, key_id, token, key, name)| {
                let place = Place {
                    table: 3,
                    number: u64::try_from(number).unwrap(),
                    key_id,
                    ..NOWHERE
                };
                let key = array(&self.open(&wrap, place, &key));
                let name = self.open(&key, Place { table: 4, ..place }, &name);
                let name = match name.split_first().unwrap() {
                    (0, []) => None,
                    (1, name) => Some(String::from_utf8(name.to_vec()).unwrap()),
                    _ => panic!("a subject's name is 1 and text, or 0"),
                };
                let right = match &name {
                    Some(name) => self.keys.token(3, name),
                    None => self.keys.token(5, ""),
                };
                assert_eq!(token, right);
                Subject {
                    key,
                    name,
                    number,
                    key_id,
                }
            })
            .collect()
    }

    fn records(&mut self, terms: &BTreeMap<i64, (u8, String)>, subjects: &[Subject]) -> Vec<Row> {
        let rows = self.rows(RECORDS, |row| {
            let index = Index {
                content: row.get(5)?,
                start: row.get(6)?,
                finish: row.get(7)?,
                updated: row.get(8)?,
                expires: row.get(9)?,
                client: row.get(10)?,
                client_version: row.get(11)?,
                pinned: row.get(12)?,
            };
            Ok((sealed(row), index))
        });
        rows.into_iter()
            .map(|(row, index)| {
                let row = self.open_row(1, row, terms, subjects);
                let (start, finish) = row.effective.unwrap_or((i64::MIN, i64::MIN));
                let client = row.client.as_ref();
                let sealed = Index {
                    content: index.content,
                    start,
                    finish,
                    updated: row.updated,
                    expires: row.expires,
                    client: client.map(|(id, _)| self.keys.token(4, id)),
                    client_version: client.map(|(_, version)| i64::try_from(*version).unwrap()),
                    pinned: i64::from(row.pinned),
                };
                assert_eq!(index, sealed, "the index columns repeat what is sealed");
                assert_eq!(terms[&index.content], (2, row.content_type.clone()));
                row
            })
            .collect()
    }

    fn open_row(
        &mut self,
        table: u8,
        row: Sealed,
        terms: &BTreeMap<i64, (u8, String)>,
        subjects: &[Subject],
    ) -> Row {
        let (1, kind) = &terms[&row.kind] else {
            panic!("a kind's term is of room 1")
        };
        let mut of_row = subjects
            .iter()
            .filter(|subject| subject.number == row.subject);
        let subject = of_row.next().unwrap();
        let place = Place {
            table,
            kind,
            row: row.id,
            number: row.revision,
            key_id: subject.key_id,
        };
        let plain = self.open(&subject.key, place, &row.body);
        let mut fields = Fields(&plain);
        assert_eq!(fields.byte(), 1, "the codec");
        let flags = fields.byte();
        assert_eq!(flags & !63, 0, "flags that the format does not know");
        let has = |flag: u8| flags & flag != 0;
        let (created, updated) = (fields.time(), fields.time());
        Row {
            id: row.id,
            revision: row.revision,
            kind: kind.clone(),
            subject: subject.name.clone(),
            created,
            updated,
            effective: has(1).then(|| (fields.time(), fields.time())),
            pinned: has(32),
            expires: has(2).then(|| fields.time()),
            client: has(4).then(|| {
                let version = fields.number();
                (fields.text(), version)
            }),
            device: has(8).then(|| fields.text()),
            app: has(16).then(|| fields.text()),
            content_type: fields.text(),
            body: fields.rest().to_vec(),
        }
    }

    fn open(&mut self, key: &Key, place: Place<'_>, envelope: &[u8]) -> Vec<u8> {
        self.message_keys.push(message_key(key, envelope));
        let associated = [
            &lp(b"vitalock/1/row")[..],
            &[1],
            &self.vault,
            &[self.keys.class, place.table],
            &lp(place.kind.as_bytes()),
            &place.row,
            &place.number.to_le_bytes(),
            &place.key_id,
        ]
        .concat();
        open(key, &associated, envelope).expect("an envelope opens in its place")
    }

    fn rows<T>(
        &self,
        sql: &str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let mut statement = self.connection.prepare(sql).unwrap();
        let rows = statement.query_map([], read).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn sealed(row: &rusqlite::Row<'_>) -> Sealed {
    Sealed {
        id: row.get(0).unwrap(),
        revision: u64::try_from(row.get::<_, i64>(1).unwrap()).unwrap(),
        kind: row.get(2).unwrap(),
        subject: row.get(3).unwrap(),
        body: row.get(4).unwrap(),
    }
}
