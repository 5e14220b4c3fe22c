//! Where a page ended, as a token that says nothing to whoever holds it.

use std::fmt;

use crate::class::Class;
use crate::id::{decode_hex, encode_hex};
use crate::sealing::Sealed;
use crate::storage::Position;

/// The end of a page of matches. It belongs to the query and the vault that it came from, survives
/// locking, and holds its position sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(String);

/// What a cursor holds: the position of the last match, and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) class: Class,
    pub(crate) position: Position,
}

impl Cursor {
    /// Takes a cursor's text back. Whether it belongs to a query shows when it is used.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The cursor as text of fixed length.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_sealed(sealed: &Sealed) -> Self {
        Self(encode_hex(sealed.as_bytes()))
    }

    pub(crate) fn to_sealed(&self) -> Option<Sealed> {
        let bytes = decode_hex::<{ Mark::BYTES + Sealed::OVERHEAD }>(&self.0)?;
        Some(Sealed::from_stored(bytes.to_vec()))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}

impl Mark {
    const BYTES: usize = 17;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let parts = [self.class.code()]
            .into_iter()
            .chain(self.position.key.to_le_bytes())
            .chain(self.position.place.to_le_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (class, rest) = bytes.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let place = rest.try_into().ok()?;
        let position = Position {
            key: i64::from_le_bytes(*key),
            place: i64::from_le_bytes(place),
        };
        Some(Self {
            class: Class::from_code(*class)?,
            position,
        })
    }
}
