//! Step-up: Priority, for as long as the lease is held.

use std::fmt;
use std::ops::Deref;

use super::audit_trail;
use super::deposits;
use super::handle::Session;
use super::opening::Opening;
use super::set_aside::{self, Deposit};
use super::slots::Slots;
use crate::audit::{AuditQuery, Entry, Event, Stage};
use crate::error::Result;
use crate::id::RecordId;
use crate::keys::{ClassKeys, Credentials, SessionPolicy};
use crate::records::Record;

/// Priority, opened by fresh factors. Every method of [`Session`] reaches Priority as well when it
/// is called on the lease.
///
/// A lease ends when it is dropped, when it has been open or has read records of Priority for as
/// much as the [`SessionPolicy`] allows, when the app goes to the background, when the vault is
/// paused and when the session ends: Priority is closed and its key wiped. The session goes on, but
/// every call on a lease that is over, and on clones and iterators made through it, fails with
/// [`ErrorKind::LeaseExpired`](crate::ErrorKind::LeaseExpired), so that a record which is out of
/// reach is never taken for one that does not exist.
#[must_use = "a lease that is dropped closes Priority"]
pub struct Lease {
    session: Session,
    number: u64,
}

impl Lease {
    pub(super) fn over(session: Session, number: u64) -> Self {
        Self { session, number }
    }

    /// The vault's key slots, which only a lease may change.
    pub fn slots(&self) -> Slots<'_> {
        Slots::of(self)
    }

    /// Gives the lease its whole time and all its reads again, for fresh factors: they are released
    /// and stretched as for [`Session::step_up`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseExpired`](crate::ErrorKind::LeaseExpired) where it is over, and those of
    /// [`Session::step_up`]. The lease then stays as it is.
    pub fn renew(&self, credentials: &Credentials<'_>) -> Result<()> {
        let (unlocked, _) = self.session.prove(credentials)?;
        let (slot, reach) = (unlocked.slot, self.session.reach());
        self.session.inner().renew_lease(self.number, slot, reach)
    }

    /// What was deposited for Priority and is not among its records: what came while this lease was
    /// open, and what was set aside because it could not be taken in.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`].
    pub fn deposits(&self) -> Result<Vec<Deposit>> {
        set_aside::list(self.session.inner(), self.session.reach())
    }

    /// Takes in what was deposited since the lease began; how many records. Stepping up does the
    /// same, and goes on where it fails.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`]; what was not taken in still waits.
    pub fn take_in_deposits(&self) -> Result<u64> {
        deposits::take_in_now(self.session.inner(), self.session.reach())
    }

    /// Reads what was deposited under an identity and is not yet among the records: a new record,
    /// which may be put. `None` where there is none or it does not open.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`].
    pub fn deposited(&self, id: RecordId) -> Result<Option<Record>> {
        set_aside::read(self.session.inner(), self.session.reach(), id)
    }

    /// Removes a deposit that was set aside; whether there was one.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`].
    pub fn discard_deposit(&self, id: RecordId) -> Result<bool> {
        set_aside::discard(self.session.inner(), self.session.reach(), id)
    }

    /// Writes the entries of the audit trails that are wanted to `out`, as FHIR R4 `AuditEvent`
    /// resources, a line each (NDJSON); how many. Until it returns, what was written is a part only.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`], and [`ErrorKind::Io`](crate::ErrorKind::Io) where `out` fails.
    ///
    /// # Security
    ///
    /// What is written is in clear: identities, kinds, and the app's words about who acted.
    pub fn export_audit_trail(
        &self,
        query: &AuditQuery,
        out: &mut dyn std::io::Write,
    ) -> Result<u64> {
        audit_trail::export(self.session.inner(), self.session.reach(), query, out)
    }

    /// Changes when sessions and leases end by themselves. The session that is open follows from
    /// its beginning on; this lease keeps its own time.
    ///
    /// # Errors
    ///
    /// Those of the file system; the policy is then the old one.
    pub fn set_session_policy(&self, policy: SessionPolicy) -> Result<()> {
        self.recorded(
            Event::PolicyChanged(policy.limits()),
            |opening, keys| {
                opening.change(|header| opening.write_header(&header.with_policy(policy), keys))
            },
            |(), event| event,
        )?;
        self.session.inner().watch.follow(&policy);
        Ok(())
    }

    /// Accepts the vault as it is, and anchors it.
    ///
    /// # Errors
    ///
    /// Those of [`Session::anchor`].
    pub(crate) fn accept(&self) -> Result<()> {
        let (inner, reach) = (self.session.inner(), self.session.reach());
        if inner.opening.freshness.needs_acceptance() {
            inner.with(reach, |open| {
                inner.note_or_owe(open, Entry::done(&inner.actor(reach), Event::Restored))
            })?;
        }
        inner.accept(reach)
    }

    /// Makes a change that is no part of a transaction, and lends it the keys of all three classes:
    /// the trail says before that it is about to be made, and after what became of it.
    ///
    /// # Errors
    ///
    /// Those of the session, of the trail and of the change.
    pub(super) fn recorded<T>(
        &self,
        event: Event,
        change: impl FnOnce(&Opening, [&ClassKeys; 3]) -> Result<T>,
        outcome: impl FnOnce(&T, Event) -> Event,
    ) -> Result<T> {
        let (inner, reach) = (self.session.inner(), self.session.reach());
        inner.with(reach, |open| {
            let keys = open.all_keys(reach)?;
            let by = inner.actor(reach);
            let begun = Entry::at_stage(&by, event.clone(), Stage::Begun);
            inner.note(open, open.home()?, &[begun])?;
            match change(&inner.opening, keys) {
                Ok(made) => {
                    // It is made already: where this finds no room it is written later.
                    let _ = inner.note_or_owe(open, Entry::done(&by, outcome(&made, event)));
                    Ok(made)
                }
                Err(error) => {
                    inner.note_failure(open, reach, event, &error);
                    Err(error)
                }
            }
        })
    }

    /// Lends the keys of all three classes.
    pub(super) fn with_keys<T>(
        &self,
        call: impl FnOnce(&Opening, [&ClassKeys; 3]) -> Result<T>,
    ) -> Result<T> {
        let inner = self.session.inner();
        inner.with(self.session.reach(), |open| {
            call(&inner.opening, open.all_keys(self.session.reach())?)
        })
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.session.inner().end_lease(self.number);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease(..)")
    }
}
