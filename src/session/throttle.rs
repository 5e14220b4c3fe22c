//! Failed attempts: counted before the passphrase is stretched, and answered with a wait.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::opening::Opening;
use crate::anchor::Tries;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{FileName, VaultDir};
use crate::id::{SlotId, VaultId};
use crate::keys::{Attempts, Failed, Header, Slot, Slots};

/// The table of failed attempts.
pub(crate) struct Table {
    attempts: Attempts,
    /// The file is there and whole, so that it can be written over.
    whole: bool,
    /// What was written last is on the medium. While it is not, the other record may not be written:
    /// a loss of power could then tear both.
    flushed: bool,
    /// Of which vault what is kept outside the directory was asked for.
    reached: Option<VaultId>,
}

/// What a call has counted, with what was there before.
#[derive(Default)]
pub(super) struct Counted(Vec<(SlotId, Failed)>);

impl Counted {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Table {
    /// Writes the table of a vault that is being made.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(crate) fn make(dir: &VaultDir) -> Result<()> {
        dir.replace(FileName::Attempts, &Attempts::none().to_file())
    }

    /// The table of a vault that was just made.
    pub(super) fn made() -> Self {
        Self {
            attempts: Attempts::none(),
            whole: true,
            flushed: true,
            reached: None,
        }
    }

    /// Reads the table. One that is gone or damaged is no way to more attempts: see
    /// [`Attempts::unknown`].
    ///
    /// # Errors
    ///
    /// Those of an unsafe file.
    pub(super) fn read(dir: &VaultDir) -> Result<Self> {
        let attempts = match dir.read(FileName::Attempts, Attempts::FILE) {
            Ok(file) => file.as_deref().and_then(Attempts::read),
            Err(error) if error.kind() == ErrorKind::HeaderDamaged => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            whole: attempts.as_ref().is_some_and(|table| !table.is_spent()),
            flushed: false,
            reached: None,
            attempts: attempts.unwrap_or_else(Attempts::unknown),
        })
    }

    /// Writes what `change` makes of the table. Where that fails, the table is what it was.
    fn write(
        &mut self,
        dir: &VaultDir,
        slots: Slots<'_>,
        durable: bool,
        change: impl FnOnce(&mut Attempts),
    ) -> Result<()> {
        let mut next = self.attempts.clone();
        change(&mut next);
        let (at, record) = next.next(slots);
        if self.whole {
            if !self.flushed {
                dir.flush(FileName::Attempts)?;
            }
            self.flushed = false;
            dir.write_over(FileName::Attempts, at, &record, durable)?;
            self.flushed = durable;
        } else {
            dir.replace(FileName::Attempts, &next.to_file())?;
            dir.make_durable()?;
            (self.whole, self.flushed) = (true, true);
        }
        self.attempts = next;
        Ok(())
    }
}

impl Opening {
    /// Refuses a slot that has to wait, before anybody is asked for a factor.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Throttled`], [`ErrorKind::SlotDisabled`], [`ErrorKind::AnchorUnavailable`],
    /// [`ErrorKind::UnsupportedFormat`] for an anchor that a later version wrote.
    pub(super) fn admit(&self, header: &Header, slot: &Slot) -> Result<()> {
        if slot.kind.is_guessable() {
            self.reach_anchor(header.vault)?;
        }
        let (table, now) = self.table_now();
        judge(&table, now, header, slot)
    }

    /// Counts an attempt as failed, durably, before it is made. Attempts that come at once are
    /// counted one after the other, each as if those before it had failed.
    ///
    /// # Errors
    ///
    /// Those of [`admit`](Self::admit), of the file and of the anchor: what cannot be counted is not
    /// tried.
    pub(super) fn count(&self, header: &Header, slot: &Slot, counted: &mut Counted) -> Result<()> {
        if !slot.kind.is_guessable() {
            return Ok(());
        }
        let slots = self.slots_of_all_copies();
        let slots = Slots::Named(&slots);
        let (mut table, at) = self.table_now();
        judge(&table, at, header, slot)?;
        let before = table.attempts.of(slot.id);
        let count = before.count.saturating_add(1);
        let now = Failed {
            count,
            at,
            ..before
        };
        self.with_dir(|dir| table.write(dir, slots, true, |next| next.set(slot.id, now)))?;
        let tries = table.attempts.tries();
        if let Err(error) = self.freshness.mirror(self, header.vault, tries) {
            // It is not tried, and so has not failed.
            let _ = self
                .with_dir(|dir| table.write(dir, slots, false, |next| next.set(slot.id, before)));
            return Err(error);
        }
        counted.0.push((slot.id, before));
        Ok(())
    }

    /// How often each slot had failed before a call that has counted its own attempts.
    pub(super) fn failures(&self, counted: &Counted) -> Vec<(SlotId, u32)> {
        let slots = self.slots_of_all_copies();
        let table = self.table();
        let count = |slot: &SlotId| {
            let before = counted.0.iter().find(|(counted, _)| counted == slot);
            before.map_or_else(|| table.attempts.of(*slot), |(_, before)| *before)
        };
        let counts = slots.iter().map(|slot| (*slot, count(slot).count));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Takes back what a call has counted last: there was no memory to try it.
    pub(super) fn take_back(&self, vault: VaultId, counted: &mut Counted) {
        let last = Counted(counted.0.pop().into_iter().collect());
        self.forgive(vault, &last, None);
    }

    /// Takes back what a call has counted, once it has succeeded: the slot that opened has no failed
    /// attempt any more, and others that were tried on the way have as many as before. Where it
    /// cannot be written, or is lost with the power, they have one more.
    pub(super) fn forgive(&self, vault: VaultId, counted: &Counted, opened: Option<SlotId>) {
        if counted.0.is_empty() {
            return;
        }
        let slots = self.slots_of_all_copies();
        let slots = match opened {
            Some(_) => Slots::Vouched(&slots),
            None => Slots::Named(&slots),
        };
        let mut table = self.table();
        let forgiven = |next: &mut Attempts| {
            for (slot, before) in &counted.0 {
                let now = next.of(*slot);
                let back = if Some(*slot) == opened {
                    Failed {
                        count: 0,
                        guessed: false,
                        ..now
                    }
                } else if now.count == before.count.saturating_add(1) {
                    *before
                } else {
                    // Others failed meanwhile.
                    Failed {
                        count: now.count.saturating_sub(1),
                        ..now
                    }
                };
                next.set(*slot, back);
            }
        };
        let _ = self.with_dir(|dir| table.write(dir, slots, false, forgiven));
        let tries = table.attempts.tries();
        let _ = self.freshness.mirror(self, vault, tries);
    }

    /// How often a slot failed, how long its next attempt has to wait, and whether it is disabled.
    pub(crate) fn attempts_of(&self, header: &Header, slot: &Slot) -> (u32, Duration, bool) {
        if !slot.kind.is_guessable() {
            return (0, Duration::ZERO, false);
        }
        let (table, now) = self.table_now();
        let failed = table.attempts.of(slot.id);
        let disabled = is_disabled(header, slot, failed);
        (failed.count, failed.wait(now), disabled)
    }

    /// The table as it stands now. What was counted before the system was started again is found
    /// here, and written down: later the clock would not tell.
    fn table_now(&self) -> (MutexGuard<'_, Table>, i64) {
        let slots = self.slots_of_all_copies();
        let now = self.clock().now().steady;
        let mut table = self.table();
        if table.attempts.is_from_before(now) {
            let change = |next: &mut Attempts| next.begin_anew(now);
            if self
                .with_dir(|dir| table.write(dir, Slots::Named(&slots), false, change))
                .is_err()
            {
                table.attempts.begin_anew(now);
            }
        }
        (table, now)
    }

    /// Asks the anchor once how often the slots of a vault were tried in vain: of the one that a copy
    /// of the header names, since another copy may be forged.
    fn reach_anchor(&self, vault: VaultId) -> Result<()> {
        let mut table = self.table();
        if table.reached == Some(vault) {
            return Ok(());
        }
        if let Some(state) = self.freshness.kept_outside(self, vault)? {
            table.attempts.reach(&state.tries);
        }
        table.reached = Some(vault);
        Ok(())
    }

    /// There may be more to know outside the directory.
    pub(super) fn look_outside_again(&self) {
        self.table().reached = None;
    }

    /// What of the table is kept outside the directory.
    pub(super) fn with_tries<T>(&self, work: impl FnOnce(Tries) -> T) -> T {
        let table = self.table();
        work(table.attempts.tries())
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an everyday slot has failed so often, counted from the beginning, that the vault ends.
    pub(super) fn is_due_for_wiping(&self) -> bool {
        let header = &self.newest().header;
        let table = self.table();
        let mut everyday = header.slots.iter().filter(|slot| slot.kind.is_everyday());
        header.wipes
            && everyday.any(|slot| {
                let failed = table.attempts.of(slot.id);
                failed.count >= Attempts::MOST && !failed.guessed
            })
    }

    fn slots_of_all_copies(&self) -> Vec<SlotId> {
        let copies = self.copies();
        let slots = copies.candidates.iter().flat_map(|copy| &copy.header.slots);
        let mut slots: Vec<_> = slots.map(|slot| slot.id).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }
}

/// Whether a slot may be tried now.
fn judge(table: &Table, now: i64, header: &Header, slot: &Slot) -> Result<()> {
    if !slot.kind.is_guessable() {
        return Ok(());
    }
    let failed = table.attempts.of(slot.id);
    if is_disabled(header, slot, failed) {
        return Err(ErrorKind::SlotDisabled.into());
    }
    match failed.wait(now) {
        Duration::ZERO => Ok(()),
        wait => Err(Error::throttled(wait)),
    }
}

/// An everyday slot is disabled where the owner has another way in. Without one the longest wait is
/// all there is: nobody is locked out for good by a child at play.
fn is_disabled(header: &Header, slot: &Slot, failed: Failed) -> bool {
    let recoverable = header.slots.iter().any(|slot| slot.kind.is_recovery());
    let ends = recoverable || header.wipes;
    // What is only guessed makes nothing but waits: one mistake after a table was lost ends no slot.
    let counted = failed.count >= Attempts::MOST && !failed.guessed;
    counted && slot.kind.is_everyday() && ends
}
