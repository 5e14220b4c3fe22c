//! What is kept outside the vault's directory, so that an older copy put back is noticed.
//!
//! **Does** name the state that is kept, and the trait by which a host keeps it.
//! **Never** keeps anything itself, or holds a secret: the state is counters and hashes.
//! **Format** docs/spec/08-anchor.md.

use std::cmp::Reverse;

use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::{SlotId, VaultId};

/// A place of one vault's own outside its directory, for a few bytes that go forward with the vault: an item
/// of the Keychain, an alias in Android's Keystore, a server. It is only worth what it takes to put
/// an older value back there.
///
/// Both methods are called on the thread that calls the vault, which waits meanwhile. They must not
/// call the vault nor wait for a thread that may be using it, such as the app's main thread, and
/// should answer within a second.
///
/// # Examples
///
/// ```
/// use std::sync::Mutex;
/// use vitalock::{Anchor, AnchorError};
///
/// /// Forgets with the process: good for a test, and for nothing else.
/// #[derive(Default)]
/// struct InMemory(Mutex<Option<Vec<u8>>>);
///
/// impl Anchor for InMemory {
///     fn load(&self) -> Result<Option<Vec<u8>>, AnchorError> {
///         Ok(self.0.lock().unwrap().clone())
///     }
///
///     fn store(&self, state: &[u8]) -> Result<(), AnchorError> {
///         *self.0.lock().unwrap() = Some(state.to_vec());
///         Ok(())
///     }
/// }
/// ```
pub trait Anchor: Send + Sync {
    /// What was stored last; `None` where nothing ever was, or it is lost.
    ///
    /// # Errors
    ///
    /// [`AnchorError`] where that cannot be said just now. A host that cannot tell loss from want
    /// of access returns an error.
    fn load(&self) -> std::result::Result<Option<Vec<u8>>, AnchorError>;

    /// Keeps these bytes (170 to 714 of them) in the place of what was stored before. When it returns, they
    /// outlive the process and the device's power.
    ///
    /// # Errors
    ///
    /// [`AnchorError`]; what was stored before is then still there, or these bytes are.
    fn store(&self, state: &[u8]) -> std::result::Result<(), AnchorError>;
}

/// The place of an anchor cannot be reached just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorError;

/// How far a class's database had come (spec 08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClassMark {
    pub(crate) generation: u64,
    /// What tells its state from every other.
    pub(crate) root: [u8; 16],
    /// How many entries the audit trail has, and the first half of the last one's link.
    pub(crate) entries: u64,
    pub(crate) link: [u8; 16],
}

impl ClassMark {
    const NOTHING: Self = Self {
        generation: 0,
        root: [0; 16],
        entries: 0,
        link: [0; 16],
    };
}

/// The failed attempts of the slots that have any (spec 07), so that the table beside the header is
/// not put back to when there were fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tries([Option<Try>; Self::MOST]);

/// The failed attempts of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    pub(crate) slot: SlotId,
    pub(crate) failures: u8,
    /// When the last one was counted, in microseconds on the steady clock.
    pub(crate) at: i64,
}

impl Tries {
    const MOST: usize = 32;
    const NONE: Self = Self([None; Self::MOST]);

    /// The 32 of these that failed most often, in the order of their slots.
    pub(crate) fn of(tries: impl Iterator<Item = Try>) -> Self {
        let mut sorted: Vec<_> = tries.filter(|tried| tried.failures > 0).collect();
        sorted.sort_unstable_by_key(|tried| (Reverse(tried.failures), tried.slot));
        sorted.truncate(Self::MOST);
        sorted.sort_unstable_by_key(|tried| tried.slot);
        let mut all = Self::NONE;
        for (place, tried) in all.0.iter_mut().zip(sorted) {
            *place = Some(tried);
        }
        all
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Try> {
        self.0.iter().flatten().copied()
    }
}

/// How far a vault had come: the generation of its header, and a mark of each class's database; and
/// the failed attempts of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchored {
    pub(crate) header: u64,
    classes: [ClassMark; 3],
    pub(crate) tries: Tries,
}

const VERSION: u8 = 1;

impl Anchored {
    /// Before anything there is.
    pub(crate) const NOTHING: Self = Self {
        header: 0,
        classes: [ClassMark::NOTHING; 3],
        tries: Tries::NONE,
    };

    /// A header of this generation, and no class yet.
    pub(crate) const fn with_header(header: u64) -> Self {
        Self {
            header,
            ..Self::NOTHING
        }
    }

    pub(crate) fn of(&self, class: Class) -> ClassMark {
        let mut classes = Class::ALL.into_iter().zip(self.classes);
        let found = classes.find(|(at, _)| *at == class);
        found.map_or(ClassMark::NOTHING, |(_, mark)| mark)
    }

    /// Goes forward to a header's generation, and never back.
    pub(crate) fn reach_header(&mut self, generation: u64) {
        self.header = generation.max(self.header);
    }

    /// As far as either had come, with the attempts of this one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.reach_header(other.header);
        for class in Class::ALL {
            self.reach(class, other.of(class));
        }
        self
    }

    /// Goes forward to a class's mark, and never back.
    pub(crate) fn reach(&mut self, class: Class, mark: ClassMark) {
        for (at, reached) in Class::ALL.into_iter().zip(&mut self.classes) {
            if at == class && mark.generation > reached.generation {
                *reached = mark;
            }
        }
    }

    /// The bytes that are kept (spec 08).
    pub(crate) fn encode(&self, vault: VaultId) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&vault.to_bytes());
        bytes.extend_from_slice(&self.header.to_le_bytes());
        for mark in self.classes {
            bytes.extend_from_slice(&mark.generation.to_le_bytes());
            bytes.extend_from_slice(&mark.root);
            bytes.extend_from_slice(&mark.entries.to_le_bytes());
            bytes.extend_from_slice(&mark.link);
        }
        let tries: Vec<_> = self.tries.iter().collect();
        bytes.push(u8::try_from(tries.len()).expect("there are 32 at the most"));
        for tried in tries {
            bytes.extend_from_slice(&tried.slot.to_bytes());
            bytes.push(tried.failures);
            bytes.extend_from_slice(&tried.at.to_le_bytes());
        }
        bytes
    }

    /// Reads what was kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnchorMissing`] where it is another vault's or none of ours,
    /// [`ErrorKind::UnsupportedFormat`] for another version.
    pub(crate) fn decode(bytes: &[u8], vault: VaultId) -> Result<Self> {
        let (&version, rest) = bytes.split_first().ok_or(ErrorKind::AnchorMissing)?;
        if version != VERSION {
            return Err(ErrorKind::UnsupportedFormat.into());
        }
        let rest = rest.strip_prefix(&vault.to_bytes());
        let state = rest.and_then(read).ok_or(ErrorKind::AnchorMissing)?;
        Ok(state)
    }
}

fn read(mut bytes: &[u8]) -> Option<Anchored> {
    let mut state = Anchored::with_header(u64::from_le_bytes(take(&mut bytes)?));
    for mark in &mut state.classes {
        *mark = ClassMark {
            generation: u64::from_le_bytes(take(&mut bytes)?),
            root: take(&mut bytes)?,
            entries: u64::from_le_bytes(take(&mut bytes)?),
            link: take(&mut bytes)?,
        };
    }
    let [count] = take(&mut bytes)?;
    let mut tries = Vec::new();
    for _ in 0..count {
        tries.push(Try {
            slot: SlotId::from_bytes(take(&mut bytes)?),
            failures: take::<1>(&mut bytes)?[0],
            at: i64::from_le_bytes(take(&mut bytes)?),
        });
    }
    state.tries = Tries::of(tries.iter().copied());
    // As this crate writes it: sorted, no slot without a failure, no more than there may be.
    let sound = state.tries.iter().eq(tries) && bytes.is_empty();
    sound.then_some(state)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_nothing_else_is() {
        let vault = VaultId::from_bytes([7; 16]);
        let mark = |generation| ClassMark {
            generation,
            root: [3; 16],
            entries: generation / 2,
            link: [4; 16],
        };
        let mut state = Anchored::with_header(3);
        for (class, generation) in Class::ALL.into_iter().zip([5, u64::MAX, 9]) {
            state.reach(class, mark(generation));
            state.reach(class, mark(4));
            assert_eq!(state.of(class), mark(generation));
        }
        let mut other = Anchored::with_header(2);
        other.reach(Class::Priority, mark(11));
        assert_eq!((other.and(state).header, state.and(other).header), (3, 3));
        assert_eq!(other.and(state).of(Class::Priority), mark(11));
        assert_eq!(other.and(state).of(Class::Standard), mark(u64::MAX));
        let tried = |slot, failures| Try {
            slot: SlotId::from_bytes([slot; 8]),
            failures,
            at: i64::from(failures) * 1_000_000,
        };
        let tries = [tried(9, 3), tried(2, 255), tried(4, 0)];
        assert_eq!(state.encode(vault).len(), 170);
        state.tries = Tries::of(tries.into_iter());
        assert!(state.tries.iter().eq([tried(2, 255), tried(9, 3)]));
        let bytes = state.encode(vault);
        assert_eq!(bytes.len(), 204);
        assert_eq!(Anchored::decode(&bytes, vault).unwrap(), state);
        let kind = |bytes: &[u8], vault| Anchored::decode(bytes, vault).unwrap_err().kind();
        let other = VaultId::from_bytes([8; 16]);
        assert_eq!(kind(&bytes, other), ErrorKind::AnchorMissing);
        for length in 0..bytes.len() {
            assert_eq!(kind(&bytes[..length], vault), ErrorKind::AnchorMissing);
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(kind(&longer, vault), ErrorKind::AnchorMissing);
        for (at, odd) in [(169, 1), (169, 3), (178, 0), (170, 10)] {
            let mut changed = bytes.clone();
            changed[at] = odd;
            assert_eq!(kind(&changed, vault), ErrorKind::AnchorMissing, "at {at}");
        }
        let mut newer = bytes;
        newer[0] = 2;
        assert_eq!(kind(&newer, vault), ErrorKind::UnsupportedFormat);
    }
}
