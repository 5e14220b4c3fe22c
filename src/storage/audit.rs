//! The rows of an audit trail: entries are added at its end, and read in order.

use rusqlite::{OptionalExtension, params};

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

    /// Puts a segment in the place of its entries.
    pub(crate) fn put_segment(&self, first: i64, last: i64, body: &Sealed) -> Result<()> {
        cached(
            self.0,
            "INSERT INTO segments (last, first, body) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![last, first, body.as_bytes()])
        .map_err(from_sqlite)?;
        cached(self.0, "DELETE FROM audit WHERE entry BETWEEN ?1 AND ?2")?
            .execute([first, last])
            .map(|_| ())
            .map_err(from_sqlite)
    }
}

/// Entries that were packed together.
pub(crate) struct SegmentRow {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) body: Sealed,
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

    /// The segment that has an entry, or the first after it.
    pub(crate) fn segment_from(&self, entry: i64) -> Result<Option<SegmentRow>> {
        self.segment(
            "SELECT first, last, body FROM segments WHERE last >= ?1 ORDER BY last LIMIT 1",
            entry,
        )
    }

    /// The segment that has an entry, or the last before it.
    pub(crate) fn segment_back_from(&self, entry: i64) -> Result<Option<SegmentRow>> {
        self.segment(
            "SELECT first, last, body FROM segments WHERE first <= ?1 ORDER BY last DESC LIMIT 1",
            entry,
        )
    }

    /// The last entry that was packed; 0 where none was.
    pub(crate) fn last_packed(&self) -> Result<i64> {
        cached(
            self.connection,
            "SELECT coalesce(max(last), 0) FROM segments",
        )?
        .query_row([], |row| row.get(0))
        .map_err(from_sqlite)
    }

    fn segment(&self, sql: &str, entry: i64) -> Result<Option<SegmentRow>> {
        let mut statement = cached(self.connection, sql)?;
        let row = statement.query_row([entry], |row| {
            Ok(SegmentRow {
                first: row.get(0)?,
                last: row.get(1)?,
                body: Sealed::from_stored(row.get(2)?),
            })
        });
        row.optional().map_err(from_sqlite)
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
