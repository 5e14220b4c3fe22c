//! Break-glass: Emergency, read and nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::generation::Accept;
use super::handle::Session;
use super::matches::Matches;
use super::opening::{Opening, Unlocked};
use crate::actor::Actor;
use crate::audit::{Event, LockReason};
use crate::error::Result;
use crate::id::RecordId;
use crate::records::{Cursor, Query, Record};

/// What the emergency code opens: the Emergency class, to be read. The keys of the other classes
/// are not in memory and cannot be derived. It is open for 15 minutes at most, and its other limits
/// are those of a [`Session`].
///
/// The audit trail of Emergency says that it was opened and for which reason, what was read and when
/// it ended; it cannot be read here. The owner is told at the next unlocking:
/// [`Session::emergency_accesses`].
pub struct EmergencySession(Session);

impl EmergencySession {
    pub(crate) fn begin(opening: &Arc<Opening>, unlocked: Unlocked, by: Actor) -> Result<Self> {
        let Unlocked { keys, slot, .. } = unlocked;
        let event = Event::EmergencyAccess(slot);
        Session::begin_with(opening, keys, slot, MOST, Accept::Fresh, by, event).map(Self)
    }

    /// Reads a record of the Emergency class.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`].
    pub fn get(&self, id: RecordId) -> Result<Option<Record>> {
        self.0.get(id)
    }

    /// Finds records of the Emergency class.
    pub fn query(&self, query: &Query) -> Matches {
        self.0.query(query)
    }

    /// Goes on where a page ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCursor`](crate::ErrorKind::InvalidCursor) where the cursor is of another
    /// query or vault.
    pub fn query_after(&self, query: &Query, cursor: &Cursor) -> Result<Matches> {
        self.0.query_after(query, cursor)
    }

    /// Counts matches in the Emergency class.
    ///
    /// # Errors
    ///
    /// Those of a [`Session`].
    pub fn count(&self, query: &Query) -> Result<u64> {
        self.0.count(query)
    }

    /// Whether the session has ended.
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Why the session has ended; `None` while it is open.
    pub fn lock_reason(&self) -> Option<LockReason> {
        self.0.lock_reason()
    }

    /// Ends the session.
    pub fn lock(&self) {
        self.0.lock();
    }
}

impl fmt::Debug for EmergencySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmergencySession(..)")
    }
}

const MOST: Duration = Duration::from_secs(15 * 60);
