//! Coming back with the written code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::actor::Actor;
use crate::error::{ErrorKind, Result};
use crate::keys::{Credentials, Factors, RecoveryCode, WrapPurpose};
use crate::session::{
    Accept, Lease, Opening, Session, Unlocked, check_passphrase, renew_everything,
};

/// A recovery under way: the old code opened the vault, and nothing has changed yet. A code is
/// used once: confirming replaces it together with every everyday and biometric slot.
#[must_use = "nothing changes before `confirm`"]
pub struct Recovery<'a> {
    opening: &'a Arc<Opening>,
    /// Until they open the vault.
    keys: Option<[Unlocked; 2]>,
    /// The vault, open, while the header waits to be written.
    open: Option<(Session, Lease)>,
    new: Credentials<'a>,
    code: RecoveryCode,
    by: Actor,
    accept: Accept,
}

impl<'a> Recovery<'a> {
    pub(super) fn begin(
        opening: &'a Arc<Opening>,
        old: &Credentials<'_>,
        new: Credentials<'a>,
    ) -> Result<Self> {
        let by = old.actor()?;
        opening.check_idle()?;
        let kind = old.slot_kind().filter(|kind| kind.is_recovery());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        let new_kind = new.slot_kind().filter(|kind| kind.is_everyday());
        check_passphrase(new_kind.ok_or(ErrorKind::NoMatchingSlot)?, new.words())?;
        let (factors, code) = (Factors::of(old), old.code());
        let unlock = |purpose| opening.unlock_from_outside(kind, purpose, factors, code, &by);
        let standard = unlock(WrapPurpose::Standard)?;
        let priority = unlock(WrapPurpose::Priority)?;
        opening.heal();
        let code = RecoveryCode::make()?;
        Ok(Self {
            opening,
            keys: Some([standard, priority]),
            open: None,
            new,
            code,
            by,
            accept: Accept::LostAnchor,
        })
    }

    /// Accepts a vault that is older than its anchor says, because a backup was put back on purpose:
    /// what [`Vault::unlock_restored`](crate::Vault::unlock_restored) does for everyday factors. The
    /// audit trail says so.
    ///
    /// # Security
    ///
    /// What an attacker put back is accepted as well. Ask the person whether a backup was restored.
    pub fn accept_restored(&mut self) {
        self.accept = Accept::Anything;
    }

    /// The new code, in place of the one that was used. Show it once.
    pub fn code(&self) -> &RecoveryCode {
        &self.code
    }

    /// Opens the vault and writes the new slots in the place of the old, in one header.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RecoveryCodeMistyped`], [`ErrorKind::RecoveryNotConfirmed`],
    /// [`ErrorKind::SessionActive`] while the vault is open, [`ErrorKind::RollbackDetected`] where it
    /// is older than its anchor says, unless that is [accepted](Self::accept_restored) (that the
    /// anchor is lost is no error here),
    /// [`ErrorKind::SlotTableFull`] where emergency slots leave no room for the new ones, those of a
    /// [`Session`], of the share and of the files. Whatever the error, the header is the old one and the old code still holds.
    /// Confirming may be tried again, unless the databases did not open, or a limit of the
    /// [`SessionPolicy`](crate::SessionPolicy) has ended the session or the lease that wait for it:
    /// it then answers [`ErrorKind::Locked`] or [`ErrorKind::LeaseExpired`], and the recovery begins
    /// anew.
    pub fn confirm(&mut self, typed: &[u8]) -> Result<Session> {
        if !RecoveryCode::parse(typed)?.matches(&self.code) {
            return Err(ErrorKind::RecoveryNotConfirmed.into());
        }
        if self.open.is_none() {
            self.opening.check_idle()?;
            let [standard, priority] = self.keys.take().ok_or(ErrorKind::Locked)?;
            let (accept, by) = (self.accept, self.by.clone());
            let session = Session::begin(self.opening, standard, Duration::MAX, accept, by)?;
            let lease = session.lease(priority, Factors::default())?;
            // A lost anchor is established again. Where that cannot be now, it is when the session
            // ends; a vault without one has nothing to accept.
            let _ = lease.accept();
            self.open = Some((session, lease));
        }
        let (_, lease) = self.open.as_ref().ok_or(ErrorKind::Locked)?;
        let slot = renew_everything(lease, &self.new, &self.code)?;
        let (session, _) = self.open.take().ok_or(ErrorKind::Locked)?;
        Ok(session.opened_by(slot))
    }
}

impl fmt::Debug for Recovery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recovery(..)")
    }
}
