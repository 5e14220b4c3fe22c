//! A vault's directory, its lock and its header: what a vault is while nothing of it is open.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::copies::{Copies, read_copies};
use super::generation::Freshness;
use super::lifecycle::Active;
use super::slots::SlotInfo;
use super::throttle::{Counted, Table};
use crate::anchor::Anchor;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{FileName, MemoryDir, VaultDir, VaultLock, VaultSize};
use crate::id::{SlotId, VaultId};
use crate::keys::{
    ClassKeys, Code, Factors, Footprint, Header, RetiredShare, SessionPolicy, Slot, SlotKind,
    StoredHeader, WrapPurpose,
};
use crate::time::{Clock, SystemClock};

/// Shared by a vault's handle and its session.
pub(crate) struct Opening {
    pub(super) path: PathBuf,
    /// What takes the directory's place where there is none, also while the vault is paused.
    pub(super) memory: Option<MemoryDir>,
    clock: Arc<dyn Clock>,
    /// Nothing while the vault is paused.
    pub(super) place: RwLock<Option<Place>>,
    /// Set first when pausing begins, so that no new call starts.
    pub(super) pausing: AtomicBool,
    /// The vault is no more.
    pub(super) wiped: AtomicBool,
    header: Mutex<Copies>,
    /// The host's anchor, for sessions to come.
    anchor: Mutex<Option<Arc<dyn Anchor>>>,
    pub(super) freshness: Freshness,
    /// How often the slots were tried in vain.
    pub(super) attempts: Mutex<Table>,
    /// Held for the whole of a change of the header.
    changing: Mutex<()>,
    pub(super) active: Mutex<Active>,
}

/// The directory, and the lock that keeps others out of it.
pub(super) struct Place {
    dir: VaultDir,
    _lock: VaultLock,
}

impl Place {
    pub(super) fn new(dir: VaultDir, lock: VaultLock) -> Self {
        Self { dir, _lock: lock }
    }
}

/// What a slot gave.
pub(crate) struct Unlocked {
    pub(crate) keys: Vec<ClassKeys>,
    pub(crate) slot: SlotId,
    /// How often each slot had failed since it last opened.
    pub(crate) failed: Vec<(SlotId, u32)>,
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
        let candidates = read_copies(&dir)?;
        let attempts = Table::read(&dir)?;
        Ok(Self::with_copies(dir, lock, candidates, false, attempts))
    }

    /// A vault whose header was just written.
    pub(crate) fn made(dir: VaultDir, lock: VaultLock, text: &str) -> Result<Self> {
        let stored = StoredHeader::parse(text.as_bytes())?;
        let copies = vec![Arc::new(stored)];
        Ok(Self::with_copies(dir, lock, copies, true, Table::made()))
    }

    fn with_copies(
        dir: VaultDir,
        lock: VaultLock,
        candidates: Vec<Arc<StoredHeader>>,
        authentic: bool,
        attempts: Table,
    ) -> Self {
        let header = Mutex::new(Copies {
            candidates,
            authentic,
        });
        Self {
            path: dir.path().to_owned(),
            memory: dir.memory(),
            clock: Arc::new(SystemClock),
            place: RwLock::new(Some(Place::new(dir, lock))),
            pausing: AtomicBool::new(false),
            wiped: AtomicBool::new(false),
            header,
            anchor: Mutex::new(None),
            freshness: Freshness::at_rest(),
            attempts: Mutex::new(attempts),
            changing: Mutex::new(()),
            active: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Takes the host's anchor, for sessions to come.
    pub(crate) fn set_anchor(&self, anchor: Arc<dyn Anchor>) {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(anchor);
        self.look_outside_again();
    }

    pub(super) fn anchor(&self) -> Option<Arc<dyn Anchor>> {
        let anchor = self.anchor.lock();
        anchor.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The policy of sessions, as the newest copy of the header says.
    pub(crate) fn policy(&self) -> SessionPolicy {
        self.newest().header.policy
    }

    /// How much the vault may leave, as the newest copy of the header says.
    pub(crate) fn footprint(&self) -> Footprint {
        self.newest().header.footprint
    }

    /// Lends the directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Paused`], [`ErrorKind::VaultWiped`], and those of what is done with it.
    pub(super) fn with_dir<T>(&self, work: impl FnOnce(&VaultDir) -> Result<T>) -> Result<T> {
        if self.wiped.load(Ordering::Acquire) {
            return Err(ErrorKind::VaultWiped.into());
        }
        self.with_any_dir(work)
    }

    /// The same of a vault that is being wiped.
    pub(super) fn with_any_dir<T>(&self, work: impl FnOnce(&VaultDir) -> Result<T>) -> Result<T> {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        work(&place.as_ref().ok_or(ErrorKind::Paused)?.dir)
    }

    /// # Errors
    ///
    /// [`ErrorKind::Paused`] once pausing has begun; [`ErrorKind::VaultWiped`].
    pub(crate) fn check_running(&self) -> Result<()> {
        if self.wiped.load(Ordering::Acquire) {
            return Err(ErrorKind::VaultWiped.into());
        }
        if self.pausing.load(Ordering::Acquire) {
            return Err(ErrorKind::Paused.into());
        }
        Ok(())
    }

    /// What the vault takes of the medium.
    ///
    /// # Errors
    ///
    /// Those of the files.
    pub(crate) fn size(&self) -> Result<VaultSize> {
        self.with_dir(VaultDir::size)
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

    /// What may be known of the slots.
    pub(crate) fn slots(&self) -> Vec<SlotInfo> {
        let header = &self.newest().header;
        let info = |slot| SlotInfo::of(self, header, slot);
        header.slots.iter().map(info).collect()
    }

    /// Opens the wrap for a purpose with whichever slot takes these factors, and authenticates the
    /// header with the keys that come out (spec 01, "Two copies"). The header counts as it is then:
    /// a slot that was taken out meanwhile opens nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnlockFailed`], [`ErrorKind::NoMatchingSlot`], [`ErrorKind::TamperDetected`],
    /// [`ErrorKind::Throttled`], [`ErrorKind::SlotDisabled`], those of the share, and of the files
    /// where the attempt cannot be counted.
    pub(crate) fn unlock(
        &self,
        kind: SlotKind,
        purpose: WrapPurpose,
        factors: Factors<'_>,
        code: Option<Code<'_>>,
    ) -> Result<Unlocked> {
        // Nothing is locked while the host asks a person: whoever wants to know the slots meanwhile
        // must not wait for a finger.
        let candidates = self.copies().candidates.clone();
        let mut failure: Option<Error> = None;
        let mut counted = Counted::default();
        let mut tried = Vec::new();
        for copy in &candidates {
            let vault = copy.header.vault;
            let code = code.map(|code| code.key(vault));
            let factors = Factors {
                code: code.as_ref(),
                ..factors
            };
            for slot in copy
                .header
                .slots_of(kind)
                .filter(|slot| suits(slot, purpose, factors))
            {
                let attempt = (vault, slot.id, slot.wrap(purpose));
                if tried.contains(&attempt) {
                    continue;
                }
                tried.push(attempt);
                if let Err(error) = self.admit(&copy.header, slot) {
                    failure = Some(telling(failure, error));
                    continue;
                }
                let before = counted.len();
                let count = || self.count(&copy.header, slot, &mut counted);
                let opened = slot.open(vault, purpose, factors, count);
                let opened = opened.and_then(|keys| {
                    self.copies().believe(slot, purpose, &keys)?;
                    let (slot, failed) = (slot.id, self.failures(&counted));
                    Ok(Unlocked { keys, slot, failed })
                });
                match opened {
                    Ok(found) => {
                        self.forgive(vault, &counted, Some(slot.id));
                        return Ok(found);
                    }
                    // Whoever cancelled one prompt is not shown another.
                    Err(error) if error.kind() == ErrorKind::ShareCancelled => return Err(error),
                    Err(error) => {
                        if error.kind() == ErrorKind::OutOfMemory && counted.len() > before {
                            // This one was not tried after all.
                            self.take_back(vault, &mut counted);
                        }
                        failure = Some(telling(failure, error));
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| ErrorKind::NoMatchingSlot.into()))
    }

    /// Makes both files say what the keys vouched for. What stops it, such as a full disk, does
    /// not stop the session: the next unlock tries again.
    pub(crate) fn heal(&self) {
        let copies = self.copies();
        let Some(copy) = copies.candidates.first().filter(|_| copies.authentic) else {
            return;
        };
        for name in [FileName::Header, FileName::HeaderTwin] {
            let _ = self.with_dir(|dir| match dir.read(name, Header::MAX_BYTES) {
                Ok(Some(bytes)) if bytes == copy.text().as_bytes() => Ok(()),
                _ => dir.replace(name, copy.text().as_bytes()),
            });
        }
    }

    /// Changes the header. Changes come one after another, each from what the one before it left:
    /// otherwise the later of two would bring back a slot whose platform key the earlier destroyed.
    ///
    /// # Errors
    ///
    /// Those of the change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&Header) -> Result<T>) -> Result<T> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let header = self.newest().header.clone();
        change(&header)
    }

    /// Writes the next header, within a [`change`](Self::change): it counts once its first copy is
    /// in place.
    ///
    /// # Errors
    ///
    /// Those of the file system, and [`ErrorKind::SlotTableFull`] for a header that would be too
    /// long; the header is then the old one.
    pub(crate) fn write_header(&self, next: &Header, keys: [&ClassKeys; 3]) -> Result<()> {
        let text = next.to_text(keys);
        if text.len() > Header::MAX_BYTES {
            return Err(ErrorKind::SlotTableFull.into());
        }
        let stored = StoredHeader::parse(text.as_bytes())?;
        let mut copies = self.copies();
        let write = |name| self.with_dir(|dir| dir.replace(name, text.as_bytes()));
        write(FileName::Header)?;
        copies.candidates = vec![Arc::new(stored)];
        copies.authentic = true;
        // The twin still holds the old header where this fails. A slot that only it has opens
        // nothing, and the next unlock brings it up.
        let _ = write(FileName::HeaderTwin);
        Ok(())
    }

    /// Destroys the platform keys of slots that are gone, as far as `host` can, and takes them off
    /// the header's list. Within a [`change`](Self::change).
    pub(crate) fn destroy_retired(&self, factors: Factors<'_>, keys: [&ClassKeys; 3]) {
        let header = self.newest().header.clone();
        let Some(host) = factors.share.filter(|_| !header.retired.is_empty()) else {
            return;
        };
        // A loss of power must not bring back a header whose keys are destroyed.
        if self.with_dir(VaultDir::make_durable).is_err() {
            return;
        }
        // A new phone may have given a new key the very name that an old phone's key had: what a
        // slot still uses is never destroyed.
        let in_use = |retired: &RetiredShare| {
            header
                .slots
                .iter()
                .flat_map(Slot::shares)
                .any(|share| share.provider == retired.provider && share.blob == retired.blob)
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

    pub(super) fn copies(&self) -> MutexGuard<'_, Copies> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of two failures the one that says more: tampering before all, then what keeps a slot from being
/// tried, and a key that another device may hold after all before none.
fn telling(earlier: Option<Error>, later: Error) -> Error {
    let weight = |error: &Error| match error.kind() {
        ErrorKind::TamperDetected => 3,
        ErrorKind::Throttled | ErrorKind::SlotDisabled => 2,
        ErrorKind::ShareMissing => 0,
        _ => 1,
    };
    match earlier {
        Some(earlier) if weight(&later) <= weight(&earlier) => earlier,
        _ => later,
    }
}

/// Whether the share that a slot takes for a purpose is of the key store that is offered.
fn suits(slot: &Slot, purpose: WrapPurpose, factors: Factors<'_>) -> bool {
    let share = slot.wrap(purpose).and_then(|wrap| wrap.share.as_ref());
    share.is_none_or(|share| {
        let offered = factors.share.map(|host| host.provider().to_owned());
        offered.as_deref() == Some(share.provider.as_str())
    })
}
