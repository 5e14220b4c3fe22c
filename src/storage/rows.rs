//! Records as rows: index columns in integers, the rest sealed.

use rusqlite::{OptionalExtension, Row as SqlRow, params};

use super::failure::from_sqlite;
use super::store::{Reading, Writing, cached};
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::sealing::Sealed;

/// What can be asked of a record without opening it. Only integers and a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) kind: i64,
    pub(crate) subject: i64,
    pub(crate) content: i64,
    pub(crate) start: i64,
    pub(crate) finish: i64,
    pub(crate) updated: i64,
    pub(crate) expires: Option<i64>,
    pub(crate) client: Option<[u8; 16]>,
    pub(crate) client_version: Option<i64>,
    pub(crate) pinned: i64,
}

/// A record's row.
pub(crate) struct Row {
    pub(crate) place: i64,
    pub(crate) id: RecordId,
    pub(crate) revision: i64,
    pub(crate) index: IndexEntry,
    pub(crate) body: Sealed,
}

/// The row of a revision that a later one replaced.
pub(crate) struct EarlierRow {
    pub(crate) id: RecordId,
    pub(crate) revision: i64,
    pub(crate) kind: i64,
    pub(crate) subject: i64,
    pub(crate) body: Sealed,
}

/// What the records of a kind take.
pub(crate) struct KindUsage {
    pub(crate) kind: i64,
    pub(crate) records: i64,
    pub(crate) revisions: i64,
    pub(crate) bytes: i64,
}

/// The columns that [`read_row`] takes, in its order.
macro_rules! columns {
    () => {
        "place, id, revision, kind, subject, content, start, finish, updated, expires, client, \
         client_version, pinned, body"
    };
}
pub(super) use columns;

pub(super) fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        place: row.get(0)?,
        id: RecordId::from_bytes(row.get(1)?),
        revision: row.get(2)?,
        index: IndexEntry {
            kind: row.get(3)?,
            subject: row.get(4)?,
            content: row.get(5)?,
            start: row.get(6)?,
            finish: row.get(7)?,
            updated: row.get(8)?,
            expires: row.get(9)?,
            client: row.get(10)?,
            client_version: row.get(11)?,
            pinned: row.get(12)?,
        },
        body: Sealed::from_stored(row.get(13)?),
    })
}

const BEYOND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM records WHERE place > ?1 ORDER BY place LIMIT ?2"
);
const BY_ID: &str = concat!("SELECT ", columns!(), " FROM records WHERE id = ?1");
const BY_CLIENT: &str = concat!("SELECT ", columns!(), " FROM records WHERE client = ?1");

impl Reading<'_> {
    pub(crate) fn row(&self, id: RecordId) -> Result<Option<Row>> {
        let mut statement = cached(self.connection, BY_ID)?;
        statement
            .query_row([id.to_bytes()], read_row)
            .optional()
            .map_err(from_sqlite)
    }

    pub(crate) fn row_of_client(&self, token: [u8; 16]) -> Result<Option<Row>> {
        let mut statement = cached(self.connection, BY_CLIENT)?;
        statement
            .query_row([token], read_row)
            .optional()
            .map_err(from_sqlite)
    }

    /// Earlier revisions of a record, oldest first.
    pub(crate) fn earlier(&self, id: RecordId) -> Result<Vec<EarlierRow>> {
        let mut statement = cached(
            self.connection,
            "SELECT revision, kind, subject, body FROM revisions WHERE id = ?1 ORDER BY revision",
        )?;
        let rows = statement
            .query_map([id.to_bytes()], |row| {
                Ok(EarlierRow {
                    id,
                    revision: row.get(0)?,
                    kind: row.get(1)?,
                    subject: row.get(2)?,
                    body: Sealed::from_stored(row.get(3)?),
                })
            })
            .map_err(from_sqlite)?;
        rows.map(|row| row.map_err(from_sqlite)).collect()
    }

    /// Up to `most` records beyond a place, in the order of their places.
    pub(crate) fn rows_beyond(&self, place: i64, most: usize) -> Result<Vec<Row>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = cached(self.connection, BEYOND)?;
        let rows = statement
            .query_map([place, most], read_row)
            .map_err(from_sqlite)?;
        rows.map(|row| row.map_err(from_sqlite)).collect()
    }

    /// Up to `most` earlier revisions after one, in the order of their records.
    pub(crate) fn earlier_after(
        &self,
        id: RecordId,
        revision: i64,
        most: usize,
    ) -> Result<Vec<EarlierRow>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = cached(
            self.connection,
            "SELECT id, revision, kind, subject, body FROM revisions
             WHERE (id, revision) > (?1, ?2) ORDER BY id, revision LIMIT ?3",
        )?;
        let rows = statement
            .query_map(params![id.to_bytes(), revision, most], |row| {
                Ok(EarlierRow {
                    id: RecordId::from_bytes(row.get(0)?),
                    revision: row.get(1)?,
                    kind: row.get(2)?,
                    subject: row.get(3)?,
                    body: Sealed::from_stored(row.get(4)?),
                })
            })
            .map_err(from_sqlite)?;
        rows.map(|row| row.map_err(from_sqlite)).collect()
    }

    /// Whether SQLite finds every index as its table, and every page where it belongs.
    pub(crate) fn is_consistent(&self) -> Result<bool> {
        let answer = self
            .connection
            .query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        Ok(answer.map_err(from_sqlite)? == "ok")
    }

    /// How many records, and earlier revisions, there are of each kind, and how long their envelopes
    /// are together.
    pub(crate) fn usage(&self) -> Result<Vec<KindUsage>> {
        let sql = "SELECT kind, sum(records), sum(revisions), sum(bytes) FROM (
             SELECT kind, 1 AS records, 0 AS revisions, length(body) AS bytes FROM records
             UNION ALL SELECT kind, 0, 1, length(body) FROM revisions) GROUP BY kind";
        let mut statement = cached(self.connection, sql)?;
        let rows = statement.query_map([], |row| {
            Ok(KindUsage {
                kind: row.get(0)?,
                records: row.get(1)?,
                revisions: row.get(2)?,
                bytes: row.get(3)?,
            })
        });
        let rows = rows.map_err(from_sqlite)?;
        rows.map(|row| row.map_err(from_sqlite)).collect()
    }

    /// Whether a record expired at or before `now`.
    pub(crate) fn has_expired(&self, now: i64) -> Result<bool> {
        let sql = "SELECT 1 FROM records WHERE expires <= ?1 LIMIT 1";
        cached(self.connection, sql)?
            .exists([now])
            .map_err(from_sqlite)
    }

    /// The latest `updated` of the class.
    pub(crate) fn last_updated(&self) -> Result<Option<i64>> {
        let mut statement = cached(
            self.connection,
            "SELECT updated FROM records ORDER BY updated DESC LIMIT 1",
        )?;
        statement
            .query_row([], |row| row.get(0))
            .optional()
            .map_err(from_sqlite)
    }
}

impl<'a> Writing<'a> {
    /// The same reads, inside the transaction.
    pub(crate) fn reading(&self) -> Reading<'a> {
        Reading {
            connection: self.0,
            in_transaction: true,
        }
    }

    /// Puts a new row; its place.
    pub(crate) fn insert(
        &self,
        id: RecordId,
        revision: i64,
        index: &IndexEntry,
        body: &Sealed,
    ) -> Result<i64> {
        let mut statement = cached(
            self.0,
            "INSERT INTO records (id, revision, kind, subject, content, start, finish, updated,
             expires, client, client_version, pinned, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        let inserted = statement.execute(params![
            id.to_bytes(),
            revision,
            index.kind,
            index.subject,
            index.content,
            index.start,
            index.finish,
            index.updated,
            index.expires,
            index.client,
            index.client_version,
            index.pinned,
            body.as_bytes(),
        ]);
        inserted.map_err(from_sqlite)?;
        Ok(self.0.last_insert_rowid())
    }

    /// Puts a new revision in a row's place.
    pub(crate) fn update(
        &self,
        place: i64,
        revision: i64,
        index: &IndexEntry,
        body: &Sealed,
    ) -> Result<()> {
        let mut statement = cached(
            self.0,
            "UPDATE records SET revision = ?2, kind = ?3, subject = ?4, content = ?5, start = ?6,
             finish = ?7, updated = ?8, expires = ?9, client = ?10, client_version = ?11,
             pinned = ?12, body = ?13
             WHERE place = ?1",
        )?;
        let changed = statement.execute(params![
            place,
            revision,
            index.kind,
            index.subject,
            index.content,
            index.start,
            index.finish,
            index.updated,
            index.expires,
            index.client,
            index.client_version,
            index.pinned,
            body.as_bytes(),
        ]);
        match changed.map_err(from_sqlite)? {
            1 => Ok(()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn keep_earlier(&self, row: &EarlierRow) -> Result<()> {
        let mut statement = cached(
            self.0,
            "INSERT INTO revisions (id, revision, kind, subject, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let kept = statement.execute(params![
            row.id.to_bytes(),
            row.revision,
            row.kind,
            row.subject,
            row.body.as_bytes()
        ]);
        kept.map(|_| ()).map_err(from_sqlite)
    }
}
