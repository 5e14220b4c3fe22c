//! Deposits: records of Priority that wait in Standard until Priority is opened.

use rusqlite::{OptionalExtension, params};

use super::failure::from_sqlite;
use super::store::{Reading, Writing, cached};
use crate::error::Result;
use crate::id::RecordId;
use crate::sealing::Sealed;

/// A deposit as it stands in its row.
pub(crate) struct DepositRow {
    pub(crate) number: i64,
    pub(crate) id: RecordId,
    /// Why it was set aside; 0 where it waits.
    pub(crate) aside: u8,
    pub(crate) body: Sealed,
}

impl Reading<'_> {
    /// The first deposit beyond a number.
    pub(crate) fn deposit_beyond(&self, number: i64) -> Result<Option<DepositRow>> {
        let sql = "SELECT number, id, aside, body FROM deposits WHERE number > ?1 ORDER BY number LIMIT 1";
        cached(self.connection, sql)?
            .query_row([number], |row| {
                Ok(DepositRow {
                    number: row.get(0)?,
                    id: RecordId::from_bytes(row.get(1)?),
                    aside: row.get(2)?,
                    body: Sealed::from_stored(row.get(3)?),
                })
            })
            .optional()
            .map_err(from_sqlite)
    }
}

impl Writing<'_> {
    /// Adds a deposit after those that are there.
    pub(crate) fn insert_deposit(&self, id: RecordId, body: &Sealed) -> Result<()> {
        let sql = "INSERT INTO deposits (id, aside, body) VALUES (?1, 0, ?2)";
        cached(self.0, sql)?
            .execute(params![id.to_bytes(), body.as_bytes()])
            .map(|_| ())
            .map_err(from_sqlite)
    }

    /// Says why a deposit was not taken in; whether it is there and was not set aside before.
    pub(crate) fn set_deposit_aside(&self, id: RecordId, why: u8) -> Result<bool> {
        let sql = "UPDATE deposits SET aside = ?2 WHERE id = ?1 AND aside = 0";
        cached(self.0, sql)?
            .execute(params![id.to_bytes(), why])
            .map(|changed| changed > 0)
            .map_err(from_sqlite)
    }

    /// Removes a deposit; the tag of its envelope, where there was one.
    pub(crate) fn remove_deposit(&self, id: RecordId) -> Result<Option<[u8; 16]>> {
        let sql = "DELETE FROM deposits WHERE id = ?1 RETURNING body";
        let body = cached(self.0, sql)?
            .query_row([id.to_bytes()], |row| {
                Ok(Sealed::from_stored(row.get(0)?).tag())
            })
            .optional();
        body.map_err(from_sqlite)
    }
}
