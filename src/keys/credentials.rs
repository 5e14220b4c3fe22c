//! What a person brings to open a vault.

use std::fmt;

use super::code::{Code, RecoveryCode};
use super::kind::SlotKind;
use super::passphrase::Passphrase;
use super::share::KeyShare;
use crate::actor::Actor;
use crate::error::Result;

/// A combination of factors. It opens the slots that take exactly these.
///
/// # Examples
///
/// ```
/// use vitalock::{Credentials, KeyShare, Passphrase};
///
/// fn everyday<'a>(words: &'a Passphrase, keychain: &'a dyn KeyShare) -> Credentials<'a> {
///     Credentials::passphrase(words).and(keychain)
/// }
/// fn touch<'a>(biometric: &'a dyn KeyShare) -> Credentials<'a> {
///     Credentials::share(biometric)
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    pub(super) passphrase: Option<&'a Passphrase>,
    pub(super) share: Option<&'a dyn KeyShare>,
    pub(super) code: Option<&'a RecoveryCode>,
    pub(super) actor: Option<&'a Actor>,
}

impl<'a> Credentials<'a> {
    /// A passphrase, alone for a passphrase slot or to be joined with a share.
    pub fn passphrase(passphrase: &'a Passphrase) -> Self {
        Self {
            passphrase: Some(passphrase),
            share: None,
            code: None,
            actor: None,
        }
    }

    /// A share that a live biometric releases.
    pub fn share(share: &'a dyn KeyShare) -> Self {
        Self {
            passphrase: None,
            share: Some(share),
            code: None,
            actor: None,
        }
    }

    /// The written recovery code, to be joined with a share or a passphrase. Only
    /// [`Vault::recover`](crate::Vault::recover) takes it.
    pub fn recovery(code: &'a RecoveryCode) -> Self {
        Self {
            passphrase: None,
            share: None,
            code: Some(code),
            actor: None,
        }
    }

    /// Adds the device's or the server's share.
    #[must_use]
    pub fn and(self, share: &'a dyn KeyShare) -> Self {
        Self {
            share: Some(share),
            ..self
        }
    }

    /// Adds a passphrase.
    #[must_use]
    pub fn and_passphrase(self, passphrase: &'a Passphrase) -> Self {
        Self {
            passphrase: Some(passphrase),
            ..self
        }
    }

    /// Says who acts and what for, for the audit trail: of the unlocking, and of what is done through
    /// the session.
    #[must_use]
    pub fn by(self, actor: &'a Actor) -> Self {
        Self {
            actor: Some(actor),
            ..self
        }
    }

    /// # Errors
    ///
    /// Those of [`Actor::check`].
    pub(crate) fn actor(&self) -> Result<Actor> {
        let Some(actor) = self.actor else {
            return Ok(Actor::unnamed());
        };
        actor.check()?;
        Ok(actor.clone())
    }

    /// The kind of slot that takes these factors.
    pub(crate) fn slot_kind(&self) -> Option<SlotKind> {
        match (
            self.passphrase.is_some(),
            self.share.is_some(),
            self.code.is_some(),
        ) {
            (true, true, false) => Some(SlotKind::Primary),
            (false, true, false) => Some(SlotKind::Biometric),
            (true, false, false) => Some(SlotKind::Passphrase),
            (false, true, true) => Some(SlotKind::RecoveryShare),
            (true, false, true) => Some(SlotKind::RecoveryPassphrase),
            (false, false, true) => Some(SlotKind::RecoveryCode),
            _ => None,
        }
    }

    pub(crate) fn words(&self) -> Option<&'a Passphrase> {
        self.passphrase
    }

    pub(crate) fn code(&self) -> Option<Code<'a>> {
        self.code.map(Code::Recovery)
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}
