//! The seal of a page of the database or of a part of its log (spec 06).

use super::aead::{self, Message, NONCE, TAG};
use super::context::SUITE;
use crate::class::Class;
use crate::error::Result;
use crate::id::VaultId;
use crate::random;
use crate::secret::SecretKey;

const LABEL: &[u8; 15] = b"vitalock/1/page";
const ASSOCIATED: usize = 4 + LABEL.len() + 1 + 16 + 1 + 1 + 8;

/// What is sealed as one, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A page of the database; the first is 1.
    Page(u64),
    /// The header of the log.
    LogHeader,
    /// A frame of the log, header and page; the first is 1.
    Frame(u64),
}

impl Unit {
    const fn role(self) -> u8 {
        match self {
            Self::Page(_) => 1,
            Self::LogHeader => 2,
            Self::Frame(_) => 3,
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::Page(number) | Self::Frame(number) => number,
            Self::LogHeader => 0,
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Page(number) => Self::Page(number + 1),
            Self::LogHeader => Self::LogHeader,
            Self::Frame(number) => Self::Frame(number + 1),
        }
    }
}

/// Seals and opens the units of one class's database.
pub(crate) struct PageSealer {
    key: SecretKey,
    vault: VaultId,
    class: Class,
}

impl PageSealer {
    /// The bytes at the end of every unit that hold nonce and tag.
    pub(crate) const TAIL: usize = NONCE + TAG;

    /// `key` is used for nothing else.
    pub(crate) fn new(key: SecretKey, vault: VaultId, class: Class) -> Self {
        Self { key, vault, class }
    }

    /// Seals consecutive units of `length` bytes in place, each under a new nonce. What stood in
    /// the tail of a unit is overwritten.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RandomUnavailable`](crate::ErrorKind::RandomUnavailable); nothing is sealed
    /// then.
    pub(crate) fn seal(&self, units: &mut [u8], length: usize, first: Unit) -> Result<()> {
        let mut nonces = vec![[0; NONCE]; units.len() / length];
        random::fill(nonces.as_flattened_mut())?;
        let mut what = first;
        let units = units.chunks_exact_mut(length).zip(nonces);
        let messages = units.map(|(unit, nonce)| {
            let (rest, tag) = split_last::<TAG>(unit);
            let (buffer, nonce_place) = split_last::<NONCE>(rest);
            *nonce_place = nonce;
            let associated = self.associated(what);
            what = what.next();
            Message {
                nonce,
                associated,
                buffer,
                tag,
            }
        });
        aead::encrypt_each(&self.key, messages);
        Ok(())
    }

    /// Opens a unit in place and says whether it is what was sealed here. Its tail is zero
    /// afterwards; where it does not open, all of it is.
    pub(crate) fn open(&self, unit: &mut [u8], what: Unit) -> bool {
        let right = self.decrypt(unit, what);
        let from = if right {
            unit.len().saturating_sub(Self::TAIL)
        } else {
            0
        };
        unit.get_mut(from..).unwrap_or_default().fill(0);
        right
    }

    fn decrypt(&self, unit: &mut [u8], what: Unit) -> bool {
        let Some((rest, tag)) = unit.split_last_chunk_mut::<TAG>() else {
            return false;
        };
        let Some((plain, nonce)) = rest.split_last_chunk_mut::<NONCE>() else {
            return false;
        };
        aead::decrypt(&self.key, nonce, &self.associated(what), plain, tag)
    }

    /// Fields of fixed width, so no two places read the same.
    fn associated(&self, what: Unit) -> [u8; ASSOCIATED] {
        let mut bytes = [0; ASSOCIATED];
        let mut rest = bytes.as_mut_slice();
        let length = u32::try_from(LABEL.len()).expect("a label is short");
        for field in [
            length.to_le_bytes().as_slice(),
            LABEL,
            &[SUITE],
            &self.vault.to_bytes(),
            &[self.class.code(), what.role()],
            &what.number().to_le_bytes(),
        ] {
            let (here, after) = rest.split_at_mut(field.len());
            here.copy_from_slice(field);
            rest = after;
        }
        bytes
    }
}

fn split_last<const N: usize>(bytes: &mut [u8]) -> (&mut [u8], &mut [u8; N]) {
    bytes
        .split_last_chunk_mut::<N>()
        .expect("a unit is longer than its tail")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8, class: Class) -> PageSealer {
        let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|key| {
            key.fill(byte);
            Ok(())
        });
        PageSealer::new(key, VaultId::from_bytes([byte; 16]), class)
    }

    fn page(fill: u8) -> Vec<u8> {
        let mut page = vec![fill; 512];
        page[512 - PageSealer::TAIL..].fill(0);
        page
    }

    #[test]
    fn a_unit_opens_where_it_was_sealed_and_nowhere_else() {
        let sealer_1 = sealer(1, Class::Standard);
        let mut sealed = page(7);
        sealer_1.seal(&mut sealed, 512, Unit::Page(3)).unwrap();
        let open = |sealer: &PageSealer, what| {
            let mut copy = sealed.clone();
            let right = sealer.open(&mut copy, what);
            assert_eq!(copy, if right { page(7) } else { vec![0; 512] });
            right
        };
        assert!(open(&sealer_1, Unit::Page(3)));
        for what in [
            Unit::Page(2),
            Unit::Page(4),
            Unit::Frame(3),
            Unit::LogHeader,
        ] {
            assert!(!open(&sealer_1, what), "{what:?}");
        }
        assert!(!open(&sealer(1, Class::Priority), Unit::Page(3)));
        assert!(!open(&sealer(2, Class::Standard), Unit::Page(3)));
    }

    #[test]
    fn every_bit_counts_and_zeros_do_not_open() {
        let sealer = sealer(1, Class::Standard);
        let mut sealed = page(0);
        sealer.seal(&mut sealed, 512, Unit::Page(1)).unwrap();
        for bit in 0..512 * 8 {
            let mut copy = sealed.clone();
            copy[bit / 8] ^= 1 << (bit % 8);
            assert!(!sealer.open(&mut copy, Unit::Page(1)), "bit {bit}");
            assert_eq!(copy, vec![0; 512]);
        }
        assert!(!sealer.open(&mut vec![0; 512], Unit::Page(1)));
        for length in [0, 1, 16, 39, 40] {
            assert!(!sealer.open(&mut vec![0; length], Unit::Page(1)));
        }
    }

    #[test]
    fn consecutive_units_are_numbered_and_have_nonces_of_their_own() {
        let sealer = sealer(1, Class::Standard);
        let mut units = [page(1), page(1), page(1)].concat();
        sealer.seal(&mut units, 512, Unit::Frame(8)).unwrap();
        let units: Vec<_> = units.chunks(512).map(<[u8]>::to_vec).collect();
        assert!(units[0] != units[1] && units[1] != units[2] && units[0] != units[2]);
        for (mut unit, number) in units.into_iter().zip(8..) {
            assert!(sealer.open(&mut unit, Unit::Frame(number)));
            assert_eq!(unit, page(1));
        }
    }
}
