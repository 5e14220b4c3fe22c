//! What a session writes into the audit trails (spec 09, "What is recorded, and when"; ).

use std::sync::{MutexGuard, PoisonError};

use super::classes::{OpenClasses, Reach};
use super::live::Inner;
use super::open_class::OpenClass;
use super::reads::Reads;
use super::room::Quotas;
use super::transaction::finish_earlier;
use crate::actor::Actor;
use crate::audit::{Entry, Event, LockReason};
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::RoomFor;
use crate::id::RecordId;
use crate::secret::SecretText;

impl Inner {
    /// Who calls through a handle.
    pub(super) fn actor(&self, reach: Reach) -> Actor {
        self.numbered_actor(reach.by)
    }

    fn numbered_actor(&self, by: usize) -> Actor {
        let actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        actors.get(by).cloned().unwrap_or_else(Actor::unnamed)
    }

    /// The number of an actor, for handles.
    pub(super) fn number_actor(&self, actor: &Actor) -> usize {
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        let known = actors.iter().position(|known| known == actor);
        known.unwrap_or_else(|| {
            actors.push(actor.clone());
            actors.len() - 1
        })
    }

    /// Runs a call that changes something. Where it fails, the trail says that it was tried; that it
    /// succeeded is part of the change.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with).
    pub(super) fn changing<T>(
        &self,
        reach: Reach,
        call: impl FnOnce(&OpenClasses) -> Result<T>,
    ) -> Result<T> {
        self.with(reach, |open| {
            let result = call(open);
            if let Err(error) = &result
                && is_refusal(error)
            {
                let nothing = Event::Changed {
                    kinds: Vec::new(),
                    records: Vec::new(),
                };
                self.note_failure(open, reach, nothing, error);
            }
            result
        })
    }

    /// Writes entries into the trail of a class, durably, in a transaction of their own.
    ///
    /// # Errors
    ///
    /// Those of the databases; nothing was written then.
    pub(super) fn note(
        &self,
        open: &OpenClasses,
        class: &OpenClass,
        entries: &[Entry],
    ) -> Result<()> {
        let waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        note(open, class, entries, None, waiting)
    }

    /// Writes the first entry of a session, after those of what happened while the vault was locked.
    ///
    /// # Errors
    ///
    /// As for [`note_or_owe`](Self::note_or_owe).
    pub(super) fn note_beginning(&self, open: &OpenClasses, entry: Entry) -> Result<()> {
        let home = open.home()?;
        if home.class() != Class::Standard {
            return self.note_or_owe(open, entry);
        }
        let mut outside = self.opening.outside(home);
        outside.entries.push(entry);
        let waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        match note(open, home, &outside.entries, outside.last, waiting) {
            Ok(()) => self.opening.forget_outside(),
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                // The others wait in their file.
                self.owed().extend(outside.entries.pop());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes what has to go on although the disk is full: the entry is owed then.
    ///
    /// # Errors
    ///
    /// As for [`note`](Self::note), but for [`ErrorKind::StorageFull`].
    pub(super) fn note_or_owe(&self, open: &OpenClasses, entry: Entry) -> Result<()> {
        match self.note(open, open.home()?, std::slice::from_ref(&entry)) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                self.owed().push(entry);
                Ok(())
            }
            other => other,
        }
    }

    /// Says in the trail that something failed. What failed has failed, whether it can be said or not.
    pub(super) fn note_failure(
        &self,
        open: &OpenClasses,
        reach: Reach,
        event: Event,
        error: &Error,
    ) {
        let entry = Entry::failed(&self.actor(reach), event, error.kind().words());
        let _ = open.home().and_then(|home| self.note(open, home, &[entry]));
    }

    /// To be asked before records of this kind are released, or counted: the trail says then that the
    /// caller has access. Whether that had to be written first.
    ///
    /// # Errors
    ///
    /// Those of the databases: what cannot be recorded is not released.
    pub(super) fn admit(
        &self,
        open: &OpenClasses,
        reach: Reach,
        class: &OpenClass,
        kind: &SecretText,
    ) -> Result<bool> {
        let reads = self.reads();
        if reads.owing {
            drop(reads);
            self.write_reads(open)?;
        } else if reads.has_access(class.class(), reach.by, kind) {
            return Ok(false);
        } else {
            drop(reads);
        }
        if self.reads().has_access(class.class(), reach.by, kind) {
            return Ok(false);
        }
        let kind = kind.clone();
        let access = Entry::done(&self.actor(reach), Event::Access { kind: kind.clone() });
        self.note(open, class, &[access])?;
        self.reads().open(class.class(), reach.by, &kind);
        Ok(true)
    }

    /// Counts a record that is released.
    pub(super) fn tally(&self, reach: Reach, class: Class, kind: &SecretText, id: RecordId) {
        self.reads().record(class, reach.by, kind, id);
    }

    /// Counts a query.
    pub(super) fn tally_query(&self, reach: Reach, class: Class, kind: &SecretText) {
        self.reads().query(class, reach.by, kind);
    }

    /// Writes what was read, and what is owed.
    ///
    /// # Errors
    ///
    /// Those of the databases. What could not be written is kept, and nothing more is read before it
    /// is.
    pub(super) fn write_reads(&self, open: &OpenClasses) -> Result<()> {
        open.classes.iter().try_for_each(|class| {
            let waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
            self.write_reads_of(open, class, waiting)
        })
    }

    fn write_reads_of(
        &self,
        open: &OpenClasses,
        class: &OpenClass,
        waiting: MutexGuard<'_, bool>,
    ) -> Result<()> {
        let is_home = open.home()?.class() == class.class();
        let mut entries = match is_home {
            true => std::mem::take(&mut *self.owed()),
            false => Vec::new(),
        };
        let owed = entries.len();
        let counted = self.reads().take(class.class());
        for (by, kind, tally) in &counted {
            entries.push(Entry::done(&self.numbered_actor(*by), tally.event(kind)));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let written = note(open, class, &entries, None, waiting);
        if written.is_err() {
            self.reads().put_back(class.class(), counted);
            entries.truncate(owed);
            self.owed().splice(..0, entries);
        } else {
            self.reads().owing = false;
        }
        written
    }

    /// The same where nobody is in the way, and whatever comes of it: for the timer.
    pub(super) fn write_reads_soon(&self, open: &OpenClasses) {
        if !self.reads().is_pending() && self.owed().is_empty() {
            return;
        }
        for class in &open.classes {
            let Ok(waiting) = self.commit.try_lock() else {
                return;
            };
            let _ = self.write_reads_of(open, class, waiting);
        }
    }

    /// The last words before everything that is open is closed.
    pub(super) fn farewell(&self, open: &OpenClasses, reason: LockReason) {
        let _ = self.write_reads(open);
        if open.lease.is_some() {
            self.end_of_lease(open);
        }
        let entry = Entry::done(&self.numbered_actor(0), Event::Locked(reason));
        let _ = open.home().and_then(|home| self.note(open, home, &[entry]));
    }

    /// The names and kinds that a session remembers go with it.
    pub(super) fn forget(&self) {
        self.reads().forget_all();
        self.owed().clear();
        *self.quotas() = Quotas::default();
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        actors.clear();
    }

    /// The last words before Priority is closed.
    pub(super) fn end_of_lease(&self, open: &OpenClasses) {
        let _ = self.write_reads(open);
        self.reads().forget(Class::Priority);
        let entry = Entry::done(&self.numbered_actor(0), Event::LeaseEnded);
        let _ = open.home().and_then(|home| self.note(open, home, &[entry]));
    }

    pub(super) fn reads(&self) -> MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owed(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(
    open: &OpenClasses,
    class: &OpenClass,
    entries: &[Entry],
    outside: Option<[u8; 16]>,
    mut waiting: MutexGuard<'_, bool>,
) -> Result<()> {
    open.with_reserve(RoomFor::Entries, || {
        finish_earlier(open, &mut waiting)?;
        // Until the end is seen, a panic included, there may be something to undo.
        *waiting = true;
        let written = class.write(|writing| {
            if let Some(event) = outside {
                class.take_event(event);
            }
            let mut entries = entries.iter();
            entries.try_for_each(|entry| class.append(writing, entry))
        });
        *waiting = written.is_err() && class.store.is_in_doubt();
        written
    })
}

/// Whether an error says that what was asked for is not allowed or not right, and not that the vault
/// could not do it just then.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::LeaseRequired
    )
}
