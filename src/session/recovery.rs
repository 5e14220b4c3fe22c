//! A new recovery code, which counts once the owner has typed it back.

use std::fmt;

use super::draft::{Draft, NewSlot, recovery_slots, strongest};
use super::lease::Lease;
use super::opening::Opening;
use super::slots::made;
use crate::audit::{Event, SlotChange};
use crate::error::{ErrorKind, Result};
use crate::id::SlotId;
use crate::keys::{
    ClassKeys, Credentials, Factors, Header, RecoveryCode, Slot, SlotKind, WrapPurpose,
};

/// A recovery code that was made and not yet confirmed: the old one still holds.
#[must_use = "the old code holds until `confirm`"]
pub struct RecoveryRenewal<'a> {
    lease: &'a Lease,
    credentials: Credentials<'a>,
    code: RecoveryCode,
}

impl<'a> RecoveryRenewal<'a> {
    pub(super) fn begin(lease: &'a Lease, credentials: Credentials<'a>) -> Result<Self> {
        let kind = credentials.slot_kind().filter(|kind| kind.is_everyday());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        let factors = Factors::of(&credentials);
        lease.with_keys(|opening, _| {
            opening.unlock(kind, WrapPurpose::Standard, factors, None)?;
            Ok(())
        })?;
        Ok(Self {
            lease,
            credentials,
            code: RecoveryCode::make()?,
        })
    }

    /// The code to be shown and written down.
    pub fn code(&self) -> &RecoveryCode {
        &self.code
    }

    /// Puts the new code in the place of the old one, in one header.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RecoveryCodeMistyped`], [`ErrorKind::RecoveryNotConfirmed`], and those of the
    /// share and the files. The old code then still holds.
    pub fn confirm(&self, typed: &[u8]) -> Result<()> {
        if !RecoveryCode::parse(typed)?.matches(&self.code) {
            return Err(ErrorKind::RecoveryNotConfirmed.into());
        }
        let event = Event::SlotsChanged(SlotChange::RecoveryRenewed, None);
        let old = |slot: &Slot| slot.kind.is_recovery();
        let change = |opening: &Opening, keys: [&ClassKeys; 3]| {
            opening.change(|header| {
                renew(
                    opening,
                    header,
                    keys,
                    &self.credentials,
                    &self.code,
                    old,
                    None,
                )
                .map(|_| ())
            })
        };
        self.lease.recorded(event, change, |(), event| event)
    }
}

/// After a recovery: new everyday factors and a new code, and none of the old slots but those for
/// emergencies.
///
/// # Errors
///
/// Those of the share and the files; the header is then the old one.
pub(crate) fn renew_everything(
    lease: &Lease,
    new: &Credentials<'_>,
    code: &RecoveryCode,
) -> Result<SlotId> {
    let kind = new.slot_kind().ok_or(ErrorKind::NoMatchingSlot)?;
    let old = |slot: &Slot| !slot.kind.is_emergency();
    let event = Event::SlotsChanged(SlotChange::Recovered, None);
    let change = |opening: &Opening, keys: [&ClassKeys; 3]| {
        let renew = |header: &Header| renew(opening, header, keys, new, code, old, Some(kind));
        let slot = opening.change(renew)?;
        slot.ok_or_else(|| ErrorKind::NoMatchingSlot.into())
    };
    lease.recorded(event, change, made)
}

/// Writes a header with new recovery slots, and a new everyday slot where one is wanted, in the
/// place of the slots that `old` picks.
fn renew(
    opening: &Opening,
    header: &Header,
    keys: [&ClassKeys; 3],
    credentials: &Credentials<'_>,
    code: &RecoveryCode,
    old: impl Fn(&Slot) -> bool,
    everyday: Option<SlotKind>,
) -> Result<Option<SlotId>> {
    let factors = Factors::of(credentials);
    let cost = strongest(header);
    // A slot for the code alone beside one for code and share was asked for. By itself it only
    // says that the vault had no share so far, and it does not outlive that.
    let has = |kind| header.slots_of(kind).next().is_some();
    let alone = has(SlotKind::RecoveryCode) && has(SlotKind::RecoveryShare);
    if everyday.is_none() && has(SlotKind::RecoveryShare) && factors.share.is_none() {
        // The new code would open the vault by itself, which nobody asked for.
        return Err(ErrorKind::NoMatchingSlot.into());
    }
    let mut new = Vec::new();
    let made = (|| {
        if let Some(kind) = everyday {
            new.push(
                NewSlot {
                    kind,
                    factors,
                    cost,
                }
                .make(header.vault, keys, false)?,
            );
        }
        let code = code.key(header.vault);
        new.extend(recovery_slots(
            header.vault,
            keys,
            factors,
            &code,
            cost,
            alone,
        )?);
        let mut draft = Draft::of(header);
        draft.slots.extend(new.iter().cloned());
        for slot in header.slots.iter().filter(|slot| old(slot)) {
            draft.take_out(slot.id)?;
        }
        if everyday.is_some() {
            draft.forget_oldest_retired();
        }
        draft.check(None)?;
        draft.write(opening, header, keys, factors)
    })();
    if let Err(error) = made {
        new.iter().for_each(|slot| slot.destroy_shares(factors));
        return Err(error);
    }
    Ok(new
        .first()
        .filter(|_| everyday.is_some())
        .map(|slot| slot.id))
}

impl fmt::Debug for RecoveryRenewal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryRenewal(..)")
    }
}
