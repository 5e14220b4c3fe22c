//! A vault, locked: what can be done with it is open it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::options::Options;
use super::recovery::Recovery;
use super::setup::Setup;
use crate::actor::Actor;
use crate::anchor::Anchor;
use crate::error::{ErrorKind, Result};
use crate::fs::{FileName, VaultDir, VaultSize};
use crate::id::{SlotId, VaultId};
use crate::keys::{
    Code, Credentials, EmergencyCode, EmergencyRequest, Factors, Footprint, SessionPolicy,
    SlotKind, WrapPurpose,
};
use crate::memory::{self, MemoryProtection};
use crate::posture::{self, Posture};
use crate::session::{Accept, EmergencySession, Opening, Session, SlotInfo};
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
    /// [`ErrorKind::InvalidPolicy`] for a time to live that is out of bounds,
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

    /// The same vault by another clock.
    #[cfg(test)]
    pub(super) fn with_clock(self, clock: Arc<dyn crate::time::Clock>) -> Self {
        let opening = Arc::into_inner(self.opening).expect("nothing of the vault is open");
        Self::over(Arc::new(opening.with_clock(clock)))
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
    /// [`ErrorKind::Throttled`], [`ErrorKind::SlotDisabled`], [`ErrorKind::VaultWiped`],
    /// [`ErrorKind::SessionActive`],
    /// [`ErrorKind::Paused`], [`ErrorKind::TamperDetected`], [`ErrorKind::RollbackDetected`],
    /// [`ErrorKind::AnchorMissing`], [`ErrorKind::AnchorUnavailable`], [`ErrorKind::OutOfMemory`];
    /// those of the databases and their files ([`ErrorKind::DatabaseDamaged`],
    /// [`ErrorKind::SqliteUnsuitable`], [`ErrorKind::UnsupportedFormat`], [`ErrorKind::ReadOnly`],
    /// [`ErrorKind::StorageFull`], [`ErrorKind::Io`]); and those of the share:
    /// [`ErrorKind::ShareUnavailable`], [`ErrorKind::ShareCancelled`],
    /// [`ErrorKind::ShareInvalidated`], [`ErrorKind::ShareMissing`],
    /// [`ErrorKind::ShareMisbehaved`]. No error makes, changes or removes a key.
    pub fn unlock(&self, credentials: &Credentials<'_>) -> Result<Session> {
        let kind = credentials.slot_kind().filter(|kind| !kind.is_recovery());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        let by = credentials.actor()?;
        self.opening.check_idle()?;
        let factors = Factors::of(credentials);
        let purpose = WrapPurpose::Standard;
        let unlocked = self
            .opening
            .unlock_from_outside(kind, purpose, factors, None, &by)?;
        self.opening.heal();
        Session::begin(&self.opening, unlocked, Duration::MAX, Accept::Fresh, by)
    }

    /// Brings the vault's anchor: the place outside the directory that says how far the vault had
    /// come. To be called after opening and before unlocking. A vault that was made with
    /// [`Options::anchor`] does not open without it.
    #[must_use]
    pub fn anchored(self, anchor: Arc<dyn Anchor>) -> Self {
        self.opening.set_anchor(anchor);
        self
    }

    /// Unlocks a vault whose anchor is lost, or that is older than its anchor says because a backup
    /// was put back on purpose, and anchors it as it is. Every class is opened with fresh factors for
    /// that.
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock), [`ErrorKind::NoMatchingSlot`] for a slot that does not open
    /// Priority, [`ErrorKind::AnchorMissing`] where no anchor was brought, and
    /// [`ErrorKind::AnchorUnavailable`].
    ///
    /// # Security
    ///
    /// What an attacker put back is accepted as well. Ask the person whether a backup was restored.
    pub fn unlock_restored(&self, credentials: &Credentials<'_>) -> Result<Session> {
        let kind = credentials.slot_kind().filter(|kind| !kind.is_recovery());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        let by = credentials.actor()?;
        self.opening.check_idle()?;
        let factors = Factors::of(credentials);
        let unlock = |purpose| {
            self.opening
                .unlock_from_outside(kind, purpose, factors, None, &by)
        };
        let (standard, priority) = (
            unlock(WrapPurpose::Standard)?,
            unlock(WrapPurpose::Priority)?,
        );
        self.opening.heal();
        let accept = Accept::Anything;
        let session = Session::begin(&self.opening, standard, Duration::MAX, accept, by)?;
        let lease = session.lease(priority, factors)?;
        lease.accept()?;
        drop(lease);
        Ok(session)
    }

    /// Opens Emergency, and nothing else, with the emergency code. `reason` says why, in up to 256
    /// bytes: it stands in the audit trail, and the owner is shown it at the next unlocking
    /// ([`Session::emergency_accesses`]).
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock), and [`ErrorKind::InvalidActor`] for a reason that is empty
    /// or too long.
    pub fn unlock_emergency(&self, code: &EmergencyCode, reason: &str) -> Result<EmergencySession> {
        let by = for_emergency(reason)?;
        self.opening.check_idle()?;
        let purpose = WrapPurpose::Emergency;
        let code = Some(Code::Emergency(code));
        let (kind, factors) = (SlotKind::Emergency, Factors::default());
        let unlocked = self
            .opening
            .unlock_from_outside(kind, purpose, factors, code, &by)?;
        EmergencySession::begin(&self.opening, unlocked, by)
    }

    /// Asks a contact to open Emergency: the request is brought to the contact's device, which answers
    /// it ([`ContactKey::answer`](crate::ContactKey::answer)), and the answer comes back to
    /// [`unlock_emergency_by_contact`](Self::unlock_emergency_by_contact). Nothing needs to be
    /// unlocked. Which slots have a contact, [`slots`](Self::slots) says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::NoMatchingSlot`] for a slot without a contact,
    /// [`ErrorKind::Paused`], [`ErrorKind::VaultWiped`], [`ErrorKind::RandomUnavailable`].
    pub fn request_emergency(&self, slot: SlotId) -> Result<EmergencyRequest> {
        self.opening.request(slot)
    }

    /// Opens Emergency, and nothing else, with a contact's answer to `request`. `reason` is as for
    /// [`unlock_emergency`](Self::unlock_emergency).
    ///
    /// # Errors
    ///
    /// As for [`unlock_emergency`](Self::unlock_emergency); [`ErrorKind::UnlockFailed`] where the
    /// answer is none to this request.
    pub fn unlock_emergency_by_contact(
        &self,
        request: &EmergencyRequest,
        answer: &[u8],
        reason: &str,
    ) -> Result<EmergencySession> {
        let by = for_emergency(reason)?;
        self.opening.check_idle()?;
        let unlocked = self.opening.unlock_by_answer(request, answer, &by)?;
        EmergencySession::begin(&self.opening, unlocked, by)
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
        self.opening.slots()
    }

    /// When sessions and leases end by themselves, as the header says. While the vault was not
    /// unlocked by this handle nothing vouches for it.
    pub fn session_policy(&self) -> SessionPolicy {
        self.opening.policy()
    }

    /// How much this vault may leave on the device, as the header says. While the vault was not
    /// unlocked by this handle nothing vouches for it.
    pub fn footprint(&self) -> Footprint {
        self.opening.footprint()
    }

    /// To be called when the app goes to the background: a lease ends at once, and the session once
    /// the [grace](SessionPolicy::background) of the policy is over, which is 0 by default. Does not
    /// wait for calls under way; the last of them closes. A session that is opened in the background
    /// has the same grace from then on.
    ///
    /// On iOS, [`pause`](Self::pause) after it: the system ends apps that are suspended while they
    /// hold a lock on a file.
    pub fn entered_background(&self) {
        self.opening.entered_background();
    }

    /// To be called when the app comes back to the foreground. A session whose grace is over ends
    /// now at the latest; another goes on.
    pub fn entering_foreground(&self) {
        self.opening.entering_foreground();
    }

    /// To be called when the device is locked: the session ends at once. Does not wait for calls
    /// under way; the last of them closes.
    pub fn device_locked(&self) {
        self.opening.device_locked();
    }

    /// Closes every file and lock that this handle and its session hold, the vault's own lock among
    /// them, and lets other processes open the vault. Calls that start from now on fail with
    /// [`ErrorKind::Paused`]; waits for those under way, each of which is finished whole, and empties
    /// the logs. A lease ends. The session keeps its keys in memory and goes on when the vault is
    /// resumed, but its limits hold meanwhile and may end it.
    ///
    /// Afterwards the process has no descriptor and no lock of the vault, so that it may be
    /// suspended. Pausing a paused vault does nothing.
    pub fn pause(&self) {
        self.opening.pause();
    }

    /// Opens again what [`pause`](Self::pause) closed. A session of a vault whose header another
    /// process changed meanwhile ends: its slot may be gone. Resuming a vault that is not paused does
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::VaultBusy`] while another process has the vault, [`ErrorKind::TamperDetected`]
    /// where there is another vault in its place, those of an unsafe place or file, of the header and
    /// of the databases. The vault is then paused as before, and resuming may be tried again.
    pub fn resume(&self) -> Result<()> {
        self.opening.resume()
    }

    /// What the vault takes of the medium at this moment, its write-ahead logs included. Reads no
    /// file, and works whether the vault is locked or not.
    ///
    /// # Errors
    ///
    /// Those of an unsafe file; [`ErrorKind::Io`]; [`ErrorKind::Paused`].
    pub fn size(&self) -> Result<VaultSize> {
        self.opening.size()
    }

    /// Looks at how this vault is protected, and says what it found, with evidence and advice: the
    /// files, the key slots, the limits, the anchor, the audit trail, the process's memory. While a
    /// session is open it says more, and never anything of Priority. Asking is no activity.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn report(vault: &vitalock::Vault) -> std::io::Result<()> {
    /// std::fs::write("posture.html", vault.posture().to_html())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn posture(&self) -> Posture {
        posture::examine(&self.opening, Self::memory_protection())
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

/// Whoever opens Emergency is known by the reason alone.
fn for_emergency(reason: &str) -> Result<Actor> {
    if reason.trim().is_empty() {
        return Err(ErrorKind::InvalidActor.into());
    }
    let by = Actor::unnamed().purpose(reason);
    by.check()?;
    Ok(by)
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}
