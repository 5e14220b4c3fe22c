//! A vault's directory, its lock and its header: what a vault is while nothing of it is open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::live::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{FileName, VaultDir, VaultLock};
use crate::id::{SlotId, VaultId};
use crate::keys::{
    ClassKeys, Factors, Header, RetiredShare, Slot, SlotKind, StoredHeader, WrapPurpose,
};

/// Shared by a vault's handle and its session.
pub(crate) struct Opening {
    pub(super) dir: VaultDir,
    _lock: VaultLock,
    header: Mutex<Copies>,
    active: Mutex<Weak<Inner>>,
}

/// The header as it was read: one copy or two, the newest first, or the one that keys vouched for.
struct Copies {
    candidates: Vec<Arc<StoredHeader>>,
    authentic: bool,
}

/// What a slot gave.
pub(crate) struct Unlocked {
    pub(crate) keys: Vec<ClassKeys>,
    pub(crate) slot: SlotId,
}

impl Opening {
    /// Reads the header of a vault whose lock is held.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::VaultIncomplete`], [`ErrorKind::HeaderDamaged`],
    /// [`ErrorKind::UnsupportedFormat`], [`ErrorKind::KdfParametersRefused`] and those of the
    /// files.
    pub(crate) fn read(dir: VaultDir, lock: VaultLock) -> Result<Self> {
        let first = read_copy(&dir, FileName::Header)?;
        let second = read_copy(&dir, FileName::HeaderTwin)?;
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
        Ok(Self::with_copies(dir, lock, candidates, false))
    }

    /// A vault whose header was just written.
    pub(crate) fn made(dir: VaultDir, lock: VaultLock, text: &str) -> Result<Self> {
        let stored = StoredHeader::parse(text.as_bytes())?;
        Ok(Self::with_copies(dir, lock, vec![Arc::new(stored)], true))
    }

    fn with_copies(
        dir: VaultDir,
        lock: VaultLock,
        candidates: Vec<Arc<StoredHeader>>,
        authentic: bool,
    ) -> Self {
        let header = Mutex::new(Copies {
            candidates,
            authentic,
        });
        Self {
            dir,
            _lock: lock,
            header,
            active: Mutex::new(Weak::new()),
        }
    }

    /// The vault's identity, as the newest copy of the header says.
    pub(crate) fn vault(&self) -> VaultId {
        self.newest().header.vault
    }

    /// The newest copy of the header: authentic once a session has been open, else only parsed.
    pub(crate) fn newest(&self) -> Arc<StoredHeader> {
        let copies = self.copies();
        Arc::clone(
            copies
                .candidates
                .first()
                .expect("an opening has at least one header copy"),
        )
    }

    /// Opens the wrap for a purpose with whichever slot takes these factors, and authenticates the
    /// header with the keys that come out (spec 01, "Two copies").
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnlockFailed`], [`ErrorKind::NoMatchingSlot`], [`ErrorKind::TamperDetected`]
    /// and those of the share.
    pub(crate) fn unlock(
        &self,
        kind: SlotKind,
        purpose: WrapPurpose,
        factors: Factors<'_>,
    ) -> Result<Unlocked> {
        let mut copies = self.copies();
        let mut failure: Option<Error> = None;
        let mut tried: Vec<&Slot> = Vec::new();
        let mut found = None;
        'copies: for copy in &copies.candidates {
            for slot in copy
                .header
                .slots_of(kind)
                .filter(|slot| suits(slot, factors))
            {
                if tried.contains(&slot) {
                    continue;
                }
                tried.push(slot);
                match slot.open(copy.header.vault, purpose, factors) {
                    Err(error) => failure = failure.or(Some(error)),
                    Ok(keys) => {
                        let vouched = copies.candidates.iter().position(|other| {
                            other.header.slots.contains(slot)
                                && keys.iter().all(|keys| other.verifies(keys))
                        });
                        if let Some(at) = vouched {
                            found = Some((
                                at,
                                Unlocked {
                                    keys,
                                    slot: slot.id,
                                },
                            ));
                            break 'copies;
                        }
                        failure = Some(ErrorKind::TamperDetected.into());
                    }
                }
            }
        }
        let Some((at, unlocked)) = found else {
            return Err(failure.unwrap_or_else(|| ErrorKind::NoMatchingSlot.into()));
        };
        let authentic = copies.candidates.swap_remove(at);
        copies.candidates = vec![authentic];
        copies.authentic = purpose != WrapPurpose::Emergency;
        Ok(unlocked)
    }

    /// Makes both files say what the keys vouched for. What stops it, such as a full disk, does
    /// not stop the session: the next unlock tries again.
    pub(crate) fn heal(&self) {
        let copies = self.copies();
        let Some(copy) = copies.candidates.first().filter(|_| copies.authentic) else {
            return;
        };
        for name in [FileName::Header, FileName::HeaderTwin] {
            let stored = self.dir.read(name, Header::MAX_BYTES);
            if !matches!(stored, Ok(Some(bytes)) if bytes == copy.text().as_bytes()) {
                let _ = self.dir.replace(name, copy.text().as_bytes());
            }
        }
    }

    /// Writes the next header: the change counts once its first copy is durable.
    ///
    /// # Errors
    ///
    /// Those of the file system; the header is then the old one.
    pub(crate) fn write_header(&self, next: &Header, keys: [&ClassKeys; 3]) -> Result<()> {
        let text = next.to_text(keys);
        let stored = StoredHeader::parse(text.as_bytes())?;
        let mut copies = self.copies();
        if let Err(error) = self.dir.replace(FileName::Header, text.as_bytes()) {
            // The rename may have happened although its confirmation failed: look, do not guess.
            let now = self.dir.read(FileName::Header, Header::MAX_BYTES);
            if !matches!(now, Ok(Some(bytes)) if bytes == text.as_bytes()) {
                return Err(error);
            }
        }
        copies.candidates = vec![Arc::new(stored)];
        copies.authentic = true;
        // The twin still holds the old header where this fails; the next unlock brings it up.
        let _ = self.dir.replace(FileName::HeaderTwin, text.as_bytes());
        Ok(())
    }

    /// Destroys the platform keys of slots that are gone, as far as `host` can, and takes them off
    /// the header's list.
    pub(crate) fn destroy_retired(&self, factors: Factors<'_>, keys: [&ClassKeys; 3]) {
        let Some(host) = factors.share else { return };
        let header = self.newest().header.clone();
        // A new phone may have given a new key the very name that an old phone's key had: what a
        // slot still uses is never destroyed.
        let in_use = |retired: &RetiredShare| {
            header
                .slots
                .iter()
                .flat_map(Slot::shares)
                .any(|share| share.blob == retired.blob)
        };
        let destroyed = |retired: &RetiredShare| {
            in_use(retired)
                || (retired.provider == host.provider()
                    && host.destroy(retired.purpose, &retired.blob).is_ok())
        };
        let left: Vec<_> = header
            .retired
            .iter()
            .filter(|retired| !destroyed(retired))
            .cloned()
            .collect();
        if left.len() == header.retired.len() {
            return;
        }
        if let Ok(next) = header.next(header.slots.clone(), left) {
            // Where it fails the list is longer than it need be; destroying twice is harmless.
            let _ = self.write_header(&next, keys);
        }
    }

    /// Refuses a second session before anything is spent on opening it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionActive`].
    pub(crate) fn check_idle(&self) -> Result<()> {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.upgrade().is_some_and(|inner| !inner.is_locked()) {
            return Err(ErrorKind::SessionActive.into());
        }
        Ok(())
    }

    /// Registers the one session that may be open, once the last one is closed to the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionActive`].
    pub(super) fn activate(&self, open: impl FnOnce() -> Result<Arc<Inner>>) -> Result<Arc<Inner>> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = active.upgrade() {
            if !inner.is_locked() {
                return Err(ErrorKind::SessionActive.into());
            }
            // Locking has begun, and a call under way may still be writing: wait for it.
            inner.lock();
        }
        let inner = open()?;
        *active = Arc::downgrade(&inner);
        Ok(inner)
    }

    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of the header: absent, unreadable, or parsed. An unsafe file is an error at once.
fn read_copy(dir: &VaultDir, name: FileName) -> Result<Option<Result<StoredHeader>>> {
    match dir.read(name, Header::MAX_BYTES) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => Ok(Some(StoredHeader::parse(&bytes))),
        Err(error) if error.kind() == ErrorKind::HeaderDamaged => Ok(Some(Err(error))),
        Err(error) => Err(error),
    }
}

/// Whether a slot's shares are of the key store that is offered.
fn suits(slot: &Slot, factors: Factors<'_>) -> bool {
    let provider = factors.share.map(|host| host.provider().to_owned());
    let mut shares = slot.wraps.iter().filter_map(|wrap| wrap.share.as_ref());
    shares.all(|share| provider.as_deref() == Some(share.provider.as_str()))
}
