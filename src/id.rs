//! Names made of random bytes.
//!
//! **Does** give vaults, records, slots and keys identities that say nothing.
//! **Never** derives one from content, time or order.
//! **Format** 16 bytes (a slot: 8), written as lower-case hexadecimal.

use std::fmt;

use crate::error::Result;
use crate::random;

/// Reads lower-case hexadecimal of exactly `N` bytes; anything else is `None`.
pub(crate) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    decode_hex_into(text, &mut bytes).then_some(bytes)
}

/// Reads lower-case hexadecimal into the whole of `bytes`.
pub(crate) fn decode_hex_into(text: &str, bytes: &mut [u8]) -> bool {
    if text.len() != bytes.len().saturating_mul(2) {
        return false;
    }
    let digits = text.as_bytes().chunks_exact(2);
    for (byte, pair) in bytes.iter_mut().zip(digits) {
        let &[high, low] = pair else { return false };
        match (hex_digit(high), hex_digit(low)) {
            (Some(high), Some(low)) => *byte = (high << 4) | low,
            _ => return false,
        }
    }
    true
}

/// Writes bytes as lower-case hexadecimal.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).expect("a nibble is below 16"));
        }
    }
    text
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A random UUID (RFC 9562, version 4).
pub(crate) struct Uuid([u8; 16]);

impl Uuid {
    pub(crate) fn make() -> Result<Self> {
        let mut bytes: [u8; 16] = random::make()?;
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
        *version = *version & 0x0F | 0x40;
        *variant = *variant & 0x3F | 0x80;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

macro_rules! identity {
    ($(#[doc = $doc:literal])+ $name:ident, $size:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $size]);

        impl $name {
            /// A new random identity.
            pub(crate) fn make() -> Result<Self> {
                let mut bytes = [0; $size];
                random::fill(&mut bytes)?;
                Ok(Self(bytes))
            }

            /// The identity with these bytes, as [`to_bytes`](Self::to_bytes) gave them.
            pub fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// The identity's bytes.
            pub fn to_bytes(self) -> [u8; $size] {
                self.0
            }

            /// Reads the lower-case hexadecimal form that `Display` writes.
            pub fn parse(text: &str) -> Option<Self> {
                decode_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode_hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

identity! {
    /// The identity of a vault, 128 random bits.
    VaultId, 16
}
identity! {
    /// The identity of a record, 128 random bits. It stays the same through every revision.
    RecordId, 16
}
identity! {
    /// The identity of a key slot, 64 random bits.
    SlotId, 8
}
/// The identity of a subject key, 128 random bits. It never leaves the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId([u8; 16]);

impl KeyId {
    pub(crate) fn make() -> Result<Self> {
        random::make().map(Self)
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_round_trips_and_is_strict() {
        let id = RecordId::make().expect("random bytes");
        assert_eq!(RecordId::parse(&id.to_string()), Some(id));
        assert_eq!(
            RecordId::parse(&id.to_string().to_uppercase().replace('0', "A")),
            None
        );
        assert_eq!(SlotId::parse("00112233445566"), None);
        assert_eq!(SlotId::parse("00112233445566é"), None);
    }
}
