//! Intents: the rest of a change that touches several classes, until it is done everywhere.

use rusqlite::{OptionalExtension, params};

use super::failure::from_sqlite;
use super::store::{Reading, Writing, cached};
use crate::class::Class;
use crate::error::Result;
use crate::id::RecordId;
use crate::sealing::Sealed;

impl Reading<'_> {
    /// The first intent that waits for a class.
    pub(crate) fn intent_for(&self, class: Class) -> Result<Option<(RecordId, Sealed)>> {
        cached(
            self.connection,
            "SELECT intent, body FROM intents WHERE class = ?1 ORDER BY intent LIMIT 1",
        )?
        .query_row([class.code()], |row| {
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
        cached(self.connection, "SELECT 1 FROM applied WHERE intent = ?1")?
            .exists([intent.to_bytes()])
            .map_err(from_sqlite)
    }

    /// Whether this intent waits here.
    pub(crate) fn has_intent(&self, intent: RecordId) -> Result<bool> {
        cached(self.connection, "SELECT 1 FROM intents WHERE intent = ?1")?
            .exists([intent.to_bytes()])
            .map_err(from_sqlite)
    }

    /// Whether any mark of an applied intent is left.
    pub(crate) fn has_any_applied(&self) -> Result<bool> {
        cached(self.connection, "SELECT 1 FROM applied LIMIT 1")?
            .exists([])
            .map_err(from_sqlite)
    }
}

impl Writing<'_> {
    pub(crate) fn insert_intent(
        &self,
        intent: RecordId,
        class: Class,
        body: &Sealed,
    ) -> Result<()> {
        cached(
            self.0,
            "INSERT INTO intents (intent, class, body) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![intent.to_bytes(), class.code(), body.as_bytes()])
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

    /// Forgets which intents were applied, once none waits for this class.
    pub(crate) fn forget_applied(&self) -> Result<()> {
        cached(self.0, "DELETE FROM applied")?
            .execute([])
            .map(|_| ())
            .map_err(from_sqlite)
    }
}
