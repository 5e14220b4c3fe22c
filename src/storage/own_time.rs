//! What a condition on the time that records are put in order by says of where they stand.

use super::driver::COLLECTED;
use super::failure::from_sqlite;
use super::probe::{Bounds, Probe};
use super::scan::Position;
use super::search::{Clause, Search};
use super::statement::Statement;
use super::store::{Reading, cached};
use crate::error::Result;

/// What lasts longer is found by its end as well (spec 05): a day, in microseconds.
pub(super) const LONG: i64 = 86_400_000_000;

impl Reading<'_> {
    /// Where the own time of whatever meets a clause has to begin, and after what it has to end; `None`
    /// where the clause does not say, or not of every row.
    pub(super) fn own_time(&self, clause: &Clause) -> Result<Option<Bounds<i64>>> {
        let mut all: Option<Bounds<i64>> = None;
        for probe in &clause.any {
            let Probe::Stretch { parameter, bounds } = probe else {
                return Ok(None);
            };
            if bounds.outside || clause.none {
                return Ok(None);
            }
            if let Some(parameter) = parameter {
                let sql = "SELECT 1 FROM stretches WHERE parameter = ?1 LIMIT 1";
                let mut statement = cached(self.connection, sql)?;
                if statement.exists([parameter]).map_err(from_sqlite)? {
                    return Ok(None);
                }
                continue;
            }
            // What begins at a moment or later ends after it; what ends by one begins before it.
            let this = Bounds {
                from: bounds.from,
                below: bounds.below.into_iter().chain(bounds.until).min(),
                beyond: bounds.beyond.max(bounds.from),
                ..Bounds::NONE
            };
            all = Some(match all {
                None => this,
                Some(all) => Bounds {
                    from: all.from.min(this.from),
                    below: all.below.zip(this.below).map(|(one, other)| one.max(other)),
                    beyond: all.beyond.min(this.beyond),
                    ..Bounds::NONE
                },
            });
        }
        let has_own = |probe: &Probe| {
            matches!(
                probe,
                Probe::Stretch {
                    parameter: None,
                    ..
                }
            )
        };
        Ok(all.filter(|_| clause.any.iter().any(has_own)))
    }

    /// What lasts long, ends after a moment and begins before another; `None` where that is much.
    pub(super) fn lasting(
        &self,
        search: &Search,
        beyond: i64,
        before: i64,
    ) -> Result<Option<Vec<Position>>> {
        let mut statement = Statement::new(
            "SELECT start, place FROM resources INDEXED BY resources_by_end
             WHERE finish - start > 86400000000",
        );
        statement
            .integer(" AND kind = ?", search.kind)
            .integer(" AND finish > ?", beyond)
            .integer(" AND start < ?", before)
            .integer(" LIMIT ?", i64::try_from(COLLECTED + 1).unwrap_or(i64::MAX));
        let places = statement.positions(self)?;
        Ok((places.len() <= COLLECTED).then_some(places))
    }
}
