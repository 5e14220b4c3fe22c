//! Intents: the rest of a change that touches several classes, until it is done everywhere.

use rusqlite::{OptionalExtension, params};

use super::failure::from_sqlite;
use super::store::{Reading, Writing, cached};
use crate::error::Result;
use crate::id::RecordId;
use crate::sealing::Sealed;

impl Reading<'_> {
    /// One pending intent.
    pub(crate) fn pending_intent(&self) -> Result<Option<(RecordId, Sealed)>> {
        cached(self.0, "SELECT intent, body FROM intents LIMIT 1")?
            .query_row([], |row| {
                Ok((
                    RecordId::from_bytes(row.get(0)?),
                    Sealed::from_stored(row.get(1)?),
                ))
            })
            .optional()
            .map_err(from_sqlite)
    }

    /// Whether this class has done its part of the intent.
    pub(crate) fn has_applied(&self, intent: RecordId) -> Result<bool> {
        cached(self.0, "SELECT 1 FROM applied WHERE intent = ?1")?
            .exists([intent.to_bytes()])
            .map_err(from_sqlite)
    }
}

impl Writing<'_> {
    pub(crate) fn insert_intent(&self, intent: RecordId, body: &Sealed) -> Result<()> {
        cached(self.0, "INSERT INTO intents (intent, body) VALUES (?1, ?2)")?
            .execute(params![intent.to_bytes(), body.as_bytes()])
            .map(|_| ())
            .map_err(from_sqlite)
    }

    pub(crate) fn remove_intent(&self, intent: RecordId) -> Result<()> {
        cached(self.0, "DELETE FROM intents WHERE intent = ?1")?
            .execute([intent.to_bytes()])
            .map(|_| ())
            .map_err(from_sqlite)
    }

    pub(crate) fn mark_applied(&self, intent: RecordId) -> Result<()> {
        cached(self.0, "INSERT INTO applied (intent) VALUES (?1)")?
            .execute([intent.to_bytes()])
            .map(|_| ())
            .map_err(from_sqlite)
    }

    pub(crate) fn forget_applied(&self, intent: RecordId) -> Result<()> {
        cached(self.0, "DELETE FROM applied WHERE intent = ?1")?
            .execute([intent.to_bytes()])
            .map(|_| ())
            .map_err(from_sqlite)
    }
}
