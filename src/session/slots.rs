//! The key slots: add, replace, remove, each as one new header.

use std::fmt;

use super::lease::Lease;
use super::opening::Opening;
use super::recovery::RecoveryRenewal;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::{SlotId, VaultId};
use crate::keys::{
    ClassKeys, CodeKey, Credentials, EmergencyCode, Factors, Header, KdfParameters, KeyShare,
    Passphrase, RetiredShare, Slot, SlotKind, WrapPurpose,
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

/// A slot to be made.
pub(crate) struct NewSlot<'a> {
    pub(crate) kind: SlotKind,
    pub(crate) factors: Factors<'a>,
    pub(crate) cost: KdfParameters,
}

impl NewSlot<'_> {
    pub(crate) fn make(
        &self,
        vault: VaultId,
        keys: [&ClassKeys; 3],
        priority_by_biometric: bool,
    ) -> Result<Slot> {
        let purposes = Slot::purposes(self.kind, priority_by_biometric);
        let mut slot = Slot::make(vault, self.kind, self.factors, self.cost, &keys, purposes)?;
        if self.kind == SlotKind::RecoveryPassphrase
            && let Some(code) = self.factors.code
        {
            slot.set_escrow(vault, code, priority_of(keys))?;
        }
        Ok(slot)
    }
}

/// Checks that a passphrase is fit for a slot of this kind.
pub(crate) fn check_passphrase(kind: SlotKind, passphrase: Option<&Passphrase>) -> Result<()> {
    let least = match kind {
        SlotKind::Passphrase => 15,
        _ => 6,
    };
    passphrase.map_or(Ok(()), |passphrase| passphrase.check_fitness(least))
}

/// The recovery slots that belong to everyday credentials: with the share and with the passphrase,
/// or the code alone where there is no share (or the app opted in).
pub(crate) fn recovery_slots(
    vault: VaultId,
    keys: [&ClassKeys; 3],
    factors: Factors<'_>,
    code: &CodeKey,
    cost: KdfParameters,
    code_alone: bool,
) -> Result<Vec<Slot>> {
    let factors = factors.with_code(code);
    let kinds: &[SlotKind] = match (factors.share.is_some(), code_alone) {
        (true, false) => &[SlotKind::RecoveryShare, SlotKind::RecoveryPassphrase],
        (true, true) => &[
            SlotKind::RecoveryShare,
            SlotKind::RecoveryPassphrase,
            SlotKind::RecoveryCode,
        ],
        (false, _) => &[SlotKind::RecoveryCode],
    };
    let mut slots: Vec<Slot> = Vec::new();
    for &kind in kinds {
        let factors = Factors {
            passphrase: factors.passphrase.filter(|_| kind.takes_passphrase()),
            share: factors.share.filter(|_| kind.takes_share()),
            code: factors.code,
        };
        match (NewSlot {
            kind,
            factors,
            cost,
        })
        .make(vault, keys, false)
        {
            Ok(slot) => slots.push(slot),
            Err(error) => {
                for slot in &slots {
                    slot.destroy_shares(factors);
                }
                return Err(error);
            }
        }
    }
    Ok(slots)
}

/// The next header under construction.
pub(super) struct Draft {
    pub(super) slots: Vec<Slot>,
    pub(super) retired: Vec<RetiredShare>,
}

impl Draft {
    pub(super) fn of(header: &Header) -> Self {
        Self {
            slots: header.slots.clone(),
            retired: header.retired.clone(),
        }
    }

    /// Takes a slot out and puts its platform keys on the list of those to be destroyed.
    pub(super) fn take_out(&mut self, id: SlotId) -> Result<()> {
        let at = self
            .slots
            .iter()
            .position(|slot| slot.id == id)
            .ok_or(ErrorKind::NotFound)?;
        let slot = self.slots.remove(at);
        if !self.slots.iter().any(|slot| slot.kind.is_everyday()) {
            return Err(ErrorKind::LastSlot.into());
        }
        self.retired.extend(slot.shares());
        Ok(())
    }

    /// Writes the header, then destroys what it retired.
    pub(super) fn write(
        &self,
        opening: &Opening,
        header: &Header,
        keys: [&ClassKeys; 3],
        factors: Factors<'_>,
    ) -> Result<()> {
        let next = header.next(self.slots.clone(), self.retired.clone())?;
        opening.write_header(&next, keys)?;
        opening.destroy_retired(factors, keys);
        Ok(())
    }

    fn check_room(&self, grows: bool) -> Result<()> {
        if self.retired.len() + 2 > Header::MAX_RETIRED
            || (grows && self.slots.len() >= Header::MAX_SLOTS)
        {
            return Err(ErrorKind::SlotTableFull.into());
        }
        Ok(())
    }

    /// Re-wraps the recovery slot that takes code and passphrase, where the passphrase changed.
    fn follow_passphrase(
        &mut self,
        header: &Header,
        old: Option<SlotId>,
        credentials: &Credentials<'_>,
        cost: KdfParameters,
        keys: [&ClassKeys; 3],
    ) -> Result<()> {
        let replaced = header.slots.iter().find(|slot| Some(slot.id) == old);
        let everyday = replaced.is_some_and(|slot| slot.kind.is_everyday());
        let Some(passphrase) = credentials.words().filter(|_| everyday) else {
            return Ok(());
        };
        for slot in &mut self.slots {
            if slot.kind == SlotKind::RecoveryPassphrase {
                let code = slot.escrowed(header.vault, priority_of(keys))?;
                let factors = Factors {
                    passphrase: Some(passphrase),
                    share: None,
                    code: Some(&code),
                };
                let new = NewSlot {
                    kind: slot.kind,
                    factors,
                    cost,
                };
                *slot = new.make(header.vault, keys, false)?;
            }
        }
        Ok(())
    }

    /// Destroys the platform keys of a new slot whose header could not be written.
    fn destroy_new(&self, id: SlotId, factors: Factors<'_>) {
        if let Some(slot) = self.slots.iter().find(|slot| slot.id == id) {
            slot.destroy_shares(factors);
        }
    }
}

/// The cost that the vault's slots already have; a new one is no weaker.
pub(super) fn strongest(header: &Header) -> KdfParameters {
    let costs = header
        .slots
        .iter()
        .flat_map(|slot| &slot.wraps)
        .filter_map(|wrap| wrap.kdf);
    let work = |cost: &KdfParameters| u64::from(cost.memory_kib()) * u64::from(cost.passes());
    costs
        .map(|(cost, _)| cost)
        .max_by_key(work)
        .unwrap_or(KdfParameters::DEFAULT)
}

fn priority_of(keys: [&ClassKeys; 3]) -> &ClassKeys {
    let mut keys = keys.into_iter();
    keys.find(|keys| keys.class() == Class::Priority)
        .expect("all three classes' keys are given")
}
