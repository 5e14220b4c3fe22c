//! Stepping up: fresh factors, for Priority.

use std::sync::Arc;

use super::classes::{OpenClasses, Reach};
use super::handle::Session;
use super::lease::Lease;
use super::opening::Unlocked;
use crate::audit::Event;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::keys::{Credentials, Factors, WrapPurpose};

impl Session {
    /// Opens Priority with a fresh release of the share on the slot's second challenge. It is open
    /// until the lease is dropped, its limit is reached, the app goes to the background, the vault
    /// is paused or the session ends; through the session itself it stays out of reach.
    ///
    /// # Errors
    ///
    /// Those of [`Vault::unlock`](crate::Vault::unlock), [`ErrorKind::LeaseActive`] while another
    /// lease is open, [`ErrorKind::LeaseExpired`] while the app is in the background, and
    /// [`ErrorKind::NoMatchingSlot`] for a biometric slot that was not given Priority.
    pub fn step_up(&self, credentials: &Credentials<'_>) -> Result<Lease> {
        let (unlocked, factors) = self.prove(credentials)?;
        self.lease(unlocked, factors)
    }

    /// Fresh factors, for Priority. That they are asked for is activity, and that nobody answers is
    /// none.
    pub(super) fn prove<'a>(
        &self,
        credentials: &Credentials<'a>,
    ) -> Result<(Unlocked, Factors<'a>)> {
        self.touch()?;
        let kind = credentials.slot_kind().filter(|kind| !kind.is_recovery());
        let kind = kind.ok_or(ErrorKind::NoMatchingSlot)?;
        let factors = Factors::of(credentials);
        let opening = &self.inner().opening;
        let unlocked = opening.unlock(kind, WrapPurpose::Priority, factors, None);
        if let Err(error) = &unlocked {
            let failed = |open: &OpenClasses| {
                let event = Event::StepUp(None);
                self.inner().note_failure(open, self.reach, event, error);
                Ok(())
            };
            self.inner().with(self.reach, failed)?;
        }
        Ok((unlocked?, factors))
    }

    /// Opens Priority with keys that a slot gave.
    pub(crate) fn lease(&self, unlocked: Unlocked, factors: Factors<'_>) -> Result<Lease> {
        let mut keys = unlocked.keys.into_iter();
        let priority = keys.find(|keys| keys.class() == Class::Priority);
        let number = self.inner().begin_lease(
            priority.ok_or(ErrorKind::NoMatchingSlot)?,
            unlocked.slot,
            self.reach,
        )?;
        let session = Self {
            held: Arc::clone(&self.held),
            reach: Reach {
                lease: Some(number),
                ..self.reach
            },
            slot: unlocked.slot,
        };
        let lease = Lease::over(session, number);
        lease.with_keys(|opening, keys| {
            opening.change(|_| {
                opening.destroy_retired(factors, keys);
                Ok(())
            })
        })?;
        Ok(lease)
    }
}
