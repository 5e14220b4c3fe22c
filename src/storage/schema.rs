//! The tables (spec 05), made once and compared at every opening.

use rusqlite::Connection;

use super::failure::from_sqlite;
use crate::error::{ErrorKind, Result};

/// `VTLK`, so that `file` and a forensic tool know what they see.
const APPLICATION_ID: i64 = 0x5654_4C4B;
const VERSION: i64 = 1;
pub(super) const PAGE_SIZE: i64 = 4096;
/// The same, as a length.
pub(super) const PAGE_BYTES: usize = 4096;
/// INCREMENTAL
pub(super) const AUTO_VACUUM: i64 = 2;

/// Every table and index, in the order in which they are made.
const STATEMENTS: &[&str] = &[
    "CREATE TABLE settings (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
    "CREATE TABLE terms (term INTEGER PRIMARY KEY, token BLOB NOT NULL UNIQUE, body BLOB NOT NULL) STRICT",
    "CREATE TABLE subjects (subject INTEGER PRIMARY KEY AUTOINCREMENT, key_id BLOB NOT NULL,
  token BLOB NOT NULL UNIQUE, key BLOB NOT NULL, name BLOB NOT NULL) STRICT",
    "CREATE TABLE records (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, revision INTEGER NOT NULL,
  kind INTEGER NOT NULL, subject INTEGER NOT NULL, content INTEGER NOT NULL,
  start INTEGER NOT NULL, finish INTEGER NOT NULL, updated INTEGER NOT NULL,
  expires INTEGER, client BLOB, client_version INTEGER, pinned INTEGER NOT NULL,
  body BLOB NOT NULL) STRICT",
    "CREATE INDEX records_by_subject_kind ON records (subject, kind, start)",
    "CREATE INDEX records_by_subject ON records (subject, start)",
    "CREATE INDEX records_by_kind ON records (kind, start)",
    "CREATE INDEX records_by_content ON records (content, start)",
    "CREATE INDEX records_by_start ON records (start)",
    "CREATE UNIQUE INDEX records_by_updated ON records (updated)",
    "CREATE UNIQUE INDEX records_by_client ON records (client) WHERE client IS NOT NULL",
    "CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL",
    "CREATE TABLE revisions (id BLOB NOT NULL, revision INTEGER NOT NULL, kind INTEGER NOT NULL,
  subject INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (id, revision)) STRICT, WITHOUT ROWID",
    "CREATE INDEX revisions_by_subject ON revisions (subject)",
    "CREATE TABLE intents (intent BLOB PRIMARY KEY, class INTEGER NOT NULL, body BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE applied (intent BLOB PRIMARY KEY) STRICT, WITHOUT ROWID",
    "CREATE TABLE audit (entry INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
    "CREATE TABLE segments (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE TABLE deposits (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, aside INTEGER NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE TABLE resources (place INTEGER PRIMARY KEY, kind INTEGER NOT NULL, named INTEGER,
  start INTEGER, finish INTEGER, entries BLOB NOT NULL) STRICT",
    "CREATE INDEX resources_by_name ON resources (named) WHERE named IS NOT NULL",
    "CREATE INDEX resources_by_end ON resources (kind, finish) WHERE finish - start > 86400000000",
    "CREATE TABLE tokens (parameter INTEGER NOT NULL, value INTEGER NOT NULL, start INTEGER NOT NULL,
  place INTEGER NOT NULL, system INTEGER NOT NULL,
  PRIMARY KEY (parameter, value, start, place, system)) STRICT, WITHOUT ROWID",
    "CREATE TABLE words (parameter INTEGER NOT NULL, word BLOB NOT NULL, place INTEGER NOT NULL,
  PRIMARY KEY (parameter, word, place)) STRICT, WITHOUT ROWID",
    "CREATE TABLE stretches (parameter INTEGER NOT NULL, start INTEGER NOT NULL, place INTEGER NOT NULL,
  finish INTEGER NOT NULL, PRIMARY KEY (parameter, start, place, finish)) STRICT, WITHOUT ROWID",
    "CREATE TABLE amounts (parameter INTEGER NOT NULL, unit INTEGER NOT NULL, low REAL NOT NULL,
  place INTEGER NOT NULL, high REAL NOT NULL, system INTEGER NOT NULL,
  PRIMARY KEY (parameter, unit, low, place, high, system)) STRICT, WITHOUT ROWID",
];

/// SQLite's own table for AUTOINCREMENT.
const SEQUENCE: &str = "CREATE TABLE sqlite_sequence(name,seq)";

/// Makes the tables in an empty database.
pub(super) fn create(connection: &Connection) -> Result<()> {
    for statement in STATEMENTS {
        connection.execute(statement, []).map_err(from_sqlite)?;
    }
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(from_sqlite)?;
    connection
        .pragma_update(None, "user_version", VERSION)
        .map_err(from_sqlite)
}

/// Compares the database's schema with this page's, text for text (R-48).
///
/// # Errors
///
/// [`ErrorKind::UnsupportedFormat`] for another version, [`ErrorKind::TamperDetected`] for a schema
/// that this crate did not write.
pub(super) fn check(connection: &Connection) -> Result<()> {
    let pragma = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(from_sqlite)
    };
    if pragma("application_id")? != APPLICATION_ID {
        return Err(ErrorKind::TamperDetected.into());
    }
    if pragma("user_version")? != VERSION {
        return Err(ErrorKind::UnsupportedFormat.into());
    }
    if pragma("page_size")? != PAGE_SIZE || pragma("auto_vacuum")? != AUTO_VACUUM {
        return Err(ErrorKind::TamperDetected.into());
    }
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY rowid")
        .map_err(from_sqlite)?;
    let rows = statement
        .query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
        })
        .map_err(from_sqlite)?;
    let mut found = Vec::new();
    for row in rows {
        match row.map_err(from_sqlite)? {
            (_, Some(sql)) => found.push(sql),
            (name, None) if name.starts_with("sqlite_autoindex_") => {}
            (_, None) => return Err(ErrorKind::TamperDetected.into()),
        }
    }
    found.retain(|sql| sql != SEQUENCE);
    // A VACUUM makes the tables first and then the indexes: what there is counts, not its order.
    let mut wanted = STATEMENTS.to_vec();
    wanted.sort_unstable();
    found.sort_unstable();
    if found == wanted {
        Ok(())
    } else {
        Err(ErrorKind::TamperDetected.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_the_one_in_the_spec() {
        let spec = include_str!("../../docs/spec/05-schema-and-pragmas.md");
        let block = spec
            .split("```")
            .nth(1)
            .and_then(|block| block.strip_prefix("sql\n"));
        let written: String = STATEMENTS
            .iter()
            .map(|statement| format!("{statement};\n"))
            .collect();
        assert_eq!(block, Some(written.as_str()));
    }

    #[test]
    fn no_column_holds_text() {
        assert!(
            STATEMENTS
                .iter()
                .all(|statement| !statement.contains("TEXT"))
        );
    }
}
