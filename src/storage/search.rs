//! Finding resources by their entries, a bounded page at a time.
//!
//! One clause drives: its rows come in order out of one index, and each is held against the other
//! clauses. Which one it is is decided by counting, so that a search touches about as many rows as
//! its rarest clause has.

use super::driver::{Driver, Lane};
use super::entry::{Entries, Own};
use super::failure::from_sqlite;
use super::probe::Probe;
use super::rows::{Row, columns, read_row};
use super::scan::{Direction, Position};
use super::store::{Reading, cached};
use crate::error::Result;
use rusqlite::OptionalExtension;

/// What to look for. Every clause must hold.
#[derive(Clone)]
pub(crate) struct Search {
    pub(crate) kind: i64,
    pub(crate) clauses: Vec<Clause>,
    pub(crate) direction: Direction,
}

/// One of the probes meets the resource, or none where that is wanted.
#[derive(Clone)]
pub(crate) struct Clause {
    pub(crate) any: Vec<Probe>,
    pub(crate) none: bool,
}

impl Clause {
    fn holds(&self, own: Own, entries: &Entries) -> bool {
        self.any.iter().any(|probe| probe.meets(own, entries)) != self.none
    }
}

/// A page ends after so many bytes of bodies even where fewer rows than asked for have come.
const MOST_BYTES: usize = 1024 * 1024;
/// How many candidates are fetched at once, at first and at the most.
const FIRST: usize = 64;
const MOST: usize = 1024;

impl Reading<'_> {
    /// At most `most` rows after a position, or the first ones, in order: at least one unless there
    /// are none.
    pub(crate) fn search(
        &self,
        search: &Search,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        self.candidates(search, after, &mut |at| {
            let Some(row) = self.row_at(at.place)? else {
                return Ok(true);
            };
            bytes += row.body.as_bytes().len();
            rows.push(row);
            Ok(rows.len() < most && bytes < MOST_BYTES)
        })?;
        Ok(rows)
    }

    /// Where all of them are.
    pub(crate) fn search_places(&self, search: &Search) -> Result<Vec<i64>> {
        let mut places = Vec::new();
        self.candidates(search, None, &mut |at| {
            places.push(at.place);
            Ok(true)
        })?;
        Ok(places)
    }

    /// The rows of the resources that others refer to so.
    pub(crate) fn named(&self, numbers: &[i64]) -> Result<Vec<Row>> {
        let sql = "SELECT place FROM resources WHERE named = ?1";
        let mut rows = Vec::new();
        for number in numbers {
            let mut statement = cached(self.connection, sql)?;
            let places = statement.query_map([number], |row| row.get::<_, i64>(0));
            for place in places.map_err(from_sqlite)? {
                rows.extend(self.row_at(place.map_err(from_sqlite)?)?);
            }
        }
        Ok(rows)
    }

    /// The row at a place, if it is one of them.
    pub(crate) fn search_row(&self, search: &Search, place: i64) -> Result<Option<Row>> {
        let clauses: Vec<_> = search.clauses.iter().collect();
        match self.row_at(place)? {
            Some(row) if row.index.kind == search.kind && self.holds(&clauses, place)? => {
                Ok(Some(row))
            }
            _ => Ok(None),
        }
    }

    /// How many there are that have not expired by `now`.
    pub(crate) fn search_count(&self, search: &Search, now: i64) -> Result<u64> {
        let expiry = self.has_expired(now)?;
        let sql = "SELECT 1 FROM records WHERE place = ?1 AND expires <= ?2";
        let mut count = 0;
        self.candidates(search, None, &mut |at| {
            let gone = expiry && {
                let mut statement = cached(self.connection, sql)?;
                statement.exists([at.place, now]).map_err(from_sqlite)?
            };
            count += u64::from(!gone);
            Ok(true)
        })?;
        Ok(count)
    }

    /// Hands over everything that is looked for, in order, until that is enough.
    fn candidates(
        &self,
        search: &Search,
        after: Option<Position>,
        take: &mut dyn FnMut(Position) -> Result<bool>,
    ) -> Result<()> {
        let lanes = Driver::choose(self, search)?;
        let unchecked = |lane: &Lane| {
            let clauses = search.clauses.iter().enumerate();
            let left = clauses.filter(|(at, _)| !lane.covers(*at));
            left.map(|(_, clause)| clause).collect::<Vec<_>>()
        };
        let mut after = after;
        for lane in &lanes {
            let clauses = unchecked(lane);
            let mut size = FIRST;
            loop {
                let (batch, more) = lane.next(self, search, after, size)?;
                for at in batch {
                    after = Some(at);
                    if self.holds(&clauses, at.place)? && !take(at)? {
                        return Ok(());
                    }
                }
                if !more {
                    break;
                }
                size = (size * 2).min(MOST);
            }
        }
        Ok(())
    }

    /// Whether the resource at a place meets all of these clauses.
    fn holds(&self, clauses: &[&Clause], place: i64) -> Result<bool> {
        if clauses.is_empty() {
            return Ok(true);
        }
        let Some((own, entries)) = self.found_by(place)? else {
            return Ok(false);
        };
        Ok(clauses.iter().all(|clause| clause.holds(own, &entries)))
    }

    /// What the resource at a place is found by.
    pub(crate) fn found_by(&self, place: i64) -> Result<Option<(Own, Entries)>> {
        let sql = "SELECT named, start, finish, entries FROM resources WHERE place = ?1";
        let mut statement = cached(self.connection, sql)?;
        let found = statement.query_row([place], |row| {
            let (start, finish): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
            let own = Own {
                named: row.get(0)?,
                time: start.zip(finish),
            };
            Ok((own, Entries::from_stored(row.get(3)?)))
        });
        found.optional().map_err(from_sqlite)
    }

    pub(crate) fn row_at(&self, place: i64) -> Result<Option<Row>> {
        const AT: &str = concat!("SELECT ", columns!(), " FROM records WHERE place = ?1");
        let mut statement = cached(self.connection, AT)?;
        let row = statement.query_row([place], read_row).optional();
        row.map_err(from_sqlite)
    }
}
