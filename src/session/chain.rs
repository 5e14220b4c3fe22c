//! Conditions of a search on other resources: chains, and `_has`.

use std::sync::Arc;

use super::classes::{OpenClasses, Reach};
use super::found_by::{self, number};
use super::live::Inner;
use super::open_class::{OpenClass, is_expired};
use crate::error::Result;
use crate::fhir::search::{Chain, Definition, Request, names};
use crate::keys::TokenSpace;
use crate::secret::SecretText;
use crate::storage::{Clause, Position, Probe, Reading, Search};
use crate::time::Timestamp;

/// How many of the other resources are read at once.
const PAGE: usize = 256;

/// A chain, with what its other resources are called by or refer to.
pub(super) struct Resolved<'a> {
    chain: &'a Chain,
    names: Vec<SecretText>,
}

/// Looks for the other resources that a request speaks of, in all classes within reach. `quietly`
/// writes no entry of the trail.
///
/// # Errors
///
/// Those of a query.
pub(super) fn resolve<'a>(
    inner: &Inner,
    open: &OpenClasses,
    reach: Reach,
    request: &'a Request,
    quietly: bool,
) -> Result<Vec<Resolved<'a>>> {
    let resolve = |chain: &'a Chain| {
        let mut found = Vec::new();
        let refers = chain.reverse.then_some(chain.definition);
        let only = chain.definition.only.filter(|_| !chain.reverse);
        let others = chain.others.iter();
        for other in others.filter(|other| only.is_none_or(|only| only == other.kind)) {
            let about = (other, refers);
            names_of(inner, open, reach, about, quietly, &mut found)?;
        }
        found.sort_unstable();
        found.dedup();
        Ok(Resolved {
            chain,
            names: found,
        })
    };
    request.chains.iter().map(resolve).collect()
}

/// The request in a class's own numbers; `None` where it has no resource of that type.
///
/// # Errors
///
/// Those of the database.
pub(super) fn in_class(
    class: &OpenClass,
    request: &Request,
    resolved: &[Resolved<'_>],
) -> Result<Option<Search>> {
    let kind = SecretText::copy_of(request.kind);
    let find = |reading: &Reading<'_>| {
        let names = &class.names;
        names.find_term(&class.keys, reading, TokenSpace::Kind, &kind)
    };
    let Some(term) = class.store.read(find)? else {
        return Ok(None);
    };
    class.require_indexed(request.newest_parameter())?;
    let mut search = found_by::search(&class.keys, request, term.number);
    for Resolved { chain, names } in resolved {
        let numbers = names.iter().map(|name| number(&class.keys, name.expose()));
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable();
        let numbers: Arc<[i64]> = numbers.into();
        let any = match chain.reverse {
            true => vec![Probe::NamedIn(numbers)],
            false => found_by::in_any(chain.definition, &numbers),
        };
        search.clauses.push(Clause { any, none: false });
    }
    Ok(Some(search))
}

/// What the resources that a request finds are referred to by, or what a parameter of theirs refers
/// to.
fn names_of(
    inner: &Inner,
    open: &OpenClasses,
    reach: Reach,
    (request, refers): (&Request, Option<&Definition>),
    quietly: bool,
    found: &mut Vec<SecretText>,
) -> Result<()> {
    let kind = SecretText::copy_of(request.kind);
    let resolved = resolve(inner, open, reach, request, quietly)?;
    for class in open.within(reach) {
        inner.tally_query(reach, class.class(), &kind);
        let Some(search) = in_class(class, request, &resolved)? else {
            continue;
        };
        let mut after: Option<Position> = None;
        loop {
            inner.go_on()?;
            let now = Timestamp::now();
            let before = found.len();
            let end = class.store.read(|reading| {
                let rows = reading.search(&search, after, PAGE)?;
                let end = rows.last().map(|row| Position {
                    key: row.index.start,
                    place: row.place,
                });
                for row in rows {
                    if is_expired(&row, now) {
                        continue;
                    }
                    let record = class.open_row(class.name(reading, row)?)?;
                    let json = std::str::from_utf8(record.body()).unwrap_or_default();
                    if request.confirms(json) {
                        let names = names(request.kind, refers, json);
                        found.extend(names.iter().map(|name| SecretText::copy_of(name)));
                    }
                }
                Ok(end)
            })?;
            if found.len() > before && !quietly {
                inner.admit(open, reach, class, &kind)?;
            }
            match end {
                Some(end) => after = Some(end),
                None => break,
            }
        }
    }
    Ok(())
}
