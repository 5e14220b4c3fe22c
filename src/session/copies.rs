//! The two copies of the header, and which of them is believed (spec 01, "Two copies").

use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::fs::{FileName, VaultDir};
use crate::keys::{ClassKeys, Footprint, Header, Slot, StoredHeader, WrapPurpose};

/// The header as it was read: one copy or two, the newest first, or the one that keys vouched for.
pub(super) struct Copies {
    pub(super) candidates: Vec<Arc<StoredHeader>>,
    pub(super) authentic: bool,
}

impl Copies {
    /// Keeps the copy that the keys vouch for and no other.
    pub(super) fn believe(
        &mut self,
        slot: &Slot,
        purpose: WrapPurpose,
        keys: &[ClassKeys],
    ) -> Result<()> {
        let at = self.vouched(slot, purpose, keys)?;
        let authentic = self.candidates.swap_remove(at);
        self.candidates = vec![authentic];
        self.authentic = purpose != WrapPurpose::Emergency;
        Ok(())
    }

    /// The newest copy that the keys vouch for, which must have the slot they came out of. A slot
    /// that only an older copy has was taken out by a change that did not reach both: it opens
    /// nothing any more.
    fn vouched(&self, slot: &Slot, purpose: WrapPurpose, keys: &[ClassKeys]) -> Result<usize> {
        let mut copies = self.candidates.iter().enumerate();
        let vouched = copies.find(|(_, copy)| keys.iter().all(|keys| copy.verifies(keys)));
        let (at, copy) = vouched.ok_or(ErrorKind::TamperDetected)?;
        let wrap = |slot: &Slot| slot.wrap(purpose).cloned();
        let mut same = copy
            .header
            .slots_of(slot.kind)
            .filter(|other| other.id == slot.id);
        if same.any(|other| wrap(other) == wrap(slot)) {
            Ok(at)
        } else {
            Err(ErrorKind::UnlockFailed.into())
        }
    }

    /// Takes what the files say in the place of what they said before the vault was paused. Whether
    /// that is the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TamperDetected`] where it is another vault.
    pub(super) fn read_again(&mut self, candidates: Vec<Arc<StoredHeader>>) -> Result<bool> {
        let (Some(before), Some(after)) = (self.candidates.first(), candidates.first()) else {
            return Err(ErrorKind::HeaderDamaged.into());
        };
        if before.header.vault != after.header.vault {
            return Err(ErrorKind::TamperDetected.into());
        }
        let same = before.text() == after.text();
        if !same {
            self.candidates = candidates;
            self.authentic = false;
        }
        Ok(same)
    }
}

/// Both copies of the header, the newest first.
pub(super) fn read_copies(dir: &VaultDir) -> Result<Vec<Arc<StoredHeader>>> {
    let first = read_copy(dir, FileName::Header)?;
    let second = read_copy(dir, FileName::HeaderTwin)?;
    if first.is_none() && second.is_none() {
        let kind = if dir.setup_pending()? {
            ErrorKind::VaultIncomplete
        } else {
            ErrorKind::VaultNotFound
        };
        return Err(kind.into());
    }
    let mut failure = None;
    let mut candidates: Vec<Arc<StoredHeader>> = Vec::new();
    for copy in [first, second].into_iter().flatten() {
        match copy {
            Ok(copy) if candidates.iter().any(|other| other.text() == copy.text()) => {}
            Ok(copy) => candidates.push(Arc::new(copy)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if candidates.is_empty() {
        return Err(failure.unwrap_or_else(|| ErrorKind::HeaderDamaged.into()));
    }
    if dir.setup_pending()? {
        // The header is written last: with it the vault is whole, marker or not.
        dir.finish_setup()?;
    }
    candidates.sort_by_key(|copy| std::cmp::Reverse(copy.header.generation));
    Ok(candidates)
}

/// A copy of the header: absent, unreadable, or parsed. An unsafe file is an error at once.
fn read_copy(dir: &VaultDir, name: FileName) -> Result<Option<Result<StoredHeader>>> {
    match dir.read(name, Header::MAX_BYTES) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => Ok(Some(parse(dir, &bytes))),
        Err(error) if error.kind() == ErrorKind::HeaderDamaged => Ok(Some(Err(error))),
        Err(error) => Err(error),
    }
}

/// A header that belongs in memory is none in a file.
fn parse(dir: &VaultDir, bytes: &[u8]) -> Result<StoredHeader> {
    let stored = StoredHeader::parse(bytes)?;
    let in_memory = stored.header.footprint == Footprint::MemoryOnly;
    match in_memory == dir.memory().is_some() {
        true => Ok(stored),
        false => Err(ErrorKind::HeaderDamaged.into()),
    }
}
