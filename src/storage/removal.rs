//! Rows that are removed, with everything that leads to them.

use rusqlite::{Params, Row};

use super::failure::from_sqlite;
use super::store::{Writing, cached};
use crate::error::Result;
use crate::id::RecordId;

/// What a row was: which record's, which revision, and the tag that its envelope ended with.
pub(crate) struct RowTag {
    pub(crate) id: RecordId,
    pub(crate) revision: i64,
    pub(crate) tag: [u8; 16],
}

/// Rows that were removed.
pub(crate) struct Gone {
    pub(crate) records: Vec<RowTag>,
    pub(crate) earlier: Vec<RowTag>,
}

impl Writing<'_> {
    /// Removes a record and its earlier revisions; what is gone.
    pub(crate) fn remove(&self, id: RecordId) -> Result<Gone> {
        let id = id.to_bytes();
        Ok(Gone {
            records: self.delete_records(
                "DELETE FROM records WHERE id = ?1 RETURNING id, revision, substr(body, -16), place, start",
                [id],
            )?,
            earlier: self.delete(
                "DELETE FROM revisions WHERE id = ?1 RETURNING id, revision, substr(body, -16)",
                [id],
            )?,
        })
    }

    /// Removes every row of a subject and its key; what is gone. The records' earlier revisions go
    /// with them, whomever those were about.
    pub(crate) fn remove_subject(&self, subject: i64) -> Result<Gone> {
        let mut earlier = self.delete(
            "DELETE FROM revisions WHERE id IN (SELECT id FROM records WHERE subject = ?1)
             RETURNING id, revision, substr(body, -16)",
            [subject],
        )?;
        earlier.extend(self.delete(
            "DELETE FROM revisions WHERE subject = ?1 RETURNING id, revision, substr(body, -16)",
            [subject],
        )?);
        let records = self.delete_records(
            "DELETE FROM records WHERE subject = ?1
             RETURNING id, revision, substr(body, -16), place, start",
            [subject],
        )?;
        cached(self.0, "DELETE FROM subjects WHERE subject = ?1")?
            .execute([subject])
            .map_err(from_sqlite)?;
        Ok(Gone { records, earlier })
    }

    /// Removes what expired at or before `now`, the longest ago first and so many records at the
    /// most; what is gone.
    pub(crate) fn remove_expired(&self, now: i64, most: usize) -> Result<Gone> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let earlier = self.delete(
            "DELETE FROM revisions WHERE id IN
             (SELECT id FROM records WHERE expires <= ?1 ORDER BY expires, place LIMIT ?2)
             RETURNING id, revision, substr(body, -16)",
            [now, most],
        )?;
        let records = self.delete_records(
            "DELETE FROM records WHERE place IN
             (SELECT place FROM records WHERE expires <= ?1 ORDER BY expires, place LIMIT ?2)
             RETURNING id, revision, substr(body, -16), place, start",
            [now, most],
        )?;
        Ok(Gone { records, earlier })
    }

    /// Removes records, and what they are found by.
    fn delete_records(&self, sql: &str, of: impl Params) -> Result<Vec<RowTag>> {
        let mut statement = cached(self.0, sql)?;
        let rows = statement.query_map(of, |row| Ok((row_tag(row)?, row.get(3)?, row.get(4)?)));
        let rows = rows
            .map_err(from_sqlite)?
            .collect::<rusqlite::Result<Vec<_>>>();
        let mut gone = Vec::new();
        for (tag, place, start) in rows.map_err(from_sqlite)? {
            self.leave(place, start)?;
            gone.push(tag);
        }
        Ok(gone)
    }

    fn delete(&self, sql: &str, of: impl Params) -> Result<Vec<RowTag>> {
        let mut statement = cached(self.0, sql)?;
        let rows = statement.query_map(of, row_tag);
        let rows = rows.map_err(from_sqlite)?;
        rows.map(|row| row.map_err(from_sqlite)).collect()
    }
}

fn row_tag(row: &Row<'_>) -> rusqlite::Result<RowTag> {
    Ok(RowTag {
        id: RecordId::from_bytes(row.get(0)?),
        revision: row.get(1)?,
        tag: row.get(2)?,
    })
}
