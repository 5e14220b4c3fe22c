//! What a record is found by, besides its own columns.
//!
//! **Does** lay the entries of a record out as one value beside it, so that what is in the tables of
//! the index can be taken out with the record.
//! **Never** opens a record.
//! **Format** docs/spec/05-schema-and-pragmas.md, "What a record is found by".

use std::fmt;

use crate::secret::{SecretBytes, SecretText};

/// One thing that a record is found by. Only sealed pages protect it.
#[derive(Clone)]
pub(crate) enum Entry {
    Token {
        parameter: i64,
        value: i64,
        system: i64,
    },
    Word {
        parameter: i64,
        word: SecretText,
    },
    /// From a moment to the one that no longer belongs to it.
    Stretch {
        parameter: i64,
        start: i64,
        end: i64,
    },
    /// A number, or the lowest and the highest of a range.
    Amount {
        parameter: i64,
        unit: i64,
        low: f64,
        high: f64,
        system: i64,
    },
}

/// The system of a code that has no place for one.
pub(crate) const IMPLIED: i64 = 1;

/// The most bytes of a word; what is longer is cut.
pub(crate) const LONGEST_WORD: usize = 200;

/// What a record's own columns say to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) named: Option<i64>,
    /// The time that the record's type is sorted by, where it has one.
    pub(crate) time: Option<(i64, i64)>,
}

/// The entries of a record, laid out.
pub(crate) struct Entries(SecretBytes);

/// Everything that a resource is found by.
pub(crate) struct FoundBy {
    pub(crate) own: Own,
    pub(crate) entries: Entries,
}

const TOKEN: u8 = 1;
const WORD: u8 = 2;
const STRETCH: u8 = 3;
const AMOUNT: u8 = 4;

/// Entries that are being put together. They are laid out one by one: a list of entries would keep
/// what was in memory before in the places that a shorter kind leaves free.
#[derive(Default)]
pub(crate) struct NewEntries(Vec<SecretBytes>);

impl NewEntries {
    /// Adds an entry, unless it is there.
    pub(crate) fn push(&mut self, entry: &Entry) {
        let part = entry.encode();
        if !self.0.iter().any(|there| there.expose() == part.expose()) {
            self.0.push(part);
        }
    }

    pub(crate) fn finish(&self) -> Entries {
        let parts: Vec<&[u8]> = self.0.iter().map(SecretBytes::expose).collect();
        Entries(SecretBytes::concatenation(&parts))
    }
}

impl Entries {
    pub(super) fn from_stored(bytes: Vec<u8>) -> Self {
        Self(SecretBytes::from_vec(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// The entries of the parameters below a number.
    pub(crate) fn below(&self, end: i64) -> Self {
        let mut some = NewEntries::default();
        let below = |entry: &Entry| entry.parameter() < end;
        self.iter()
            .filter(below)
            .for_each(|entry| some.push(&entry));
        some.finish()
    }

    /// The entries again; nothing after one that is not whole.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || Entry::decode(&mut rest))
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entries(..)")
    }
}

impl Entry {
    /// A kind, the parameter in two bytes, and the rest; numbers are little-endian.
    fn encode(&self) -> SecretBytes {
        let number = |parameter: i64| {
            let [low, high, ..] = parameter.to_le_bytes();
            [low, high]
        };
        match self {
            Self::Token {
                parameter,
                value,
                system,
            } => SecretBytes::concatenation(&[
                &[TOKEN],
                &number(*parameter),
                &value.to_le_bytes(),
                &short(*system),
            ]),
            Self::Word { parameter, word } => {
                let word = word.expose().as_bytes();
                let length = u8::try_from(word.len()).unwrap_or(u8::MAX);
                SecretBytes::concatenation(&[&[WORD], &number(*parameter), &[length], word])
            }
            Self::Stretch {
                parameter,
                start,
                end,
            } => SecretBytes::concatenation(&[
                &[STRETCH],
                &number(*parameter),
                &start.to_le_bytes(),
                &end.to_le_bytes(),
            ]),
            Self::Amount {
                parameter,
                unit,
                low,
                high,
                system,
            } => SecretBytes::concatenation(&[
                &[AMOUNT],
                &number(*parameter),
                &unit.to_le_bytes(),
                &low.to_le_bytes(),
                &high.to_le_bytes(),
                &short(*system),
            ]),
        }
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let [kind] = take(rest)?;
        let parameter = i64::from(u16::from_le_bytes(take(rest)?));
        Some(match kind {
            TOKEN => Self::Token {
                parameter,
                value: i64::from_le_bytes(take(rest)?),
                system: i64::from(u32::from_le_bytes(take(rest)?)),
            },
            WORD => {
                let [length] = take(rest)?;
                let (word, after) = rest.split_at_checked(usize::from(length))?;
                *rest = after;
                Self::Word {
                    parameter,
                    word: SecretText::copy_of(std::str::from_utf8(word).ok()?),
                }
            }
            STRETCH => Self::Stretch {
                parameter,
                start: i64::from_le_bytes(take(rest)?),
                end: i64::from_le_bytes(take(rest)?),
            },
            AMOUNT => Self::Amount {
                parameter,
                unit: i64::from_le_bytes(take(rest)?),
                low: f64::from_le_bytes(take(rest)?),
                high: f64::from_le_bytes(take(rest)?),
                system: i64::from(u32::from_le_bytes(take(rest)?)),
            },
            _ => return None,
        })
    }

    pub(super) fn parameter(&self) -> i64 {
        match self {
            Self::Token { parameter, .. }
            | Self::Word { parameter, .. }
            | Self::Stretch { parameter, .. }
            | Self::Amount { parameter, .. } => *parameter,
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn short(system: i64) -> [u8; 4] {
    let [a, b, c, d, ..] = system.to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Probe, Whole};
    use super::*;

    fn of(entries: &[Entry]) -> Entries {
        let mut new = NewEntries::default();
        entries.iter().for_each(|entry| new.push(entry));
        new.finish()
    }

    #[test]
    fn entries_come_back_as_they_were_and_each_once() {
        let word = |word: &str| Entry::Word {
            parameter: 32_767,
            word: SecretText::copy_of(word),
        };
        let entries = [
            Entry::Token {
                parameter: 5,
                value: -1,
                system: 4_294_967_295,
            },
            word("jürgen"),
            word("jürgen"),
            Entry::Stretch {
                parameter: 1,
                start: i64::MIN,
                end: i64::MAX,
            },
            Entry::Amount {
                parameter: 2,
                unit: 7,
                low: -0.5,
                high: f64::MAX,
                system: 0,
            },
        ];
        let laid_out = of(&entries);
        assert_eq!(laid_out.iter().count(), 4);
        let again: Vec<_> = Entries::from_stored(laid_out.as_bytes().to_vec())
            .iter()
            .collect();
        assert_eq!(of(&again).as_bytes(), laid_out.as_bytes());
        let own = Own {
            named: None,
            time: None,
        };
        let probe = Probe::Word {
            parameter: 32_767,
            word: SecretText::copy_of("jü"),
            how: Whole::Start,
        };
        assert!(probe.meets(own, &laid_out));
        let cut = laid_out.as_bytes().len() - 1;
        let cut = Entries::from_stored(laid_out.as_bytes()[..cut].to_vec());
        assert_eq!(cut.iter().count(), 3, "what is not whole is left out");
    }
}
