//! The key slots: add, replace, remove, each as one new header.

use std::fmt;

use super::draft::{Draft, NewSlot, check_passphrase, strongest};
use super::lease::Lease;
use super::recovery::RecoveryRenewal;
use crate::error::{ErrorKind, Result};
use crate::id::SlotId;
use crate::keys::{
    Credentials, EmergencyCode, Factors, KdfParameters, KeyShare, Slot, SlotKind, WrapPurpose,
};

/// What may be known of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInfo {
    /// The slot's identity.
    pub id: SlotId,
    /// Which factors it takes.
    pub kind: SlotKind,
    /// Whether it can open Priority.
    pub opens_priority: bool,
    /// The key store that holds its share.
    pub provider: Option<String>,
    /// The cost of stretching its passphrase.
    pub kdf: Option<KdfParameters>,
}

impl SlotInfo {
    pub(crate) fn of(slot: &Slot) -> Self {
        let share = slot.wraps.iter().find_map(|wrap| wrap.share.as_ref());
        Self {
            id: slot.id,
            kind: slot.kind,
            opens_priority: slot.wrap(WrapPurpose::Priority).is_some(),
            provider: share.map(|share| share.provider.clone()),
            kdf: slot
                .wraps
                .iter()
                .find_map(|wrap| wrap.kdf)
                .map(|(cost, _)| cost),
        }
    }
}

/// The key slots of a vault, through a [`Lease`]: a change of the header needs the keys of all
/// three classes.
///
/// Every change is one new header, written whole in two copies. Until its first copy is durable
/// the old slots hold; afterwards the new ones do. A slot that goes has its platform keys
/// destroyed; where the host cannot do that now, it is asked again at the next step-up.
pub struct Slots<'a> {
    lease: &'a Lease,
}

impl<'a> Slots<'a> {
    pub(super) fn of(lease: &'a Lease) -> Self {
        Self { lease }
    }

    /// The slots there are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`].
    pub fn list(&self) -> Result<Vec<SlotInfo>> {
        self.lease.with_keys(|opening, _| {
            Ok(opening
                .newest()
                .header
                .slots
                .iter()
                .map(SlotInfo::of)
                .collect())
        })
    }

    /// Adds a slot for these factors: a second phone's passphrase and share, or a biometric slot
    /// that opens Standard and Emergency only.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SlotTableFull`], the errors of the passphrase and of the share.
    pub fn add(&self, credentials: &Credentials<'_>) -> Result<SlotId> {
        self.change(credentials, None, false)
    }

    /// Adds a biometric slot that opens Priority as well.
    ///
    /// # Errors
    ///
    /// As for [`add`](Self::add).
    ///
    /// # Security
    ///
    /// Whoever can present an enrolled biometric then opens priority documents without a
    /// passphrase.
    pub fn dangerous_add_biometric_for_priority(&self, share: &dyn KeyShare) -> Result<SlotId> {
        self.change(&Credentials::share(share), None, true)
    }

    /// Puts a new slot in the place of another: a new passphrase, a share re-enrolled after the
    /// biometrics changed, a new phone. The new slot gets fresh salts and a fresh share, is opened
    /// once, and only then takes the other's place; the old platform keys are destroyed. Where the
    /// passphrase changes, the recovery slot that takes code and passphrase follows it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::LastSlot`] where a biometric slot would replace the
    /// last slot that opens everything, the errors of the passphrase and of the share. The vault
    /// then is as it was.
    pub fn replace(&self, old: SlotId, credentials: &Credentials<'_>) -> Result<SlotId> {
        self.change(credentials, Some(old), false)
    }

    /// Removes a slot and destroys its platform keys, as far as `share` can: the key store that
    /// the slot was enrolled with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::LastSlot`].
    pub fn remove(&self, slot: SlotId, share: Option<&dyn KeyShare>) -> Result<()> {
        self.lease.with_keys(|opening, keys| {
            let header = opening.newest().header.clone();
            let mut draft = Draft::of(&header);
            draft.take_out(slot)?;
            let factors = Factors {
                passphrase: None,
                share,
                code: None,
            };
            draft.write(opening, &header, keys, factors)
        })
    }

    /// Adds a slot for the emergency code, which opens Emergency and nothing else. Show the code
    /// once; it is kept nowhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SlotTableFull`].
    pub fn add_emergency(&self) -> Result<EmergencyCode> {
        let code = EmergencyCode::make()?;
        self.lease.with_keys(|opening, keys| {
            let header = opening.newest().header.clone();
            let key = code.key(header.vault);
            let factors = Factors {
                passphrase: None,
                share: None,
                code: Some(&key),
            };
            let new = NewSlot {
                kind: SlotKind::Emergency,
                factors,
                cost: KdfParameters::DEFAULT,
            };
            let mut draft = Draft::of(&header);
            draft.slots.push(new.make(header.vault, keys, false)?);
            draft.write(opening, &header, keys, factors)
        })?;
        Ok(code)
    }

    /// Makes a new recovery code in the place of the one there is. It counts once it was typed
    /// back. `credentials` are the everyday factors that the new recovery slots are joined with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RandomUnavailable`], [`ErrorKind::NoMatchingSlot`] where the credentials are
    /// not everyday ones, [`ErrorKind::Locked`].
    pub fn renew_recovery<'b>(
        &'b self,
        credentials: &Credentials<'b>,
    ) -> Result<RecoveryRenewal<'b>> {
        RecoveryRenewal::begin(self.lease, *credentials)
    }

    fn change(
        &self,
        credentials: &Credentials<'_>,
        old: Option<SlotId>,
        priority_by_biometric: bool,
    ) -> Result<SlotId> {
        let kind = credentials.slot_kind().filter(|kind| !kind.is_recovery());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        check_passphrase(kind, credentials.words())?;
        self.lease.with_keys(|opening, keys| {
            let header = opening.newest().header.clone();
            let mut draft = Draft::of(&header);
            let cost = strongest(&header);
            let factors = Factors::of(credentials);
            let slot = NewSlot {
                kind,
                factors,
                cost,
            };
            // Bounds are checked before the host is asked for a key.
            draft.check_room(old.is_none())?;
            if let Some(old) = old
                && !header.slots.iter().any(|slot| slot.id == old)
            {
                return Err(ErrorKind::NotFound.into());
            }
            let made = slot.make(header.vault, keys, priority_by_biometric)?;
            let id = made.id;
            draft.slots.push(made);
            let changed = match old {
                None => Ok(()),
                Some(old) => draft.take_out(old),
            };
            let changed = changed
                .and_then(|()| draft.follow_passphrase(&header, old, credentials, cost, keys));
            let written = changed.and_then(|()| draft.write(opening, &header, keys, factors));
            if let Err(error) = written {
                draft.destroy_new(id, factors);
                return Err(error);
            }
            Ok(id)
        })
    }
}

impl fmt::Debug for Slots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots(..)")
    }
}
