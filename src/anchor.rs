//! What is kept outside the vault's directory, so that an older copy put back is noticed.
//!
//! **Does** name the state that is kept, and the trait by which a host keeps it.
//! **Never** keeps anything itself, or holds a secret: the state is counters and hashes.
//! **Format** docs/spec/08-anchor.md.

use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::VaultId;

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

    /// Keeps these bytes (169 of them) in the place of what was stored before. When it returns, they
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

/// How far a vault had come: the generation of its header, and a mark of each class's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchored {
    pub(crate) header: u64,
    classes: [ClassMark; 3],
}

const VERSION: u8 = 1;

impl Anchored {
    /// Before anything there is.
    pub(crate) const NOTHING: Self = Self {
        header: 0,
        classes: [ClassMark::NOTHING; 3],
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

    /// As far as either had come.
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
    bytes.is_empty().then_some(state)
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
        let bytes = state.encode(vault);
        assert_eq!(bytes.len(), 169);
        assert_eq!(Anchored::decode(&bytes, vault).unwrap(), state);
        let kind = |bytes: &[u8], vault| Anchored::decode(bytes, vault).unwrap_err().kind();
        let other = VaultId::from_bytes([8; 16]);
        assert_eq!(kind(&bytes, other), ErrorKind::AnchorMissing);
        for length in 0..bytes.len() {
            assert_eq!(kind(&bytes[..length], vault), ErrorKind::AnchorMissing);
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(kind(&longer, vault), ErrorKind::AnchorMissing);
        let mut newer = bytes;
        newer[0] = 2;
        assert_eq!(kind(&newer, vault), ErrorKind::UnsupportedFormat);
    }
}
