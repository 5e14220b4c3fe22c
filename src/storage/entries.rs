//! The tables that the entries of records lie in.

use std::ops::AddAssign;

use rusqlite::{OptionalExtension, ToSql, params};

use super::entry::{Entries, Entry, FoundBy};
use super::failure::from_sqlite;
use super::rows::IndexEntry;
use super::store::{Reading, Writing, cached};
use crate::error::Result;

impl Writing<'_> {
    /// Enters what the record at a place is found by, if it is a resource. `index` is that of its row.
    pub(crate) fn enter(
        &self,
        place: i64,
        index: &IndexEntry,
        found: Option<&FoundBy>,
    ) -> Result<()> {
        let Some(found) = found else {
            return Ok(());
        };
        let (from, to) = found.own.time.unzip();
        let sql = "INSERT INTO resources (place, kind, named, start, finish, entries)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let entries = found.entries.as_bytes();
        let row = params![place, index.kind, found.own.named, from, to, entries];
        cached(self.0, sql)?.execute(row).map_err(from_sqlite)?;
        for entry in found.entries.iter() {
            self.each_row(place, index.start, &entry, &INSERT)?;
        }
        Ok(())
    }

    /// Takes out what the record at a place was found by, if it is a resource.
    pub(crate) fn leave(&self, place: i64, start: i64) -> Result<()> {
        let sql = "DELETE FROM resources WHERE place = ?1 RETURNING entries";
        let mut statement = cached(self.0, sql)?;
        let entries = statement.query_row([place], |row| row.get(0)).optional();
        let Some(entries) = entries.map_err(from_sqlite)? else {
            return Ok(());
        };
        for entry in Entries::from_stored(entries).iter() {
            self.each_row(place, start, &entry, &DELETE)?;
        }
        Ok(())
    }

    fn each_row(&self, place: i64, start: i64, entry: &Entry, sql: &Statements) -> Result<()> {
        entry.with_row(place, start, sql, |sql, row| {
            let done = cached(self.0, sql)?.execute(row);
            done.map(drop).map_err(from_sqlite)
        })
    }
}

impl Entry {
    /// Hands over the statement of the table that an entry belongs in, and its row there.
    fn with_row<T>(
        &self,
        place: i64,
        at: i64,
        sql: &Statements,
        run: impl FnOnce(&'static str, &[&dyn ToSql]) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Token {
                parameter,
                value,
                system,
            } => run(sql.tokens, params![parameter, value, at, place, system]),
            Self::Word { parameter, word } => {
                let word = word.expose().as_bytes();
                run(sql.words, params![parameter, word, place])
            }
            Self::Stretch {
                parameter,
                start,
                end,
            } => run(sql.stretches, params![parameter, start, place, end]),
            Self::Amount {
                parameter,
                unit,
                low,
                high,
                system,
            } => {
                let row = params![parameter, unit, low, place, high, system];
                run(sql.amounts, row)
            }
        }
    }
}

/// How many rows there are in the tables of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entered {
    resources: u64,
    tokens: u64,
    words: u64,
    stretches: u64,
    amounts: u64,
}

impl AddAssign for Entered {
    fn add_assign(&mut self, other: Self) {
        self.resources += other.resources;
        self.tokens += other.tokens;
        self.words += other.words;
        self.stretches += other.stretches;
        self.amounts += other.amounts;
    }
}

impl Reading<'_> {
    /// How many resources there are.
    pub(crate) fn resources(&self) -> Result<u64> {
        let mut statement = cached(self.connection, "SELECT count(*) FROM resources")?;
        let count = statement.query_row([], |row| row.get::<_, i64>(0));
        let count = count.map_err(from_sqlite)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// All rows of the index.
    pub(crate) fn entered(&self) -> Result<Entered> {
        let count = |sql: &str| {
            let mut statement = cached(self.connection, sql)?;
            let count = statement.query_row([], |row| row.get::<_, i64>(0));
            count
                .map_err(from_sqlite)
                .map(|count| u64::try_from(count).unwrap_or(0))
        };
        Ok(Entered {
            resources: count("SELECT count(*) FROM resources")?,
            tokens: count("SELECT count(*) FROM tokens")?,
            words: count("SELECT count(*) FROM words")?,
            stretches: count("SELECT count(*) FROM stretches")?,
            amounts: count("SELECT count(*) FROM amounts")?,
        })
    }

    /// The rows of the index that these entries of a resource come to; `None` where one is missing.
    pub(crate) fn entered_for(
        &self,
        place: i64,
        index: &IndexEntry,
        entries: &Entries,
    ) -> Result<Option<Entered>> {
        let sql = "SELECT 1 FROM resources WHERE place = ?1 AND kind = ?2";
        let mut statement = cached(self.connection, sql)?;
        if !statement.exists([place, index.kind]).map_err(from_sqlite)? {
            return Ok(None);
        }
        let mut entered = Entered {
            resources: 1,
            ..Entered::default()
        };
        for entry in entries.iter() {
            if !entry.with_row(place, index.start, &SELECT, |sql, row| {
                let mut statement = cached(self.connection, sql)?;
                statement.exists(row).map_err(from_sqlite)
            })? {
                return Ok(None);
            }
            match entry {
                Entry::Token { .. } => entered.tokens += 1,
                Entry::Word { .. } => entered.words += 1,
                Entry::Stretch { .. } => entered.stretches += 1,
                Entry::Amount { .. } => entered.amounts += 1,
            }
        }
        Ok(Some(entered))
    }
}

struct Statements {
    tokens: &'static str,
    words: &'static str,
    stretches: &'static str,
    amounts: &'static str,
}

const SELECT: Statements = Statements {
    tokens: "SELECT 1 FROM tokens WHERE parameter = ?1 AND value = ?2 AND start = ?3 AND place = ?4
             AND system = ?5",
    words: "SELECT 1 FROM words WHERE parameter = ?1 AND word = ?2 AND place = ?3",
    stretches: "SELECT 1 FROM stretches WHERE parameter = ?1 AND start = ?2 AND place = ?3
                AND finish = ?4",
    amounts: "SELECT 1 FROM amounts WHERE parameter = ?1 AND unit = ?2 AND low = ?3 AND place = ?4
              AND high = ?5 AND system = ?6",
};

const INSERT: Statements = Statements {
    tokens: "INSERT OR IGNORE INTO tokens (parameter, value, start, place, system)
             VALUES (?1, ?2, ?3, ?4, ?5)",
    words: "INSERT OR IGNORE INTO words (parameter, word, place) VALUES (?1, ?2, ?3)",
    stretches: "INSERT OR IGNORE INTO stretches (parameter, start, place, finish)
                VALUES (?1, ?2, ?3, ?4)",
    amounts: "INSERT OR IGNORE INTO amounts (parameter, unit, low, place, high, system)
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
};

const DELETE: Statements = Statements {
    tokens: "DELETE FROM tokens WHERE parameter = ?1 AND value = ?2 AND start = ?3 AND place = ?4
             AND system = ?5",
    words: "DELETE FROM words WHERE parameter = ?1 AND word = ?2 AND place = ?3",
    stretches: "DELETE FROM stretches WHERE parameter = ?1 AND start = ?2 AND place = ?3
                AND finish = ?4",
    amounts: "DELETE FROM amounts WHERE parameter = ?1 AND unit = ?2 AND low = ?3 AND place = ?4
              AND high = ?5 AND system = ?6",
};
