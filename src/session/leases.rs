//! How a lease begins and ends inside a session.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::classes::{Reach, open_class};
use super::deposits;
use super::expiry;
use super::live::{Inner, Phase};
use super::timer;
use crate::anchor::Anchored;
use crate::audit::{Entry, Event};
use crate::error::{ErrorKind, Result};
use crate::id::SlotId;
use crate::keys::ClassKeys;

impl Inner {
    /// Closes Priority, where a lease is open and it is this one's turn; what is ahead of the anchor.
    pub(super) fn close_lease(
        &self,
        phase: &mut Phase,
        over: impl FnOnce(Option<u64>) -> bool,
    ) -> Option<Anchored> {
        if let Phase::Open(open) = &*phase
            && !over(open.lease)
        {
            return None;
        }
        if let Phase::Open(open) = &*phase
            && open.lease.is_some()
        {
            self.end_of_lease(open);
        }
        let ahead = self.ahead(phase);
        if let Phase::Open(open) = phase {
            self.watch.forget_lease();
            open.close_priority();
        }
        ahead
    }

    /// Opens Priority for a lease and gives its number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`], [`ErrorKind::Paused`], [`ErrorKind::LeaseActive`],
    /// [`ErrorKind::LeaseExpired`] in the background, [`ErrorKind::RollbackDetected`], and those of
    /// opening the database.
    pub(super) fn begin_lease(&self, keys: ClassKeys, slot: SlotId, by: Reach) -> Result<u64> {
        let mut phase = self.alone();
        self.refuse()?;
        let Phase::Open(open) = &mut *phase else {
            return phase.open().map(|_| 0);
        };
        if open.lease.is_some() && !self.watch.lease_is_over() {
            return Err(ErrorKind::LeaseActive.into());
        }
        if open.lease.is_some() {
            self.end_of_lease(open);
        }
        open.close_priority();
        if self.watch.is_in_background() {
            return Err(ErrorKind::LeaseExpired.into());
        }
        let priority = open_class(&self.opening, keys)?;
        self.opening.freshness.check(&priority)?;
        open.add(priority);
        let settled = super::intent::settle(open);
        let step_up = Entry::done(&self.actor(by), Event::StepUp(Some(slot)));
        let noted = settled.and_then(|()| self.note_or_owe(open, step_up));
        if noted.is_err() {
            open.close_priority();
            noted?;
        }
        // What cannot be taken in now still waits, and is no reason to keep the owner out.
        let mut waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = deposits::take_in(open, &mut waiting);
        expiry::expire_cache(open, &mut waiting, true);
        drop(waiting);
        if let Err(error) = taken
            && error.kind() == ErrorKind::TamperDetected
        {
            self.note_failure(open, by, Event::Tampered, &error);
        }
        let lease = self.leases.fetch_add(1, Ordering::Relaxed);
        open.lease = Some(lease);
        self.watch.begin_lease(&self.opening.policy());
        drop(phase);
        timer::look_again();
        Ok(lease)
    }

    /// Gives a lease that is not over its time again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseExpired`], [`ErrorKind::Locked`], [`ErrorKind::Paused`].
    pub(super) fn renew_lease(&self, lease: u64, slot: SlotId, by: Reach) -> Result<()> {
        // Alone, so that nobody closes it at the same moment.
        let phase = self.alone();
        self.refuse()?;
        let open = phase.open()?;
        if open.lease != Some(lease) || self.watch.lease_is_over() {
            return Err(ErrorKind::LeaseExpired.into());
        }
        let step_up = Entry::done(&self.actor(by), Event::StepUp(Some(slot)));
        self.note_or_owe(open, step_up)?;
        self.watch.begin_lease(&self.opening.policy());
        Ok(())
    }

    /// Closes Priority, if this lease is the one that holds it open.
    pub(super) fn end_lease(&self, lease: u64) {
        let mut phase = self.alone();
        let ahead = self.close_lease(&mut phase, |open| open == Some(lease));
        drop(phase);
        let _ = self.keep(ahead);
    }
}
