//! What comes along with the matches of a search.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::found_by::{in_any, number};
use super::matches::Matches;
use super::open_class::{OpenClass, is_expired};
use crate::error::Result;
use crate::fhir::search::Include;
use crate::id::RecordId;
use crate::keys::TokenSpace;
use crate::records::Record;
use crate::secret::SecretText;
use crate::storage::{Clause, Direction, Reading, Row, Search};
use crate::time::Timestamp;

/// What the matches so far bring along.
pub(super) struct Including {
    wanted: Vec<(Include, BTreeSet<SecretText>)>,
    /// What was handed out already.
    met: BTreeSet<RecordId>,
}

impl Including {
    pub(super) fn of(includes: Vec<Include>) -> Option<Self> {
        let wanted: Vec<_> = includes
            .into_iter()
            .map(|it| (it, BTreeSet::new()))
            .collect();
        (!wanted.is_empty()).then_some(Self {
            wanted,
            met: BTreeSet::new(),
        })
    }

    /// A match is handed out.
    pub(super) fn note(&mut self, record: &Record) {
        let json = std::str::from_utf8(record.body()).unwrap_or_default();
        for (include, names) in &mut self.wanted {
            names.extend(include.names(record.kind(), json));
        }
        self.met.extend(record.id());
    }
}

impl Matches {
    /// What `_include` and `_revinclude` bring along with the matches handed out since this was last
    /// asked, in no order; no record twice, and none that was a match.
    ///
    /// # Errors
    ///
    /// Those of reading, [`Locked`](crate::ErrorKind::Locked) among them.
    pub fn included(&mut self) -> Result<Vec<Record>> {
        let session = self.session()?;
        let Some(including) = &mut self.including else {
            return Ok(Vec::new());
        };
        let reach = self.reach;
        session.with(reach, |open| {
            let now = Timestamp::now();
            let mut records = Vec::new();
            for class in open.within(reach) {
                for (include, names) in &including.wanted {
                    session.go_on()?;
                    let numbers = names.iter().map(|name| number(&class.keys, name.expose()));
                    let mut numbers: Vec<_> = numbers.collect();
                    numbers.sort_unstable();
                    let found = class.store.read(|reading| {
                        let rows = match include.reverse {
                            true => referring(class, reading, include, &numbers.into())?,
                            false => reading.named(&numbers)?,
                        };
                        let rows = rows.into_iter().filter(|row| !is_expired(row, now));
                        let named = rows.map(|row| class.name(reading, row));
                        named.collect::<Result<Vec<_>>>()
                    })?;
                    for located in found {
                        let id = located.row.id;
                        if including.met.contains(&id) {
                            continue;
                        }
                        let kind = located.kind.text.clone();
                        session.admit(open, reach, class, &kind)?;
                        session.release(class.class(), 1)?;
                        records.push(class.open_row(located)?);
                        session.tally(reach, class.class(), &kind, id);
                        including.met.insert(id);
                    }
                }
            }
            including
                .wanted
                .iter_mut()
                .for_each(|(_, names)| names.clear());
            Ok(records)
        })
    }
}

/// The resources of a type that refer to any of these.
fn referring(
    class: &OpenClass,
    reading: &Reading<'_>,
    include: &Include,
    values: &Arc<[i64]>,
) -> Result<Vec<Row>> {
    let kind = SecretText::copy_of(include.from);
    let names = &class.names;
    let Some(term) = names.find_term(&class.keys, reading, TokenSpace::Kind, &kind)? else {
        return Ok(Vec::new());
    };
    class.require_indexed(Some(include.definition))?;
    let search = Search {
        kind: term.number,
        clauses: vec![Clause {
            any: in_any(include.definition, values),
            none: false,
        }],
        direction: Direction::Descending,
    };
    let mut rows = Vec::new();
    for place in reading.search_places(&search)? {
        rows.extend(reading.row_at(place)?);
    }
    Ok(rows)
}
