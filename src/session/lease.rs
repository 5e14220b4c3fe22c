//! Step-up: Priority, for as long as the lease is held.

use std::fmt;
use std::ops::Deref;

use super::handle::Session;
use super::opening::Opening;
use super::slots::Slots;
use crate::error::Result;
use crate::keys::{ClassKeys, Credentials, SessionPolicy};

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
        self.session.prove(credentials)?;
        self.session.inner().renew_lease(self.number)
    }

    /// Changes when sessions and leases end by themselves. The session that is open follows from
    /// its beginning on; this lease keeps its own time.
    ///
    /// # Errors
    ///
    /// Those of the file system; the policy is then the old one.
    pub fn set_session_policy(&self, policy: SessionPolicy) -> Result<()> {
        self.with_keys(|opening, keys| {
            opening.change(|header| opening.write_header(&header.with_policy(policy), keys))
        })?;
        self.session.inner().watch.follow(&policy);
        Ok(())
    }

    /// Accepts the vault as it is, and anchors it.
    ///
    /// # Errors
    ///
    /// Those of [`Session::anchor`].
    pub(crate) fn accept(&self) -> Result<()> {
        self.session.inner().accept(self.session.reach())
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
