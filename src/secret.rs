//! The types that secrets live in, and the only ones.
//!
//! **Does** keep key bytes, passphrases and plaintext on the heap or in the locked region, filled
//! in place, wiped on drop, compared in constant time.
//! **Never** prints, clones, serialises or reallocates a secret.
//! **Format** none.

use std::fmt;
use std::sync::Arc;

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

    /// A key out of 32 bytes, which the caller answers for.
    ///
    /// # Panics
    ///
    /// Where there are not 32.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let Ok(key) = Self::fill::<std::convert::Infallible>(|key| {
            key.copy_from_slice(bytes);
            Ok(())
        });
        key
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

/// Secret bytes of a length fixed when they are made. They are wiped as a slice, at once: a box or
/// a vector would do it byte for byte.
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
        vector.spare_capacity_mut().zeroize();
        vector.as_mut_slice().zeroize();
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
        self.expose_mut().zeroize();
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// Text about a person, such as a name. Clones share the one copy there is, which is wiped when the
/// last of them is dropped.
#[derive(Clone)]
pub(crate) struct SecretText(Arc<WipedText>);

struct WipedText(Box<str>);

impl SecretText {
    pub(crate) fn copy_of(text: &str) -> Self {
        Self(Arc::new(WipedText(text.into())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0.0
    }
}

impl Drop for WipedText {
    fn drop(&mut self) {
        self.0.as_mut().zeroize();
    }
}

impl PartialEq for SecretText {
    /// Names are compared as text: they are kept from the disk and the log, not from the caller.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.expose() == other.expose()
    }
}

impl Eq for SecretText {}

impl PartialOrd for SecretText {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SecretText {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.expose().cmp(other.expose())
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

    /// Whether a type has a trait: an inherent constant is found before that of a trait, and it
    /// exists only where the bound holds.
    macro_rules! has {
        ($type:ty: $bound:path) => {{
            struct Probe<T>(std::marker::PhantomData<T>);
            #[allow(dead_code, reason = "unused where the type has the trait")]
            trait Otherwise {
                const HAS: bool = false;
            }
            impl<T> Otherwise for Probe<T> {}
            #[allow(dead_code, reason = "unused where the type lacks the trait")]
            impl<T: $bound> Probe<T> {
                const HAS: bool = true;
            }
            Probe::<$type>::HAS
        }};
    }

    macro_rules! traits_of {
        ($type:ty) => {
            [
                ("Clone", has!($type: Clone)),
                ("Copy", has!($type: Copy)),
                ("Display", has!($type: fmt::Display)),
                ("PartialEq", has!($type: PartialEq)),
                ("Serialize", has!($type: serde::Serialize)),
                ("AsRef<[u8]>", has!($type: AsRef<[u8]>)),
                ("Borrow<[u8]>", has!($type: std::borrow::Borrow<[u8]>)),
            ]
        };
    }

    #[test]
    fn secrets_can_be_neither_copied_nor_printed_nor_serialised_nor_compared() {
        use crate::keys::{
            AuditorKey, ClassKeys, CodeKey, ContactKey, ContactSecret, EmergencyCode,
            EmergencyRequest, Passphrase, RecoveryCode, ShareSink,
        };
        use crate::sealing::Opened;

        for (secret, traits) in [
            ("SecretKey", traits_of!(SecretKey)),
            ("SecretBytes", traits_of!(SecretBytes)),
            ("Passphrase", traits_of!(Passphrase)),
            ("RecoveryCode", traits_of!(RecoveryCode)),
            ("EmergencyCode", traits_of!(EmergencyCode)),
            ("CodeKey", traits_of!(CodeKey)),
            ("AuditorKey", traits_of!(AuditorKey)),
            ("ContactKey", traits_of!(ContactKey)),
            ("ContactSecret", traits_of!(ContactSecret)),
            ("EmergencyRequest", traits_of!(EmergencyRequest)),
            ("ClassKeys", traits_of!(ClassKeys)),
            ("ShareSink", traits_of!(ShareSink)),
            ("Opened", traits_of!(Opened)),
        ] {
            for (name, has) in traits {
                assert!(!has, "{secret} has {name}");
            }
        }
        // The probe does see a trait that is there.
        assert!(traits_of!(&'static str)[..5].iter().all(|(_, has)| *has));
        assert!(traits_of!(Vec<u8>)[5..].iter().all(|(_, has)| *has));
    }

    #[test]
    fn debug_prints_the_name_of_a_secret_and_nothing_of_it() {
        use crate::keys::{EmergencyCode, Passphrase, RecoveryCode};

        let bytes = SecretBytes::copy_of(b"a secret of known bytes");
        let words = Passphrase::new(b"a secret of known words").expect("a passphrase");
        let recovery = RecoveryCode::make().expect("random bytes");
        let emergency = EmergencyCode::make().expect("random bytes");
        for (printed, name) in [
            (format!("{bytes:?}{bytes:#?}"), "SecretBytes"),
            (format!("{words:?}{words:#?}"), "Passphrase"),
            (format!("{recovery:?}{recovery:#?}"), "RecoveryCode"),
            (format!("{emergency:?}{emergency:#?}"), "EmergencyCode"),
        ] {
            assert_eq!(printed, format!("{name}(..){name}(..)"));
        }
    }
}
