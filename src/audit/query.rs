//! Which entries are wanted.

use std::fmt;

use super::entry::{AuditAction, AuditEntry};
use crate::class::Class;
use crate::id::RecordId;
use crate::secret::SecretText;
use crate::time::Timestamp;

/// Which entries of the audit trails to give. Every condition given must hold.
///
/// # Examples
///
/// ```no_run
/// # fn show(session: &vitalock::Session, id: vitalock::RecordId) -> vitalock::Result<()> {
/// use vitalock::{AuditAction, AuditQuery};
///
/// // Who has read this record?
/// let query = AuditQuery::new().action(AuditAction::Read).record(id).newest_first();
/// for entry in session.audit_trail(&query) {
///     let entry = entry?;
///     println!("{:?}: {:?}", entry.at(), entry.actor());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct AuditQuery {
    pub(crate) class: Option<Class>,
    action: Option<AuditAction>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    actor: Option<SecretText>,
    record: Option<RecordId>,
    pub(crate) newest_first: bool,
}

impl AuditQuery {
    /// Every entry within reach, oldest first: class by class, each in the order of its trail.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of one class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// About one kind of action.
    #[must_use]
    pub fn action(mut self, action: AuditAction) -> Self {
        self.action = Some(action);
        self
    }

    /// Written at this time or later.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// Written before this time.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// Of an actor by this name.
    #[must_use]
    pub fn actor(mut self, name: &str) -> Self {
        self.actor = Some(SecretText::copy_of(name));
        self
    }

    /// That name this record.
    #[must_use]
    pub fn record(mut self, id: RecordId) -> Self {
        self.record = Some(id);
        self
    }

    /// The newest entry of each class first.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    pub(crate) fn wants(&self, entry: &AuditEntry) -> bool {
        self.action.is_none_or(|action| action == entry.action())
            && self.since.is_none_or(|since| since <= entry.at())
            && self.until.is_none_or(|until| entry.at() < until)
            && (self.actor.as_ref())
                .is_none_or(|actor| entry.actor().unwrap_or_default() == actor.expose())
            && self
                .record
                .is_none_or(|id| entry.records().iter().any(|record| record.id == id))
    }
}

impl fmt::Debug for AuditQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditQuery(..)")
    }
}
