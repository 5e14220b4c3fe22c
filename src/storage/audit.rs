//! The rows of an audit trail: entries are added at its end, and read in order.

use rusqlite::params;

use super::failure::from_sqlite;
use super::store::{Reading, Writing, cached};
use crate::error::Result;
use crate::sealing::Sealed;

impl Writing<'_> {
    /// Adds an entry.
    pub(crate) fn append_entry(&self, entry: i64, body: &Sealed) -> Result<()> {
        cached(self.0, "INSERT INTO audit (entry, body) VALUES (?1, ?2)")?
            .execute(params![entry, body.as_bytes()])
            .map(|_| ())
            .map_err(from_sqlite)
    }
}

impl Reading<'_> {
    /// Up to `most` entries, from number `from` on.
    pub(crate) fn entries_from(&self, from: i64, most: usize) -> Result<Vec<(i64, Sealed)>> {
        self.entries(
            "SELECT entry, body FROM audit WHERE entry >= ?1 ORDER BY entry LIMIT ?2",
            from,
            most,
        )
    }

    /// Up to `most` entries, from number `from` back.
    pub(crate) fn entries_back_from(&self, from: i64, most: usize) -> Result<Vec<(i64, Sealed)>> {
        self.entries(
            "SELECT entry, body FROM audit WHERE entry <= ?1 ORDER BY entry DESC LIMIT ?2",
            from,
            most,
        )
    }

    fn entries(&self, sql: &str, from: i64, most: usize) -> Result<Vec<(i64, Sealed)>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = cached(self.connection, sql)?;
        let rows = statement.query_map([from, most], |row| {
            Ok((row.get(0)?, Sealed::from_stored(row.get(1)?)))
        });
        let rows = rows.map_err(from_sqlite)?;
        rows.map(|row| row.map_err(from_sqlite)).collect()
    }
}
