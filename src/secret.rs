//! The types that secrets live in, and the only ones.
//!
//! **Does** keep key bytes, passphrases and plaintext on the heap or in the locked region, filled
//! in place, wiped on drop, compared in constant time.
//! **Never** prints, clones, serialises or reallocates a secret.
//! **Format** none.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

use crate::error::Result;
use crate::memory::Cell;
use crate::random;

/// A 32-byte key.
pub(crate) struct SecretKey(Home);

enum Home {
    Locked(Cell),
    Heap(Box<[u8; 32]>),
}

impl SecretKey {
    /// A key that `fill` writes in place. The bytes it is given are zero.
    pub(crate) fn fill<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = match Cell::take() {
            Some(cell) => Self(Home::Locked(cell)),
            None => Self(Home::Heap(Box::new([0; 32]))),
        };
        fill(match &mut key.0 {
            Home::Locked(cell) => cell.bytes_mut(),
            Home::Heap(bytes) => bytes,
        })?;
        Ok(key)
    }

    /// A key from the operating system's random source.
    pub(crate) fn make() -> Result<Self> {
        Self::fill(|bytes| random::fill(bytes))
    }

    /// Lends the key's bytes.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        match &self.0 {
            Home::Locked(cell) => cell.bytes(),
            Home::Heap(bytes) => bytes,
        }
    }

    /// Whether both keys are the same, in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.expose()
            .as_slice()
            .ct_eq(other.expose().as_slice())
            .into()
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        if let Home::Heap(bytes) = &mut self.0 {
            bytes.zeroize();
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Secret bytes of a length fixed when they are made.
pub(crate) struct SecretBytes(Box<[u8]>);

impl SecretBytes {
    /// `length` zero bytes, to be written in place.
    pub(crate) fn zeroed(length: usize) -> Self {
        Self(vec![0; length].into_boxed_slice())
    }

    /// A copy of `bytes`; the caller answers for the original.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The parts one after another, in a buffer of exactly that length.
    pub(crate) fn concatenation(parts: &[&[u8]]) -> Self {
        let mut whole = Self::zeroed(parts.iter().map(|part| part.len()).sum());
        let mut rest = whole.expose_mut();
        for part in parts {
            let (here, after) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
        }
        whole
    }

    /// The bytes of `vector`, moved; what the vector had allocated beyond its length is wiped.
    pub(crate) fn from_vec(mut vector: Vec<u8>) -> Self {
        if vector.len() == vector.capacity() {
            return Self(vector.into_boxed_slice());
        }
        let copy = Self::copy_of(&vector);
        vector.zeroize();
        copy
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl ConstantTimeEq for SecretBytes {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// Text about a person, such as a name; wiped on drop.
pub(crate) struct SecretText(SecretBytes);

impl SecretText {
    pub(crate) fn copy_of(text: &str) -> Self {
        Self(SecretBytes::copy_of(text.as_bytes()))
    }

    /// Takes a string over; its spare room is wiped with it.
    pub(crate) fn from_string(text: String) -> Self {
        Self(SecretBytes::from_vec(text.into_bytes()))
    }

    pub(crate) fn expose(&self) -> &str {
        std::str::from_utf8(self.0.expose()).expect("the bytes were copied from text")
    }
}

impl Clone for SecretText {
    fn clone(&self) -> Self {
        Self::copy_of(self.expose())
    }
}

impl PartialEq for SecretText {
    /// Names are compared as text: they are kept from the disk and the log, not from the caller.
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for SecretText {}

impl std::hash::Hash for SecretText {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl std::borrow::Borrow<str> for SecretText {
    fn borrow(&self) -> &str {
        self.expose()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_print_nothing() {
        let one = SecretKey::make().expect("random bytes");
        let other = SecretKey::make().expect("random bytes");
        assert!(one.matches(&one) && !one.matches(&other));
        assert_eq!(format!("{one:?}"), "SecretKey(..)");
    }

    #[test]
    fn more_keys_than_cells_still_fit() {
        let keys: Vec<_> = (0..600)
            .map(|_| SecretKey::make().expect("random bytes"))
            .collect();
        assert!(keys.iter().all(|key| key.expose() != &[0; 32]));
    }
}
