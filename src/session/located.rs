//! A row that was found, and what it takes to open it.

use std::sync::{Arc, Weak};

use super::classes::{OpenClasses, Reach};
use super::live::Inner;
use super::names::{Subject, Term};
use crate::error::Result;
use crate::id::RecordId;
use crate::records::Record;
use crate::storage::Row;
use crate::time::Timestamp;

/// A row with the names it refers to, ready to be opened.
pub(super) struct Located {
    pub(super) row: Row,
    pub(super) kind: Arc<Term>,
    pub(super) content: Arc<Term>,
    pub(super) subject: Arc<Subject>,
}

/// A row that waits to be asked for. It holds no key: what it refers to goes with the class when
/// that is closed, and with the subject when that is erased.
pub(super) struct Waiting {
    pub(super) row: Row,
    kind: Weak<Term>,
    content: Weak<Term>,
    subject: Weak<Subject>,
}

impl Located {
    pub(super) fn wait(self) -> Waiting {
        Waiting {
            row: self.row,
            kind: Arc::downgrade(&self.kind),
            content: Arc::downgrade(&self.content),
            subject: Arc::downgrade(&self.subject),
        }
    }
}

impl Waiting {
    /// The row again with its names; `None` where one of them was forgotten.
    pub(super) fn wake(self) -> Option<Located> {
        Some(Located {
            row: self.row,
            kind: self.kind.upgrade()?,
            content: self.content.upgrade()?,
            subject: self.subject.upgrade()?,
        })
    }
}

/// The record with this identity, in whichever class within reach has it.
pub(super) fn find(
    inner: &Inner,
    open: &OpenClasses,
    reach: Reach,
    id: RecordId,
) -> Result<Option<Record>> {
    let now = Timestamp::now();
    // Standard before Emergency: most records are there.
    for class in open.within(reach).collect::<Vec<_>>().into_iter().rev() {
        if let Some(located) = class.locate(id, now)? {
            inner.release(class.class(), 1)?;
            return class.open_row(located).map(Some);
        }
    }
    Ok(None)
}
