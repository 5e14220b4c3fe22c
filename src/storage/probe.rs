//! What is looked for among the entries of a record, and whether it is there.

use std::sync::Arc;

use super::entry::{Entries, Entry, IMPLIED, Own};
use crate::secret::SecretText;

/// What is looked for among the entries of a record.
#[derive(Clone)]
pub(crate) enum Probe {
    /// A code, of one system or of any; a code whose system is implied is of any.
    Token {
        parameter: i64,
        value: i64,
        system: Option<i64>,
    },
    /// Any of these codes, which are in order.
    TokenIn { parameter: i64, values: Arc<[i64]> },
    /// Any of the records that others refer to so; the numbers are in order.
    NamedIn(Arc<[i64]>),
    /// Any code of a system.
    System { parameter: i64, system: i64 },
    /// The record that others refer to so.
    Named(i64),
    Word {
        parameter: i64,
        word: SecretText,
        how: Whole,
    },
    /// `None` for the parameter is the record's own time.
    Stretch {
        parameter: Option<i64>,
        bounds: Bounds<i64>,
    },
    Amount {
        parameter: i64,
        unit: i64,
        system: Option<i64>,
        bounds: Bounds<f64>,
        /// The parameter holds no ranges.
        points: bool,
    },
    /// Anything at all.
    Any { parameter: i64 },
    /// The record's own time, whatever it is.
    Dated,
    /// What others refer to it by, whatever it is.
    Identified,
}

/// How much of a word has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    All,
    Start,
    Part,
}

/// Where a stretch or a range has to lie. Every bound that is given must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<T> {
    /// The lowest is this or more.
    pub(crate) from: Option<T>,
    /// The lowest is less than this.
    pub(crate) below: Option<T>,
    /// The highest is more than this.
    pub(crate) beyond: Option<T>,
    /// The highest is this or less.
    pub(crate) until: Option<T>,
    /// It must not be so.
    pub(crate) outside: bool,
}

impl<T: PartialOrd + Copy> Bounds<T> {
    pub(crate) const NONE: Self = Self {
        from: None,
        below: None,
        beyond: None,
        until: None,
        outside: false,
    };

    pub(crate) fn hold(&self, low: T, high: T) -> bool {
        let inside = self.from.is_none_or(|from| low >= from)
            && self.below.is_none_or(|below| low < below)
            && self.beyond.is_none_or(|beyond| high > beyond)
            && self.until.is_none_or(|until| high <= until);
        inside != self.outside
    }
}

impl Probe {
    /// Whether a record is what is looked for: its own columns, or one of its entries.
    pub(crate) fn meets(&self, own: Own, entries: &Entries) -> bool {
        match self {
            Self::Named(named) => own.named == Some(*named),
            Self::NamedIn(all) => own.named.is_some_and(|it| all.binary_search(&it).is_ok()),
            Self::Dated => own.time.is_some(),
            Self::Identified => own.named.is_some(),
            Self::Stretch {
                parameter: None,
                bounds,
            } => own
                .time
                .is_some_and(|(start, end)| bounds.hold(start, end.max(start.saturating_add(1)))),
            probe => entries.iter().any(|entry| probe.is(&entry)),
        }
    }

    /// Whether an entry is what is looked for.
    fn is(&self, entry: &Entry) -> bool {
        match (self, entry) {
            (
                Self::Token {
                    parameter,
                    value,
                    system,
                },
                Entry::Token {
                    parameter: of,
                    value: held,
                    system: from,
                },
            ) => parameter == of && value == held && is_of(*system, *from),
            (
                Self::TokenIn { parameter, values },
                Entry::Token {
                    parameter: of,
                    value,
                    ..
                },
            ) => parameter == of && values.binary_search(value).is_ok(),
            (
                Self::System { parameter, system },
                Entry::Token {
                    parameter: of,
                    system: from,
                    ..
                },
            ) => parameter == of && system == from,
            (
                Self::Word {
                    parameter,
                    word,
                    how,
                },
                Entry::Word {
                    parameter: of,
                    word: held,
                },
            ) => parameter == of && how.is_in(word.expose(), held.expose()),
            (
                Self::Stretch {
                    parameter: Some(parameter),
                    bounds,
                },
                Entry::Stretch {
                    parameter: of,
                    start,
                    end,
                },
            ) => parameter == of && bounds.hold(*start, *end),
            (
                Self::Amount {
                    parameter,
                    unit,
                    system,
                    bounds,
                    ..
                },
                Entry::Amount {
                    parameter: of,
                    unit: held,
                    low,
                    high,
                    system: from,
                },
            ) => {
                parameter == of
                    && unit == held
                    && system.is_none_or(|system| system == *from)
                    && bounds.hold(*low, *high)
            }
            (Self::Any { parameter }, entry) => *parameter == entry.parameter(),
            _ => false,
        }
    }
}

fn is_of(system: Option<i64>, from: i64) -> bool {
    system.is_none_or(|system| system == from || from == IMPLIED)
}

impl Whole {
    pub(crate) fn is_in(self, word: &str, held: &str) -> bool {
        match self {
            Self::All => held == word,
            Self::Start => held.starts_with(word),
            Self::Part => held.contains(word),
        }
    }
}
