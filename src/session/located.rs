//! A row that was found, and what it takes to open it.

use std::sync::{Arc, Weak};

use super::classes::{OpenClasses, Reach};
use super::live::Inner;
use super::names::{Subject, Term};
use super::open_class::OpenClass;
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
pub(super) fn find(inner: &Inner, reach: Reach, id: RecordId) -> Result<Option<Record>> {
    inner.with(reach, |open| {
        let now = Timestamp::now();
        loop {
            let found = open.steadily(|| locate(open, reach, id, now))?;
            let Some((class, located)) = found else {
                return Ok(None);
            };
            if inner.admit(open, reach, class, &located.kind.text)? {
                // That took its time. It is looked up anew, as it may be gone.
                continue;
            }
            inner.release(class.class(), 1)?;
            let kind = located.kind.text.clone();
            let record = class.open_row(located)?;
            inner.tally(reach, class.class(), &kind, id);
            return Ok(Some(record));
        }
    })
}

fn locate(
    open: &OpenClasses,
    reach: Reach,
    id: RecordId,
    now: Timestamp,
) -> Result<Option<(&OpenClass, Located)>> {
    // Standard before Emergency: most records are there.
    for class in open.within(reach).collect::<Vec<_>>().into_iter().rev() {
        if let Some(located) = class.locate(id, now)? {
            return Ok(Some((class, located)));
        }
    }
    Ok(None)
}

/// The earlier revisions of a record, oldest first.
pub(super) fn history(inner: &Inner, reach: Reach, id: RecordId) -> Result<Vec<Record>> {
    inner.with(reach, |open| {
        let now = Timestamp::now();
        loop {
            let found = open.steadily(|| earlier(open, reach, id, now))?;
            let Some((class, earlier)) = found else {
                return Ok(Vec::new());
            };
            let mut written = false;
            for record in &earlier {
                written |= inner.admit(open, reach, class, &record.kind)?;
            }
            if written {
                continue;
            }
            inner.release(class.class(), earlier.len())?;
            for record in &earlier {
                inner.tally(reach, class.class(), &record.kind, id);
            }
            return Ok(earlier);
        }
    })
}

fn earlier(
    open: &OpenClasses,
    reach: Reach,
    id: RecordId,
    now: Timestamp,
) -> Result<Option<(&OpenClass, Vec<Record>)>> {
    for class in open.within(reach) {
        if let Some(earlier) = class.history(id, now)? {
            return Ok(Some((class, earlier)));
        }
    }
    Ok(None)
}
