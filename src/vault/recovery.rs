//! Coming back with the written code.

use std::fmt;
use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::keys::{Credentials, Factors, RecoveryCode, WrapPurpose};
use crate::session::{Opening, Session, Unlocked, check_passphrase, renew_everything};

/// A recovery under way: the old code opened the vault, and nothing has changed yet. A code is
/// used once: confirming replaces it together with every everyday and biometric slot.
pub struct Recovery<'a> {
    opening: &'a Arc<Opening>,
    /// Until the session takes them over.
    keys: Option<[Unlocked; 2]>,
    new: Credentials<'a>,
    code: RecoveryCode,
}

impl<'a> Recovery<'a> {
    pub(super) fn begin(
        opening: &'a Arc<Opening>,
        old: &Credentials<'_>,
        new: Credentials<'a>,
    ) -> Result<Self> {
        opening.check_idle()?;
        let kind = old.slot_kind().filter(|kind| kind.is_recovery());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        let new_kind = new.slot_kind().filter(|kind| kind.is_everyday());
        check_passphrase(new_kind.ok_or(ErrorKind::NoMatchingSlot)?, new.words())?;
        let (factors, code) = (Factors::of(old), old.code());
        let standard = opening.unlock(kind, WrapPurpose::Standard, factors, code)?;
        let priority = opening.unlock(kind, WrapPurpose::Priority, factors, code)?;
        opening.heal();
        let code = RecoveryCode::make()?;
        Ok(Self {
            opening,
            keys: Some([standard, priority]),
            new,
            code,
        })
    }

    /// The new code, in place of the one that was used. Show it once.
    pub fn code(&self) -> &RecoveryCode {
        &self.code
    }

    /// Writes the new slots in the place of the old, in one header, and opens the vault.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RecoveryCodeMistyped`] and [`ErrorKind::RecoveryNotConfirmed`], after which it
    /// may be tried again; those of the share and the files, after which the old code still holds.
    /// [`ErrorKind::SlotTableFull`] where emergency slots leave no room for the new ones, and
    /// [`ErrorKind::SessionActive`] while the vault is open. Once it has opened the vault, or
    /// failed to after the header was written, it answers [`ErrorKind::SessionActive`] for good:
    /// unlock with the new factors.
    pub fn confirm(&mut self, typed: &[u8]) -> Result<Session> {
        if !RecoveryCode::parse(typed)?.matches(&self.code) {
            return Err(ErrorKind::RecoveryNotConfirmed.into());
        }
        self.opening.check_idle()?;
        let keys = self.keys.as_ref().ok_or(ErrorKind::SessionActive)?;
        let all = keys.iter().flat_map(|unlocked| &unlocked.keys);
        let slot = renew_everything(self.opening, all, &self.new, &self.code)?;
        let [standard, _] = self.keys.take().ok_or(ErrorKind::SessionActive)?;
        Session::begin(self.opening, Unlocked { slot, ..standard })
    }
}

impl fmt::Debug for Recovery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recovery(..)")
    }
}
