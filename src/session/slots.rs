//! The key slots: add, replace, remove, each as one new header.

use std::fmt;
use std::time::Duration;

use super::draft::{Draft, NewSlot, check_passphrase, strongest};
use super::lease::Lease;
use super::opening::Opening;
use super::recovery::RecoveryRenewal;
use crate::audit::{Event, SlotChange};
use crate::error::{ErrorKind, Result};
use crate::id::{SlotId, VaultId};
use crate::keys::{
    ClassKeys, Code, ContactSecret, Credentials, EmergencyCode, Factors, Header, KdfParameters,
    KeyShare, Slot, SlotKind, WrapPurpose,
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
    /// The public key of the contact who opens it, X25519.
    pub contact: Option<[u8; 32]>,
    /// The cost of stretching its passphrase.
    pub kdf: Option<KdfParameters>,
    /// How many attempts failed since the last that succeeded; 0 for a biometric slot, whose
    /// failures the platform counts.
    pub failed_attempts: u32,
    /// How long the next attempt has to wait; zero where it need not.
    pub retry_after: Duration,
    /// Ten attempts failed in a row, and the slot opens nothing any more.
    pub disabled: bool,
}

impl SlotInfo {
    pub(crate) fn of(opening: &Opening, header: &Header, slot: &Slot) -> Self {
        let (failed_attempts, retry_after, disabled) = opening.attempts_of(header, slot);
        let share = slot.wraps.iter().find_map(|wrap| wrap.share.as_ref());
        Self {
            id: slot.id,
            kind: slot.kind,
            opens_priority: slot.wrap(WrapPurpose::Priority).is_some(),
            provider: share.map(|share| share.provider.clone()),
            contact: slot.contact.as_ref().map(|contact| contact.public),
            kdf: slot
                .wraps
                .iter()
                .find_map(|wrap| wrap.kdf)
                .map(|(cost, _)| cost),
            failed_attempts,
            retry_after,
            disabled,
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
        self.lease.with_keys(|opening, _| Ok(opening.slots()))
    }

    /// Adds a slot for these factors: a second passphrase and share, which the recovery slots then
    /// follow, or a biometric slot that opens Standard and Emergency only.
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
    /// once, and only then takes the other's place; the old platform keys are destroyed. The recovery
    /// slots follow the new factors, so that the same written code brings back whoever forgets the
    /// new passphrase or loses the new phone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::LastSlot`] where a biometric slot would replace the
    /// last slot that opens everything, [`ErrorKind::SlotTableFull`] where 32 platform keys already
    /// wait for a host that destroys them, the errors of the passphrase and of the share. The vault
    /// then is as it was.
    pub fn replace(&self, old: SlotId, credentials: &Credentials<'_>) -> Result<SlotId> {
        self.change(credentials, Some(old), false)
    }

    /// Removes a slot and destroys its platform keys, as far as `share` can: the key store that
    /// the slot was enrolled with.
    ///
    /// The recovery slots are joined with the factors that were added or put in another's place
    /// last. The everyday slot with these can only be replaced, not removed, while there is a way
    /// to recover.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::LastSlot`], and [`ErrorKind::SlotTableFull`] where 32
    /// platform keys already wait for a host that destroys them.
    pub fn remove(&self, slot: SlotId, share: Option<&dyn KeyShare>) -> Result<()> {
        let event = Event::SlotsChanged(SlotChange::Removed, Some(slot));
        self.with_header(event, same, |opening, header, keys| {
            let recovers = header.slots.iter().any(|slot| slot.kind.is_recovery());
            let mut everyday = header.slots.iter().filter(|slot| slot.kind.is_everyday());
            if recovers && everyday.next_back().is_some_and(|last| last.id == slot) {
                return Err(ErrorKind::LastSlot.into());
            }
            let mut draft = Draft::of(header);
            draft.take_out(slot)?;
            draft.check(None)?;
            let factors = Factors {
                share,
                ..Factors::default()
            };
            draft.write(opening, header, keys, factors)
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
        self.add_for_emergency(SlotKind::Emergency, Code::Emergency(&code), |_, _| Ok(()))?;
        Ok(code)
    }

    /// Adds a slot that opens Emergency and nothing else to whoever holds the private key of this
    /// X25519 public key (RFC 7748): a relative's device, a hospital. The private key stays there: see
    /// [`Vault::request_emergency`](crate::Vault::request_emergency). Make sure that the key is
    /// theirs, by showing it to both of them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPublicKey`], [`ErrorKind::SlotTableFull`].
    pub fn add_emergency_contact(&self, public_key: &[u8; 32]) -> Result<SlotId> {
        let secret = ContactSecret::make()?;
        let code = Code::Contact(&secret);
        self.add_for_emergency(SlotKind::EmergencyContact, code, |vault, slot| {
            slot.set_contact(vault, public_key, &secret)
        })
    }

    fn add_for_emergency(
        &self,
        kind: SlotKind,
        code: Code<'_>,
        finish: impl FnOnce(VaultId, &mut Slot) -> Result<()>,
    ) -> Result<SlotId> {
        let event = Event::SlotsChanged(SlotChange::EmergencyAdded, None);
        self.with_header(event, made, |opening, header, keys| {
            let key = code.key(header.vault);
            let factors = Factors {
                code: Some(&key),
                ..Factors::default()
            };
            let new = NewSlot {
                kind,
                factors,
                cost: KdfParameters::DEFAULT,
            };
            let mut draft = Draft::of(header);
            draft.check(Some(kind))?;
            let mut slot = new.make(header.vault, keys, false)?;
            finish(header.vault, &mut slot)?;
            let id = slot.id;
            draft.slots.push(slot);
            draft.write(opening, header, keys, factors)?;
            Ok(id)
        })
    }

    /// Makes a new recovery code in the place of the one there is. It counts once it was typed
    /// back. `credentials` are the everyday factors that the new recovery slots are joined with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RandomUnavailable`], [`ErrorKind::NoMatchingSlot`] where the credentials are
    /// not everyday ones, [`ErrorKind::Locked`], and those of
    /// [`Vault::unlock`](crate::Vault::unlock): the credentials are tried, since new recovery slots
    /// with a mistyped passphrase would fail when they are needed.
    pub fn renew_recovery(&self, credentials: &Credentials<'a>) -> Result<RecoveryRenewal<'a>> {
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
        let change = match old {
            Some(_) => SlotChange::Replaced,
            None => SlotChange::Added,
        };
        let event = Event::SlotsChanged(change, old);
        self.with_header(event, made, |opening, header, keys| {
            let mut draft = Draft::of(header);
            if let Some(old) = old {
                draft.take_out(old)?;
            }
            draft.check(Some(kind))?;
            let cost = strongest(header);
            let factors = Factors::of(credentials);
            let new = NewSlot {
                kind,
                factors,
                cost,
            };
            let made = new.make(header.vault, keys, priority_by_biometric)?;
            draft.slots.push(made.clone());
            let followed = if kind.is_everyday() {
                draft.follow(header.vault, factors, cost, keys)
            } else {
                Ok(Vec::new())
            };
            let shared = followed.as_deref().unwrap_or_default().to_vec();
            let written = followed.and_then(|_| draft.write(opening, header, keys, factors));
            if let Err(error) = written {
                for slot in shared.iter().chain([&made]) {
                    slot.destroy_shares(factors);
                }
                return Err(error);
            }
            Ok(made.id)
        })
    }

    /// Lends the header and the keys of all three classes, for one change that the trail records.
    fn with_header<T>(
        &self,
        event: Event,
        outcome: impl FnOnce(&T, Event) -> Event,
        change: impl FnOnce(&Opening, &Header, [&ClassKeys; 3]) -> Result<T>,
    ) -> Result<T> {
        self.lease.recorded(
            event,
            |opening, keys| opening.change(|header| change(opening, header, keys)),
            outcome,
        )
    }
}

/// The slot that was made is the one that the trail names.
pub(super) fn made(slot: &SlotId, event: Event) -> Event {
    match event {
        Event::SlotsChanged(change, _) => Event::SlotsChanged(change, Some(*slot)),
        other => other,
    }
}

fn same<T>(_: &T, event: Event) -> Event {
    event
}

impl fmt::Debug for Slots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots(..)")
    }
}
