//! Step-up: Priority, for as long as the lease is held.

use std::fmt;
use std::ops::Deref;

use super::handle::Session;
use super::opening::Opening;
use super::slots::Slots;
use crate::error::Result;
use crate::keys::ClassKeys;

/// Priority, opened by fresh factors. Every method of [`Session`] reaches Priority as well when it
/// is called on the lease. Dropping the lease closes Priority and wipes its key; the session goes
/// on.
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

    /// Lends the keys of all three classes.
    pub(super) fn with_keys<T>(
        &self,
        call: impl FnOnce(&Opening, [&ClassKeys; 3]) -> Result<T>,
    ) -> Result<T> {
        let inner = self.session.inner();
        inner.with(|open| call(&inner.opening, open.all_keys(self.session.reach())?))
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
