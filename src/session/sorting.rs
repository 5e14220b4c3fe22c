//! Orders that no index has: every find is looked at before the first is handed out.

use std::cmp::Ordering;

use super::classes::OpenClasses;
use super::live::Inner;
use super::open_class::OpenClass;
use super::source::{Ranked, Source};
use crate::class::Class;
use crate::error::Result;
use crate::fhir::search::{Kind, Request, SortKey, primary, texts};
use crate::records::Mark;
use crate::secret::SecretText;
use crate::storage::{Entry, Own, Position, Reading, Search};

/// What a resource has for one key of an order.
#[derive(Clone)]
enum Key {
    /// Nothing: it comes before anything there is.
    None,
    Text(SecretText),
    Time(i64),
    Amount(f64),
}

struct Find {
    keys: Vec<Key>,
    class: Class,
    place: i64,
}

/// What a search finds in each class, in the order of the request; and where a page before ended.
///
/// # Errors
///
/// Those of the databases.
pub(super) fn ranked(
    inner: &Inner,
    open: &OpenClasses,
    request: &Request,
    searches: Vec<(Class, Option<Search>)>,
    after: &mut Option<Mark>,
) -> Result<Vec<(Class, Option<Source>)>> {
    let mut finds = Vec::new();
    for (class, search) in &searches {
        let found = open.classes.iter().find(|open| open.class() == *class);
        let (Some(open), Some(search)) = (found, search) else {
            continue;
        };
        open.store.read(|reading| {
            for (at, place) in reading.search_places(search)?.into_iter().enumerate() {
                if at % STEP == 0 {
                    inner.go_on()?;
                }
                let mut keys = Vec::with_capacity(request.sort.len());
                for key in &request.sort {
                    keys.push(key_of(open, reading, request, key, place)?);
                }
                let class = *class;
                finds.push(Find { keys, class, place });
            }
            Ok(())
        })?;
    }
    finds.sort_by(|one, other| {
        let mut keys = request.sort.iter().zip(one.keys.iter().zip(&other.keys));
        let first = keys.find_map(|(key, (one, other))| {
            let order = match key.descending {
                true => other.order(one),
                false => one.order(other),
            };
            order.is_ne().then_some(order)
        });
        let last = || (one.class, one.place).cmp(&(other.class, other.place));
        first.unwrap_or_else(last)
    });
    let ranks = (0_i64..).zip(&finds);
    if let Some(mark) = after {
        // The record that a page ended with may stand elsewhere by now, or nowhere.
        let same = |find: &Find| find.class == mark.class && find.place == mark.position.place;
        let now = ranks.clone().find(|(_, find)| same(find));
        let gone = mark.position.key.saturating_sub(1);
        mark.position.key = now.map_or(gone, |(rank, _)| rank);
    }
    let source = |(class, search): (Class, Option<Search>)| {
        let own = ranks.clone().filter(|(_, find)| find.class == class);
        let places = own.map(|(key, find)| Position {
            key,
            place: find.place,
        });
        let places = places.collect();
        let source = search.map(|search| Source::Ranked(Box::new(Ranked { search, places })));
        (class, source)
    };
    Ok(searches.into_iter().map(source).collect())
}

/// Whether the session goes on is asked after so many resources.
const STEP: usize = 256;

/// The least of what a resource has for a key, or the greatest where that comes first.
fn key_of(
    class: &OpenClass,
    reading: &Reading<'_>,
    request: &Request,
    key: &SortKey,
    place: i64,
) -> Result<Key> {
    let keys = match key.definition.kind {
        Kind::Token | Kind::Reference => match reading.row_at(place)? {
            None => Vec::new(),
            Some(row) => {
                let record = class.open_row(class.name(reading, row)?)?;
                let json = std::str::from_utf8(record.body()).unwrap_or_default();
                let texts = texts(key.definition, json).into_iter();
                texts.map(Key::Text).collect()
            }
        },
        _ => match reading.found_by(place)? {
            None => Vec::new(),
            Some((own, entries)) => {
                let is_own = primary(request.kind) == Some(key.definition.code);
                let numbers = &key.definition.found_under;
                let entries = entries.iter().filter_map(|entry| of_entry(numbers, &entry));
                let own = own_time(own).filter(|_| is_own).map(Key::Time);
                own.into_iter().chain(entries).collect()
            }
        },
    };
    let best = keys
        .into_iter()
        .reduce(|one, other| match (one.order(&other), key.descending) {
            (Ordering::Less, true) | (Ordering::Greater, false) => other,
            _ => one,
        });
    Ok(best.unwrap_or(Key::None))
}

fn own_time(own: Own) -> Option<i64> {
    own.time.map(|(start, _)| start)
}

fn of_entry(numbers: &[i64], entry: &Entry) -> Option<Key> {
    let is_plain = |parameter: &i64| parameter % 2 == 0 && numbers.contains(&(parameter / 2));
    match entry {
        Entry::Word { parameter, word } if is_plain(parameter) => Some(Key::Text(word.clone())),
        Entry::Stretch {
            parameter, start, ..
        } if is_plain(parameter) => Some(Key::Time(*start)),
        Entry::Amount {
            parameter,
            unit: 0,
            low,
            ..
        } if numbers.contains(&(parameter / 2)) => Some(Key::Amount(*low)),
        _ => None,
    }
}

impl Key {
    fn rank(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Text(_) => 1,
            Self::Time(_) => 2,
            Self::Amount(_) => 3,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Time(one), Self::Time(other)) => one.cmp(other),
            (Self::Amount(one), Self::Amount(other)) => one.total_cmp(other),
            (one, other) => one.rank().cmp(&other.rank()),
        }
    }
}
