//! The one session there may be, and what happens to the app around it: background, a locked device,
//! suspension.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use super::copies::read_copies;
use super::live::{Held, Inner};
use super::opening::{Opening, Place};
use super::throttle::Table;
use super::timer;
use crate::audit::LockReason;
use crate::error::{ErrorKind, Result};
use crate::fs::VaultDir;

/// The one session that may be open, and whether the app is in the background.
#[derive(Default)]
pub(super) struct Active {
    session: Weak<Inner>,
    in_background: bool,
}

impl Opening {
    /// Refuses a second session before anything is spent on opening it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionActive`], [`ErrorKind::Paused`].
    pub(crate) fn check_idle(&self) -> Result<()> {
        self.check_running()?;
        match self.session() {
            Some(session) if !session.is_locked() => Err(ErrorKind::SessionActive.into()),
            _ => Ok(()),
        }
    }

    /// Registers the one session that may be open, once the last one is closed to the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionActive`], [`ErrorKind::Paused`], and those of opening it.
    pub(super) fn activate(&self, open: impl FnOnce() -> Result<Arc<Inner>>) -> Result<Held> {
        let mut active = self.active();
        self.check_running()?;
        if let Some(last) = active.session.upgrade() {
            if !last.is_locked() {
                return Err(ErrorKind::SessionActive.into());
            }
            // Locking has begun, and a call under way may still be writing: wait for it.
            last.lock(LockReason::Requested);
        }
        let session = Held(open()?);
        timer::watch(&session.0)?;
        active.session = Arc::downgrade(&session.0);
        if active.in_background {
            session
                .0
                .watch
                .entered_background(self.policy().background_grace());
        }
        Ok(session)
    }

    /// The session that was opened last, where a handle of it is left.
    pub(super) fn session(&self) -> Option<Arc<Inner>> {
        self.active().session.upgrade()
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The app is no longer seen: the lease ends, and the session after its grace.
    pub(crate) fn entered_background(&self) {
        let mut active = self.active();
        active.in_background = true;
        if let Some(session) = active.session.upgrade() {
            session
                .watch
                .entered_background(self.policy().background_grace());
            session.is_locked();
            timer::look_again();
        }
    }

    /// The app is about to be seen again: a session whose grace is not over goes on.
    pub(crate) fn entering_foreground(&self) {
        let mut active = self.active();
        active.in_background = false;
        if let Some(session) = active.session.upgrade()
            && !session.is_locked()
        {
            session.watch.entering_foreground();
        }
    }

    /// The session ends; the last of the calls under way closes it.
    pub(crate) fn device_locked(&self) {
        if let Some(session) = self.session() {
            session.lock_soon(LockReason::DeviceLocked);
        }
    }

    /// Closes every file, and gives the vault free for other processes.
    pub(crate) fn pause(&self) {
        self.pausing.store(true, Ordering::Release);
        let active = self.active();
        if let Some(session) = active.session.upgrade() {
            session.is_locked();
            session.pause();
        }
        self.freshness.rest();
        self.put_place(None);
    }

    /// Takes the vault again, and opens the files of the session that was paused.
    ///
    /// # Errors
    ///
    /// Those of the place, of the header and of the databases; the vault is then paused as before.
    pub(crate) fn resume(&self) -> Result<()> {
        let active = self.active();
        if self.check_running().is_ok() {
            return Ok(());
        }
        let dir = match &self.memory {
            Some(memory) => VaultDir::in_memory(Some(memory.clone())),
            None => VaultDir::open(&self.path)?,
        };
        let lock = dir.lock()?;
        let (copies, table) = (read_copies(&dir)?, Table::read(&dir)?);
        // From here to the end of the session that the change concerns nothing fails.
        let same = self.copies().read_again(copies)?;
        *self.table() = table;
        self.put_place(Some(Place::new(dir, lock)));
        if let Some(session) = active.session.upgrade() {
            if !same {
                session.lock(LockReason::HeaderChanged);
            } else if !session.is_locked()
                && let Err(error) = session.resume()
            {
                self.put_place(None);
                return Err(error);
            }
        }
        self.pausing.store(false, Ordering::Release);
        Ok(())
    }

    fn put_place(&self, new: Option<Place>) {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        *place = new;
    }
}

impl Inner {
    /// To be asked between the steps of what takes long: locking does not wait for the end of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`].
    pub(super) fn go_on(&self) -> Result<()> {
        self.watch.enforce();
        let pausing = self.opening.pausing.load(Ordering::Acquire);
        match self.watch.ended().is_some() || pausing {
            true => Err(ErrorKind::Locked.into()),
            false => Ok(()),
        }
    }
}
