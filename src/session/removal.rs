//! Taking records out of a class, and out of the hash over all of them.

use super::names::Subject;
use super::open_class::OpenClass;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::sealing::Table;
use crate::storage::{Gone, Writing};

impl OpenClass {
    /// Removes a record and its earlier revisions; whether there was one.
    pub(super) fn remove(&self, writing: &Writing<'_>, id: RecordId) -> Result<bool> {
        self.forget_rows(writing.remove(id)?)
            .map(|removed| removed > 0)
    }

    /// Removes every row of a subject, and its key.
    pub(super) fn remove_subject(&self, writing: &Writing<'_>, subject: &Subject) -> Result<()> {
        self.forget_rows(writing.remove_subject(subject.number)?)
            .map(drop)
    }

    /// Removes what expired at or before `now`, so many records at the most; how many they were.
    pub(super) fn remove_expired(
        &self,
        writing: &Writing<'_>,
        now: i64,
        most: usize,
    ) -> Result<u64> {
        self.forget_rows(writing.remove_expired(now, most)?)
    }

    /// Takes rows out of the hash over all of them; how many records they were.
    fn forget_rows(&self, gone: Gone) -> Result<u64> {
        for (table, rows) in [
            (Table::Record, &gone.records),
            (Table::EarlierRevision, &gone.earlier),
        ] {
            for row in rows {
                self.count_out(table, row.id, row.revision, &row.tag);
            }
        }
        u64::try_from(gone.records.len()).map_err(|_| ErrorKind::Io.into())
    }
}
