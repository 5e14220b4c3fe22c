//! A vault, locked: what can be done with it is open it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::options::Options;
use super::recovery::Recovery;
use super::setup::Setup;
use crate::error::{ErrorKind, Result};
use crate::fs::{FileName, VaultDir, VaultSize};
use crate::id::VaultId;
use crate::keys::{Code, Credentials, EmergencyCode, Factors, SlotKind, WrapPurpose};
use crate::memory::{self, MemoryProtection};
use crate::session::{EmergencySession, Opening, Session, SlotInfo};
use crate::storage;

/// An encrypted vault in a directory of its own. While the handle lives, no other process and no
/// other handle opens the same vault.
///
/// # Examples
///
/// ```no_run
/// use vitalock::{Credentials, KeyShare, Options, Passphrase, Query, Record, Vault};
///
/// fn story(dir: &std::path::Path, keychain: &dyn KeyShare, typed: &[u8]) -> vitalock::Result<()> {
///     let words = Passphrase::new(b"four quiet herons wade")?;
///     let factors = Credentials::passphrase(&words).and(keychain);
///     let setup = Vault::create(dir, Options::new(), factors)?;
///     setup.recovery_code().reveal(|code| { /* show it */ });
///     let vault = setup.confirm_recovery(typed)?;
///
///     let session = vault.unlock(&factors)?;
///     session.put(Record::new("Observation", r#"{"resourceType":"Observation"}"#))?;
///     for record in session.query(&Query::new().kind("Observation")) {
///         let record = record?;
///     }
///     session.lock();
///     Ok(())
/// }
/// ```
pub struct Vault {
    opening: Arc<Opening>,
}

impl Vault {
    /// Begins to make a vault in `dir`, which must not exist or be an empty directory open to
    /// nobody else. `credentials` are a passphrase joined with a share, or a passphrase of at
    /// least 15 characters where the host has no key store. Calibrating Argon2id takes up to a few
    /// seconds. Nothing is on disk before [`Setup::confirm_recovery`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::VaultExists`], [`ErrorKind::PassphraseTooShort`],
    /// [`ErrorKind::PassphraseTooCommon`], [`ErrorKind::NoMatchingSlot`] for other credentials,
    /// [`ErrorKind::OutOfMemory`] where not even the floor of Argon2id fits,
    /// [`ErrorKind::RandomUnavailable`], and those of an unsafe place
    /// ([`ErrorKind::PathIsSymlink`], [`ErrorKind::PathLooseMode`],
    /// [`ErrorKind::PathForeignOwner`], [`ErrorKind::PathWritableParent`],
    /// [`ErrorKind::PathWrongType`]).
    pub fn create<'a>(
        dir: impl AsRef<Path>,
        options: Options,
        credentials: Credentials<'a>,
    ) -> Result<Setup<'a>> {
        Setup::begin(dir.as_ref(), options, credentials)
    }

    /// Opens the vault in `dir`, locked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::VaultNotFound`], [`ErrorKind::VaultBusy`], [`ErrorKind::VaultIncomplete`],
    /// [`ErrorKind::HeaderDamaged`], [`ErrorKind::UnsupportedFormat`],
    /// [`ErrorKind::KdfParametersRefused`], and those of an unsafe place or file.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = VaultDir::open(dir.as_ref())?;
        let header = dir.check(FileName::Header)? || dir.check(FileName::HeaderTwin)?;
        if !header && !dir.setup_pending()? {
            return Err(ErrorKind::VaultNotFound.into());
        }
        let lock = dir.lock()?;
        Opening::read(dir, lock).map(|opening| Self::over(Arc::new(opening)))
    }

    pub(super) fn over(opening: Arc<Opening>) -> Self {
        Self { opening }
    }

    /// Opens Standard and Emergency.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnlockFailed`] for wrong factors and for a damaged slot,
    /// [`ErrorKind::NoMatchingSlot`] where no slot takes this combination,
    /// [`ErrorKind::SessionActive`], [`ErrorKind::TamperDetected`], [`ErrorKind::OutOfMemory`];
    /// those of the databases and their files ([`ErrorKind::DatabaseDamaged`],
    /// [`ErrorKind::SqliteUnsuitable`], [`ErrorKind::UnsupportedFormat`], [`ErrorKind::ReadOnly`],
    /// [`ErrorKind::StorageFull`], [`ErrorKind::Io`]); and those of the share:
    /// [`ErrorKind::ShareUnavailable`], [`ErrorKind::ShareCancelled`],
    /// [`ErrorKind::ShareInvalidated`], [`ErrorKind::ShareMissing`],
    /// [`ErrorKind::ShareMisbehaved`]. No error makes, changes or removes a key.
    pub fn unlock(&self, credentials: &Credentials<'_>) -> Result<Session> {
        let kind = credentials.slot_kind().filter(|kind| !kind.is_recovery());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        self.opening.check_idle()?;
        let factors = Factors::of(credentials);
        let unlocked = self
            .opening
            .unlock(kind, WrapPurpose::Standard, factors, None)?;
        self.opening.heal();
        Session::begin(&self.opening, unlocked)
    }

    /// Opens Emergency, and nothing else, with the emergency code.
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock).
    pub fn unlock_emergency(&self, code: &EmergencyCode) -> Result<EmergencySession> {
        self.opening.check_idle()?;
        let purpose = WrapPurpose::Emergency;
        let code = Some(Code::Emergency(code));
        let unlocked =
            self.opening
                .unlock(SlotKind::Emergency, purpose, Factors::default(), code)?;
        EmergencySession::begin(&self.opening, unlocked)
    }

    /// Brings the owner back with the written code and one other factor (or the code alone, where
    /// the vault has that slot), and prepares new everyday factors and a new code in place of the
    /// old. Nothing changes before [`Recovery::confirm`].
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock), and those of the new passphrase.
    pub fn recover<'a>(
        &'a self,
        old: &Credentials<'_>,
        new: Credentials<'a>,
    ) -> Result<Recovery<'a>> {
        Recovery::begin(&self.opening, old, new)
    }

    /// The vault's identity: random, and the same for as long as the vault exists.
    pub fn id(&self) -> VaultId {
        self.opening.vault()
    }

    /// The key slots, as the header says. While the vault was not unlocked by this handle nothing
    /// vouches for it.
    pub fn slots(&self) -> Vec<SlotInfo> {
        self.opening
            .newest()
            .header
            .slots
            .iter()
            .map(SlotInfo::of)
            .collect()
    }

    /// What the vault takes of the medium at this moment, its write-ahead logs included. Reads no
    /// file, and works whether the vault is locked or not.
    ///
    /// # Errors
    ///
    /// Those of an unsafe file; [`ErrorKind::Io`].
    pub fn size(&self) -> Result<VaultSize> {
        self.opening.size()
    }

    /// How keys are protected in this process's memory.
    pub fn memory_protection() -> MemoryProtection {
        let (keys_locked, keys_undumpable) = memory::key_region();
        let sqlite_heap_wiped = storage::sqlite_heap_is_wiped();
        MemoryProtection {
            keys_locked,
            keys_undumpable,
            sqlite_heap_wiped,
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}
