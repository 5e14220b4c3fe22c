//! The rows of settings that a database need not have (spec 05).

use rusqlite::OptionalExtension;

use super::failure::from_sqlite;
use super::store::{Reading, Writing, cached};
use crate::error::Result;
use crate::sealing::Sealed;

impl Writing<'_> {
    /// Keeps a row of settings besides the three that every database has.
    pub(crate) fn put_setting(&self, setting: Setting, body: &Sealed) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO settings (number, body) VALUES (?1, ?2)";
        let row = rusqlite::params![setting.number(), body.as_bytes()];
        let done = cached(self.0, sql)?.execute(row);
        done.map(drop).map_err(from_sqlite)
    }
}

/// A row of settings that a database may have (spec 05).
#[derive(Clone, Copy)]
pub(crate) enum Setting {
    /// The search parameters that were added.
    Parameters,
    /// How far the resources are found by them.
    Indexed,
}

impl Setting {
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Parameters => 4,
            Self::Indexed => 5,
        }
    }
}

impl Reading<'_> {
    /// A row of settings that need not be there.
    pub(crate) fn optional_setting(&self, setting: Setting) -> Result<Option<Sealed>> {
        let mut statement = cached(
            self.connection,
            "SELECT body FROM settings WHERE number = ?1",
        )?;
        let body = statement.query_row([setting.number()], |row| row.get(0));
        let body = body.optional().map_err(from_sqlite)?;
        Ok(body.map(Sealed::from_stored))
    }
}
