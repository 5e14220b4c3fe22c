//! The kinds of slot there are, and what a wrap of one opens.

use super::share::Purpose;
use crate::class::Class;

/// Which factors a key slot takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlotKind {
    /// Passphrase AND share.
    Primary,
    /// A share that needs a live biometric; no Argon2id, so milliseconds.
    Biometric,
    /// A passphrase of at least 15 characters, for hosts without a key store.
    Passphrase,
    /// Recovery code AND share: the passphrase was forgotten.
    RecoveryShare,
    /// Recovery code AND passphrase: the hardware was lost or its key invalidated.
    RecoveryPassphrase,
    /// The recovery code alone: only where the vault has no share, or the app opted in.
    RecoveryCode,
    /// The emergency code: opens Emergency and nothing else.
    Emergency,
    /// The answer of a second party, who holds a key: opens Emergency and nothing else.
    EmergencyContact,
}

impl SlotKind {
    /// Every kind of slot.
    pub const ALL: [Self; 8] = [
        Self::Primary,
        Self::Biometric,
        Self::Passphrase,
        Self::RecoveryShare,
        Self::RecoveryPassphrase,
        Self::RecoveryCode,
        Self::Emergency,
        Self::EmergencyContact,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Biometric => "biometric",
            Self::Passphrase => "passphrase",
            Self::RecoveryShare => "recovery-share",
            Self::RecoveryPassphrase => "recovery-passphrase",
            Self::RecoveryCode => "recovery-code",
            Self::Emergency => "emergency",
            Self::EmergencyContact => "emergency-contact",
        }
    }

    pub(crate) const fn takes_passphrase(self) -> bool {
        matches!(
            self,
            Self::Primary | Self::Passphrase | Self::RecoveryPassphrase
        )
    }

    pub(crate) const fn takes_share(self) -> bool {
        matches!(self, Self::Primary | Self::Biometric | Self::RecoveryShare)
    }

    /// Whether a factor of the slot is one that somebody may guess. What the hardware releases it
    /// counts itself, and a contact's answer is 32 random bytes.
    pub(crate) const fn is_guessable(self) -> bool {
        !matches!(self, Self::Biometric | Self::EmergencyContact)
    }

    /// Whether the slot opens Emergency and nothing else.
    pub(crate) const fn is_emergency(self) -> bool {
        matches!(self, Self::Emergency | Self::EmergencyContact)
    }

    /// Whether the slot opens the vault for its owner without a recovery.
    pub(crate) const fn is_everyday(self) -> bool {
        matches!(self, Self::Primary | Self::Passphrase)
    }

    pub(crate) const fn is_recovery(self) -> bool {
        matches!(
            self,
            Self::RecoveryShare | Self::RecoveryPassphrase | Self::RecoveryCode
        )
    }

    /// The wraps that a slot of this kind must have; a biometric slot may also have the second.
    pub(super) const fn wraps(self) -> &'static [WrapPurpose] {
        match self {
            Self::Biometric => &[WrapPurpose::Standard],
            Self::Emergency | Self::EmergencyContact => &[WrapPurpose::Emergency],
            _ => &[WrapPurpose::Standard, WrapPurpose::Priority],
        }
    }
}

/// What a wrap opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrapPurpose {
    Standard,
    Priority,
    Emergency,
}

impl WrapPurpose {
    pub(super) const ALL: [Self; 3] = [Self::Standard, Self::Priority, Self::Emergency];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Priority => "priority",
            Self::Emergency => "emergency",
        }
    }

    /// The classes whose keys the wrap holds, in this order.
    pub(crate) const fn classes(self) -> &'static [Class] {
        match self {
            Self::Standard => &[Class::Standard, Class::Emergency],
            Self::Priority => &[Class::Priority],
            Self::Emergency => &[Class::Emergency],
        }
    }

    /// The purpose that a host's share is asked for.
    pub(super) const fn of_share(self) -> Purpose {
        match self {
            Self::Priority => Purpose::Priority,
            Self::Standard | Self::Emergency => Purpose::Standard,
        }
    }
}
