//! What both layers of sealing cost in room, beside the rows that an app keeps in clear.

use std::path::Path;

use rusqlite::{Connection, params};
use vitalock::{Batch, Class, Record, Timestamp};

use crate::population::{CONTENT_TYPE, KIND, observation};
use crate::sql::{INSERT, SCHEMA};
use crate::support::Scratch;
use crate::support::data::tell;
use crate::support::fixture::{database, make_quick_vault, unlock, unsealed};

const RECORDS: u64 = 10_000;
const TOGETHER: u64 = 1_000;

#[test]
fn a_vault_is_hardly_larger_than_a_plain_database_with_the_same_records_in_clear() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    for first in (0..RECORDS).step_by(usize::try_from(TOGETHER).unwrap()) {
        let mut batch = Batch::new();
        for number in first..first + TOGETHER {
            let observation = observation(number);
            let record = Record::new(KIND, observation.body)
                .content_type(CONTENT_TYPE)
                .subject(&observation.subject)
                .effective(Timestamp::from_micros(observation.start));
            batch.put(record);
        }
        session.commit(&batch).unwrap();
    }
    drop((session, vault));
    let sealed = length(&database(&scratch.vault(), Class::Standard));

    // What an app would store, with the same columns and indexes.
    let clear = scratch.path().join("clear.db");
    rows_in_clear(&scratch.vault(), &clear);
    let clear = length(&clear);
    let ratio = sealed as f64 / clear as f64;
    tell(&format!(
        "{RECORDS} records: {sealed} bytes sealed, {clear} with rows in clear, {ratio:.4} times"
    ));
    assert!(sealed > 10 << 20, "it is about data, not about empty pages");
    // The audit trail is part of it, of which rows in clear have nothing.
    assert!((1.0..=1.06).contains(&ratio), "{ratio}");
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// A database as SQLite makes it by itself.
fn plain(path: &Path, schema: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL")
        .unwrap();
    let size: i64 = connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .unwrap();
    assert_eq!(size, 4096);
    connection.execute_batch(schema).unwrap();
    connection
}

/// The same index entries with the bodies as an app has them.
fn rows_in_clear(vault: &Path, to: &Path) {
    let from = unsealed(vault, Class::Standard);
    let connection = plain(to, SCHEMA);
    for term in [KIND, CONTENT_TYPE] {
        connection
            .execute("INSERT INTO terms (name) VALUES (?1)", [term])
            .unwrap();
    }
    for number in 0..crate::population::PEOPLE {
        let name = format!("Patient/{number:04}");
        connection
            .execute("INSERT INTO subjects (name) VALUES (?1)", [name])
            .unwrap();
    }
    let sql = "SELECT id, revision, kind, subject, content, start, finish, updated FROM records \
               ORDER BY place";
    let mut select = from.prepare(sql).unwrap();
    let mut rows = select.query([]).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    let mut number = 0;
    while let Some(row) = rows.next().unwrap() {
        let whole = |at: usize| row.get::<_, i64>(at).unwrap();
        let observation = observation(number);
        assert_eq!(whole(5), observation.start, "the rows are in their order");
        let values = params![
            row.get::<_, Vec<u8>>(0).unwrap(),
            whole(1),
            whole(2),
            whole(3),
            whole(4),
            whole(5),
            whole(6),
            whole(7),
            None::<i64>,
            None::<Vec<u8>>,
            None::<i64>,
            observation.body,
        ];
        connection
            .prepare_cached(INSERT)
            .unwrap()
            .execute(values)
            .unwrap();
        number += 1;
        if number % TOGETHER == 0 {
            connection.execute_batch("COMMIT; BEGIN").unwrap();
        }
    }
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(number, RECORDS);
    connection.close().unwrap();
}
