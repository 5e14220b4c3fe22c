//! Several changes that happen together or not at all.

use std::fmt;

use super::record::Record;
use crate::id::RecordId;

/// A list of changes for [`Session::commit`](crate::Session::commit).
#[derive(Default)]
pub struct Batch {
    pub(crate) changes: Vec<Change>,
}

pub(crate) enum Change {
    Put(Box<Record>),
    Erase(RecordId),
}

impl Batch {
    /// No changes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record to put.
    pub fn put(&mut self, record: Record) -> &mut Self {
        self.changes.push(Change::Put(Box::new(record)));
        self
    }

    /// Adds a record to erase. One that is not there is left out silently: it is gone.
    pub fn erase(&mut self, id: RecordId) -> &mut Self {
        self.changes.push(Change::Erase(id));
        self
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl FromIterator<Record> for Batch {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let changes = records
            .into_iter()
            .map(|record| Change::Put(Box::new(record)));
        Self {
            changes: changes.collect(),
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish()
    }
}

/// What putting a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The record's identity.
    pub id: RecordId,
    /// The revision that is now stored.
    pub revision: u64,
    /// Whether something changed.
    pub outcome: Outcome,
}

/// Whether a put changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A new record.
    Created,
    /// A new revision of a record that was there.
    Updated,
    /// Nothing: the store already has this version of the client's record, or a later one.
    Unchanged,
}
