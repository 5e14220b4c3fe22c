//! The codes that people write down: 128 random bits and a checksum.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::contact::ContactSecret;
use super::derive;
use crate::error::{ErrorKind, Result};
use crate::id::VaultId;
use crate::memory;
use crate::random;
use crate::secret::{SecretBytes, SecretKey};

/// The code that brings an owner back when a passphrase is forgotten or a device is lost.
pub struct RecoveryCode(WrittenCode);

/// The code that opens the Emergency class, and nothing else, to whoever holds it.
pub struct EmergencyCode(WrittenCode);

macro_rules! written_code {
    ($name:ident, $use:expr) => {
        impl $name {
            pub(crate) fn make() -> Result<Self> {
                WrittenCode::make($use).map(Self)
            }

            /// Reads a code as a person typed it: either case, with or without hyphens and spaces.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::RecoveryCodeMistyped`] where the checksum does not match; nothing is
            /// derived from such a code.
            pub fn parse(typed: &[u8]) -> Result<Self> {
                WrittenCode::parse(typed, $use).map(Self)
            }

            /// Lends the code's text, seven groups of four characters, to be shown once.
            ///
            /// # Security
            ///
            /// Whatever copies the text has the code. Show it, let the person write it down, and
            /// keep nothing.
            pub fn reveal<R>(&self, show: impl FnOnce(&str) -> R) -> R {
                self.0.reveal(show)
            }

            /// The factor that this code gives in this vault.
            pub(crate) fn key(&self, vault: VaultId) -> CodeKey {
                CodeKey(derive::code_key(&vault, &self.0.bits, $use.code()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

written_code!(RecoveryCode, Use::Recovery);
written_code!(EmergencyCode, Use::Emergency);

impl RecoveryCode {
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.bits.ct_eq(&other.0.bits).into()
    }
}

/// A code, or what stands for one, before it is a factor of one vault.
#[derive(Clone, Copy)]
pub(crate) enum Code<'a> {
    Contact(&'a ContactSecret),
    Emergency(&'a EmergencyCode),
    Recovery(&'a RecoveryCode),
}

impl Code<'_> {
    pub(crate) fn key(self, vault: VaultId) -> CodeKey {
        match self {
            Self::Contact(secret) => secret.key(vault),
            Self::Emergency(code) => code.key(vault),
            Self::Recovery(code) => code.key(vault),
        }
    }
}

/// The factor derived from a code.
pub(crate) struct CodeKey(pub(super) SecretKey);

#[derive(Clone, Copy)]
enum Use {
    Emergency,
    Recovery,
}

impl Use {
    const fn code(self) -> u8 {
        match self {
            Self::Emergency => 1,
            Self::Recovery => 2,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Recovery => "recovery",
        }
    }
}

struct WrittenCode {
    bits: SecretBytes,
    usage: Use,
}

impl WrittenCode {
    fn make(usage: Use) -> Result<Self> {
        let mut bits = SecretBytes::zeroed(BYTES);
        random::fill(bits.expose_mut())?;
        Ok(Self { bits, usage })
    }

    fn parse(typed: &[u8], usage: Use) -> Result<Self> {
        let read = Self::read(typed, usage);
        memory::scrub_stack::<{ memory::HASH_DEPTH }>();
        read.ok_or_else(|| ErrorKind::RecoveryCodeMistyped.into())
    }

    #[inline(never)]
    fn read(typed: &[u8], usage: Use) -> Option<Self> {
        let mut packed = SecretBytes::zeroed(PACKED);
        let read = unpack_symbols(typed, packed.expose_mut());
        let (bits, checksum) = packed.expose().split_at(BYTES);
        let code = Self {
            bits: SecretBytes::copy_of(bits),
            usage,
        };
        let right = read && checksum.ct_eq(&code.checksum()).into();
        right.then_some(code)
    }

    fn reveal<R>(&self, show: impl FnOnce(&str) -> R) -> R {
        let text = self.write();
        memory::scrub_stack::<{ memory::HASH_DEPTH }>();
        show(std::str::from_utf8(text.expose()).expect("the symbols are ASCII"))
    }

    #[inline(never)]
    fn write(&self) -> SecretBytes {
        let mut packed = SecretBytes::zeroed(PACKED);
        let (bits, checksum) = packed.expose_mut().split_at_mut(BYTES);
        bits.copy_from_slice(self.bits.expose());
        checksum.copy_from_slice(&self.checksum());
        let mut text = SecretBytes::zeroed(SYMBOLS + GROUPS - 1);
        write_symbols(packed.expose(), text.expose_mut());
        text
    }

    /// 12 bits, left-aligned in two bytes.
    fn checksum(&self) -> [u8; 2] {
        let mut digest = Sha256::new()
            .chain_update("vitalock/1/code/")
            .chain_update(self.usage.name())
            .chain_update(self.bits.expose())
            .finalize();
        let [first, second, ..] = <[u8; 32]>::from(digest);
        digest.as_mut_slice().zeroize();
        [first, second & 0xF0]
    }
}

/// Reads 28 symbols into 140 bits; false where there are more, fewer or others.
fn unpack_symbols(typed: &[u8], packed: &mut [u8]) -> bool {
    let mut count = 0_usize;
    for &byte in typed {
        let symbol = match byte.to_ascii_uppercase() {
            b'-' | b' ' => continue,
            b'I' | b'L' => 1,
            b'O' => 0,
            other => match (0_u8..).zip(ALPHABET).find(|(_, letter)| **letter == other) {
                Some((value, _)) => value,
                None => return false,
            },
        };
        if count == SYMBOLS {
            return false;
        }
        for bit in 0..5 {
            if symbol & (16 >> bit) != 0 {
                let position = count * 5 + bit;
                if let Some(byte) = packed.get_mut(position / 8) {
                    *byte |= 128 >> (position % 8);
                }
            }
        }
        count += 1;
    }
    count == SYMBOLS
}

fn write_symbols(packed: &[u8], text: &mut [u8]) {
    let bit = |position: usize| {
        packed
            .get(position / 8)
            .is_some_and(|byte| byte & (128 >> (position % 8)) != 0)
    };
    let mut out = text.iter_mut();
    for symbol in 0..SYMBOLS {
        if symbol > 0 && symbol % (SYMBOLS / GROUPS) == 0 {
            *out.next().expect("the text has room for every hyphen") = b'-';
        }
        let value = (0..5).fold(0_usize, |value, at| {
            value << 1 | usize::from(bit(symbol * 5 + at))
        });
        let letter = ALPHABET.get(value).expect("five bits are below 32");
        *out.next().expect("the text has room for every symbol") = *letter;
    }
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BYTES: usize = 16;
const PACKED: usize = 18;
const SYMBOLS: usize = 28;
const GROUPS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_back_however_it_is_typed() {
        let code = RecoveryCode::make().expect("random bytes");
        code.reveal(|text| {
            assert_eq!(text.len(), 34);
            let sloppy = text
                .to_lowercase()
                .replace('-', " ")
                .replace('1', "l")
                .replace('0', "o");
            for typed in [text, &sloppy, &text.replace('-', "")] {
                assert!(
                    RecoveryCode::parse(typed.as_bytes())
                        .expect("right")
                        .matches(&code)
                );
            }
            assert!(
                EmergencyCode::parse(text.as_bytes()).is_err(),
                "codes are not exchangeable"
            );
        });
    }

    #[test]
    fn one_wrong_symbol_is_nearly_always_a_typing_error() {
        let code = RecoveryCode::make().expect("random bytes");
        let missed = code.reveal(|text| {
            let mut missed = 0;
            for at in (0..34).filter(|at| at % 5 != 4) {
                for letter in ALPHABET {
                    let mut typed = text.as_bytes().to_vec();
                    if typed[at] != *letter {
                        typed[at] = *letter;
                        missed += usize::from(RecoveryCode::parse(&typed).is_ok());
                    }
                }
            }
            missed
        });
        assert!(
            missed <= 6,
            "of 868 errors about one in 4,096 should pass, and {missed} did"
        );
    }

    #[test]
    fn what_is_no_code_is_a_typing_error() {
        for typed in [
            "",
            "0",
            "not a code at all",
            &"0".repeat(29),
            &"U".repeat(28),
            "é",
        ] {
            let error = RecoveryCode::parse(typed.as_bytes()).expect_err("no code");
            assert_eq!(error.kind(), ErrorKind::RecoveryCodeMistyped);
        }
    }
}
