//! Which index a search goes along, and how.

use super::own_time::LONG;
use super::probe::Probe;
use super::scan::{Direction, Position};
use super::search::{Clause, Search};
use super::statement::{Statement, collecting};
use super::store::Reading;
use crate::error::Result;

/// A way to every resource that is looked for, in order.
pub(super) struct Driver;

/// One stretch of that way. Lanes follow one another in the order of the search.
pub(super) struct Lane {
    along: Along,
    /// The first start of a row that is wanted, and the first that is no longer.
    starts: (i64, i64),
    /// Clauses that every row of this lane is known to meet.
    covered: Vec<usize>,
    /// Clauses that the index of codes answers beside it.
    beside: Vec<usize>,
}

enum Along {
    /// Rows with any of these codes.
    Tokens(Vec<Token>),
    /// Rows that were collected, in order.
    Places(Vec<Position>),
    /// Every row of the kind.
    Kind,
}

#[derive(Clone, Copy)]
struct Token {
    parameter: i64,
    value: i64,
    system: Option<i64>,
}

/// Up to so many rows are collected and put in order; more are met in order.
pub(super) const COLLECTED: usize = 2048;
/// Rows are counted up to these numbers, until a clause is found that has fewer.
const COUNTED: [usize; 3] = [128, COLLECTED + 1, 16_384];
/// Up to so many codes drive together, and so many stand beside.
const LISTS: usize = 64;
const TOKENS: usize = 8;
const EVERYTHING: (i64, i64) = (i64::MIN, i64::MAX);

impl Driver {
    pub(super) fn choose(reading: &Reading<'_>, search: &Search) -> Result<Vec<Lane>> {
        let clauses = || search.clauses.iter().enumerate();
        // Rows whose own time begins in vain are passed over, where that can be told by its start.
        let mut starts = EVERYTHING;
        let mut beyond = None;
        for (_, clause) in clauses() {
            if let Some(bounds) = reading.own_time(clause)? {
                starts.0 = starts.0.max(bounds.from.unwrap_or(i64::MIN));
                starts.1 = starts.1.min(bounds.below.unwrap_or(i64::MAX));
                beyond = beyond.max(bounds.beyond);
            }
        }
        let mut lasting = Vec::new();
        if let Some(beyond) = beyond {
            let soonest = beyond.saturating_sub(LONG);
            if let Some(places) = reading.lasting(search, beyond, soonest.min(starts.1))? {
                lasting = places;
                starts.0 = starts.0.max(soonest);
            }
        }
        let mut best: Option<(usize, usize, Along)> = None;
        for most in COUNTED {
            for (at, clause) in clauses().filter(|(_, clause)| !clause.none) {
                let Some((count, along)) = reading.along(search, clause, starts, most)? else {
                    continue;
                };
                if best.as_ref().is_none_or(|(least, ..)| count < *least) {
                    best = Some((count, at, along));
                }
            }
            if best.as_ref().is_some_and(|(least, ..)| *least < most) {
                break;
            }
        }
        let (covered, along) = match best {
            Some((_, at, along)) => (vec![at], along),
            None => (Vec::new(), Along::Kind),
        };
        let beside = match along {
            Along::Places(_) => Vec::new(),
            _ => beside(search, &covered),
        };
        let main = Lane {
            along,
            starts,
            covered,
            beside,
        };
        if lasting.is_empty() {
            return Ok(vec![main]);
        }
        put_in_order(&mut lasting, search.direction);
        let lasting = Lane {
            along: Along::Places(lasting),
            starts: EVERYTHING,
            covered: Vec::new(),
            beside: Vec::new(),
        };
        Ok(match search.direction {
            Direction::Ascending => vec![lasting, main],
            Direction::Descending => vec![main, lasting],
        })
    }
}

/// The codes of a clause, where it asks for nothing else and for no more than so many.
fn tokens(clause: &Clause, most: usize) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    for probe in &clause.any {
        match probe {
            Probe::Token {
                parameter,
                value,
                system,
            } => tokens.push(Token {
                parameter: *parameter,
                value: *value,
                system: *system,
            }),
            Probe::TokenIn { parameter, values } if values.len() <= most => {
                tokens.extend(values.iter().map(|value| Token {
                    parameter: *parameter,
                    value: *value,
                    system: None,
                }));
            }
            _ => return None,
        }
    }
    (tokens.len() <= most).then_some(tokens)
}

/// A probe for many, as probes for one each.
fn single(probe: &Probe) -> Vec<Probe> {
    match probe {
        Probe::TokenIn { parameter, values } => {
            let one = |value: &i64| Probe::Token {
                parameter: *parameter,
                value: *value,
                system: None,
            };
            values.iter().map(one).collect()
        }
        Probe::NamedIn(all) => all.iter().copied().map(Probe::Named).collect(),
        other => vec![other.clone()],
    }
}

fn beside(search: &Search, covered: &[usize]) -> Vec<usize> {
    let mut room = TOKENS;
    let mut beside = Vec::new();
    for (at, clause) in search.clauses.iter().enumerate() {
        let Some(tokens) = tokens(clause, TOKENS).filter(|_| !covered.contains(&at)) else {
            continue;
        };
        if let Some(left) = room.checked_sub(tokens.len()) {
            room = left;
            beside.push(at);
        }
    }
    beside
}

fn put_in_order(places: &mut Vec<Position>, direction: Direction) {
    places.sort_unstable();
    places.dedup();
    if direction == Direction::Descending {
        places.reverse();
    }
}

impl Reading<'_> {
    /// How many rows a clause has, but not more than `most`, and the way along them; `None` where it is
    /// no way, or one too long to collect.
    fn along(
        &self,
        search: &Search,
        clause: &Clause,
        starts: (i64, i64),
        most: usize,
    ) -> Result<Option<(usize, Along)>> {
        if let Some(tokens) = tokens(clause, LISTS) {
            let mut count = 0;
            for token in &tokens {
                let limit = i64::try_from(most.saturating_sub(count)).unwrap_or(i64::MAX);
                let mut statement = Statement::new("SELECT count(*) FROM (SELECT 1 FROM tokens");
                statement
                    .integer(" WHERE parameter = ?", token.parameter)
                    .integer(" AND value = ?", token.value)
                    .integer(" AND start >= ?", starts.0)
                    .integer(" AND start < ?", starts.1)
                    .system("", token.system)
                    .integer(" LIMIT ?)", limit);
                count += statement.count(self)?;
            }
            return Ok(Some((count, Along::Tokens(tokens))));
        }
        let mut places = Vec::new();
        let most = most.min(COLLECTED + 1);
        for probe in clause.any.iter().flat_map(single) {
            let Some(mut statement) = collecting(&probe) else {
                return Ok(None);
            };
            let limit = most.saturating_sub(places.len());
            statement.integer(" LIMIT ?", i64::try_from(limit).unwrap_or(i64::MAX));
            places.extend(statement.positions(self)?);
            if places.len() >= most {
                return Ok(None);
            }
        }
        let mut positions = self.of_kind(search.kind, &places)?;
        put_in_order(&mut positions, search.direction);
        Ok(Some((positions.len(), Along::Places(positions))))
    }

    /// Where the rows at these places stand in order, if they are of that kind.
    fn of_kind(&self, kind: i64, places: &[Position]) -> Result<Vec<Position>> {
        let mut positions = Vec::with_capacity(places.len());
        for at in places {
            let mut statement = Statement::new("SELECT start, place FROM records");
            statement
                .integer(" WHERE place = ?", at.place)
                .integer(" AND kind = ?", kind);
            positions.extend(statement.positions(self)?);
        }
        Ok(positions)
    }
}

impl Lane {
    pub(super) fn covers(&self, clause: usize) -> bool {
        self.covered.contains(&clause) || self.beside.contains(&clause)
    }

    /// The next positions, and whether there may be more.
    pub(super) fn next(
        &self,
        reading: &Reading<'_>,
        search: &Search,
        after: Option<Position>,
        most: usize,
    ) -> Result<(Vec<Position>, bool)> {
        let direction = search.direction;
        let is_after = |at: &Position| match (direction, after) {
            (_, None) => true,
            (Direction::Ascending, Some(after)) => *at > after,
            (Direction::Descending, Some(after)) => *at < after,
        };
        match &self.along {
            Along::Places(places) => {
                let within = |at: &Position| (self.starts.0..self.starts.1).contains(&at.key);
                let places = places
                    .iter()
                    .copied()
                    .filter(|at| is_after(at) && within(at));
                let places: Vec<_> = places.take(most).collect();
                let more = places.len() == most;
                Ok((places, more))
            }
            Along::Kind => {
                let mut statement = Statement::new(
                    "SELECT c.start, c.place FROM records c INDEXED BY records_by_kind",
                );
                statement.integer(" WHERE c.kind = ?", search.kind);
                self.rest(&mut statement, search, after, most);
                let positions = statement.positions(reading)?;
                let more = positions.len() == most;
                Ok((positions, more))
            }
            Along::Tokens(tokens) => {
                let mut merged = Vec::new();
                // Beyond the last of a list that goes on, others may go on as well.
                let mut end: Option<Position> = None;
                for token in tokens {
                    let mut statement = Statement::new("SELECT c.start, c.place FROM tokens c");
                    statement
                        .integer(" WHERE c.parameter = ?", token.parameter)
                        .integer(" AND c.value = ?", token.value)
                        .system("c.", token.system);
                    self.rest(&mut statement, search, after, most);
                    let found = statement.positions(reading)?;
                    if let Some(last) = found.last().filter(|_| found.len() == most) {
                        end = Some(match (end, direction) {
                            (None, _) => *last,
                            (Some(end), Direction::Ascending) => end.min(*last),
                            (Some(end), Direction::Descending) => end.max(*last),
                        });
                    }
                    merged.extend(found);
                }
                put_in_order(&mut merged, direction);
                if let Some(end) = end {
                    merged.retain(|at| match direction {
                        Direction::Ascending => *at <= end,
                        Direction::Descending => *at >= end,
                    });
                }
                Ok((merged, end.is_some()))
            }
        }
    }

    /// What stands beside, from where to where, and in which order.
    fn rest(
        &self,
        statement: &mut Statement,
        search: &Search,
        after: Option<Position>,
        most: usize,
    ) {
        let (from, until) = self.starts;
        match search.direction {
            Direction::Ascending => {
                let after = after.filter(|after| after.key >= from);
                let at = after.map_or((from, i64::MIN), |after| (after.key, after.place));
                statement
                    .integer(" AND (c.start, c.place) > (?, ", at.0)
                    .integer("?)", at.1)
                    .integer(" AND c.start < ?", until);
            }
            Direction::Descending => {
                let after = after.filter(|after| after.key < until);
                let at = after.map_or((until, i64::MIN), |after| (after.key, after.place));
                statement
                    .integer(" AND (c.start, c.place) < (?, ", at.0)
                    .integer("?)", at.1)
                    .integer(" AND c.start >= ?", from);
            }
        }
        let clauses = search.clauses.iter().enumerate();
        for (_, clause) in clauses.filter(|(at, _)| self.beside.contains(at)) {
            statement.text(if clause.none {
                " AND NOT (0"
            } else {
                " AND (0"
            });
            for token in tokens(clause, TOKENS).unwrap_or_default() {
                statement
                    .text(" OR EXISTS (SELECT 1 FROM tokens t")
                    .integer(" WHERE t.parameter = ?", token.parameter)
                    .integer(" AND t.value = ?", token.value)
                    .text(" AND t.start = c.start AND t.place = c.place")
                    .system("t.", token.system)
                    .text(")");
            }
            statement.text(")");
        }
        statement.text(match search.direction {
            Direction::Ascending => " ORDER BY c.start, c.place",
            Direction::Descending => " ORDER BY c.start DESC, c.place DESC",
        });
        statement.integer(" LIMIT ?", i64::try_from(most).unwrap_or(i64::MAX));
    }
}
