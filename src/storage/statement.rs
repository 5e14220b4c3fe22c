//! SQL out of fixed fragments and bound values, for searches.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, params_from_iter};

use super::entry::IMPLIED;
use super::failure::from_sqlite;
use super::probe::{Probe, Whole};
use super::scan::Position;
use super::store::{Reading, cached};
use crate::error::Result;
use crate::secret::SecretBytes;

/// A statement under construction: fixed fragments and bound values, nothing else.
pub(super) struct Statement {
    sql: String,
    values: Vec<Bound>,
}

pub(super) enum Bound {
    Integer(i64),
    Real(f64),
    Bytes(SecretBytes),
}

impl ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Bytes(bytes) => ValueRef::Blob(bytes.expose()),
        }))
    }
}

impl Statement {
    pub(super) fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            values: Vec::new(),
        }
    }

    pub(super) fn text(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(super) fn integer(&mut self, sql: &str, value: i64) -> &mut Self {
        self.values.push(Bound::Integer(value));
        self.text(sql)
    }

    pub(super) fn bound(&mut self, sql: &str, value: Option<Bound>) -> &mut Self {
        if let Some(value) = value {
            self.values.push(value);
            self.text(sql);
        }
        self
    }

    pub(super) fn system(&mut self, prefix: &str, system: Option<i64>) -> &mut Self {
        if let Some(system) = system {
            self.text(" AND ").text(prefix);
            self.integer("system IN (?, ", system);
            self.integer("?)", IMPLIED);
        }
        self
    }

    /// Up to `most` positions, or places with zero for a start.
    pub(super) fn positions(&self, reading: &Reading<'_>) -> Result<Vec<Position>> {
        let mut statement = cached(reading.connection, &self.sql)?;
        let rows = statement.query_map(params_from_iter(&self.values), |row| {
            Ok(Position {
                key: row.get(0)?,
                place: row.get(1)?,
            })
        });
        let rows = rows.map_err(from_sqlite)?;
        rows.map(|row| row.map_err(from_sqlite)).collect()
    }

    pub(super) fn count(&self, reading: &Reading<'_>) -> Result<usize> {
        let mut statement = cached(reading.connection, &self.sql)?;
        let count: i64 = statement
            .query_row(params_from_iter(&self.values), |row| row.get(0))
            .map_err(from_sqlite)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

/// The places of what a probe finds; `None` where no index leads to them.
pub(super) fn collecting(probe: &Probe) -> Option<Statement> {
    let mut statement = Statement::new("SELECT 0, place FROM ");
    match probe {
        Probe::Token {
            parameter,
            value,
            system,
        } => {
            statement
                .integer("tokens WHERE parameter = ?", *parameter)
                .integer(" AND value = ?", *value)
                .system("", *system);
        }
        Probe::System { parameter, system } => {
            statement
                .integer("tokens WHERE parameter = ?", *parameter)
                .integer(" AND system = ?", *system);
        }
        Probe::Named(named) => {
            statement.integer("resources WHERE named = ?", *named);
        }
        Probe::Word {
            parameter,
            word,
            how,
        } => {
            let word = word.expose().as_bytes();
            let bytes = |parts: &[&[u8]]| Some(Bound::Bytes(SecretBytes::concatenation(parts)));
            statement.integer("words WHERE parameter = ?", *parameter);
            match how {
                Whole::All => statement.bound(" AND word = ?", bytes(&[word])),
                Whole::Start => statement
                    .bound(" AND word >= ?", bytes(&[word]))
                    // No byte of a text in UTF-8 is 255.
                    .bound(" AND word < ?", bytes(&[word, &[255]])),
                Whole::Part => statement.bound(" AND instr(word, ?) > 0", bytes(&[word])),
            };
        }
        Probe::Stretch {
            parameter: Some(parameter),
            bounds,
        } if !bounds.outside => {
            let integer = |value: Option<i64>| value.map(Bound::Integer);
            statement
                .integer("stretches WHERE parameter = ?", *parameter)
                .bound(" AND start >= ?", integer(bounds.from))
                .bound(" AND start < ?", integer(bounds.below))
                .bound(" AND start < ?", integer(bounds.until))
                .bound(" AND finish > ?", integer(bounds.beyond))
                .bound(" AND finish <= ?", integer(bounds.until));
        }
        Probe::Amount {
            parameter,
            unit,
            system,
            bounds,
            points,
        } if !bounds.outside => {
            let real = |value: Option<f64>| value.map(Bound::Real);
            statement
                .integer("amounts WHERE parameter = ?", *parameter)
                .integer(" AND unit = ?", *unit)
                .bound(" AND low >= ?", real(bounds.from))
                .bound(" AND low < ?", real(bounds.below))
                .bound(" AND high > ?", real(bounds.beyond))
                .bound(" AND high <= ?", real(bounds.until))
                // What is no range has its lowest where it has its highest.
                .bound(" AND low > ?", real(bounds.beyond.filter(|_| *points)))
                .bound(" AND low <= ?", real(bounds.until.filter(|_| *points)));
            if let Some(system) = system {
                statement.integer(" AND system = ?", *system);
            }
        }
        Probe::TokenIn { .. }
        | Probe::NamedIn(_)
        | Probe::Stretch { .. }
        | Probe::Amount { .. }
        | Probe::Any { .. }
        | Probe::Dated
        | Probe::Identified => {
            return None;
        }
    }
    Some(statement)
}
