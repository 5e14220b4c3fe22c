//! The next header under construction, and the slots that go into it.

use super::opening::Opening;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::{SlotId, VaultId};
use crate::keys::{
    ClassKeys, CodeKey, Factors, Header, KdfParameters, Passphrase, RetiredShare, Slot, SlotKind,
    WrapPurpose,
};

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
        self.retired.extend(self.slots.remove(at).shares());
        Ok(())
    }

    /// Whether the header may be written so, or with one more slot of this kind: to be asked
    /// before the host is asked for a key.
    pub(super) fn check(&self, more: Option<SlotKind>) -> Result<()> {
        let mut kinds = self.slots.iter().map(|slot| slot.kind).chain(more);
        if !kinds.any(SlotKind::is_everyday) {
            return Err(ErrorKind::LastSlot.into());
        }
        if self.retired.len() > Header::MAX_RETIRED
            || self.slots.len() + usize::from(more.is_some()) > Header::MAX_SLOTS
        {
            return Err(ErrorKind::SlotTableFull.into());
        }
        Ok(())
    }

    /// Forgets the platform keys that have waited longest to be destroyed, as many as are too
    /// many: a recovery is worth more than tidying up in a key store that may be lost.
    pub(super) fn forget_oldest_retired(&mut self) {
        let surplus = self.retired.len().saturating_sub(Header::MAX_RETIRED);
        self.retired.drain(..surplus);
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

    /// Joins the recovery slots with the factors of a new everyday slot, so that the written code
    /// brings back whoever has lost one of the factors in use: always the passphrase, and the share
    /// where the host does not release the one that the slot was made with. Gives the slots that
    /// got a fresh share.
    pub(super) fn follow(
        &mut self,
        vault: VaultId,
        factors: Factors<'_>,
        cost: KdfParameters,
        keys: [&ClassKeys; 3],
    ) -> Result<Vec<Slot>> {
        let mut kept = self.slots.iter().filter(|slot| slot.escrow.is_some());
        let Some(kept) = kept.next() else {
            return Ok(Vec::new());
        };
        let code = kept.escrowed(vault, priority_of(keys))?;
        let mut shared: Vec<Slot> = Vec::new();
        for slot in &mut self.slots {
            let kind = slot.kind;
            let factors = Factors {
                passphrase: factors.passphrase.filter(|_| kind.takes_passphrase()),
                share: factors.share.filter(|_| kind.takes_share()),
                code: Some(&code),
            };
            let new = NewSlot {
                kind,
                factors,
                cost,
            };
            match kind {
                SlotKind::RecoveryPassphrase if factors.passphrase.is_some() => {
                    *slot = new.make(vault, keys, false)?;
                }
                SlotKind::RecoveryShare
                    if factors.share.is_some()
                        && slot
                            .open(vault, WrapPurpose::Standard, factors, || Ok(()))
                            .is_err() =>
                {
                    self.retired.extend(slot.shares());
                    *slot = new.make(vault, keys, false)?;
                    shared.push(slot.clone());
                }
                _ => {}
            }
        }
        Ok(shared)
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
