//! The way of a record out of its class: found, named, opened, and compared with what it is found by.

use super::located::Located;
use super::names::as_u64;
use super::open_class::{OpenClass, is_expired};
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::keys::TokenSpace;
use crate::records::{self, Record};
use crate::sealing::{self, Table};
use crate::storage::{EarlierRow, Reading, Row};
use crate::time::Timestamp;

impl OpenClass {
    /// The row with this identity, unless it has expired.
    pub(super) fn locate(&self, id: RecordId, now: Timestamp) -> Result<Option<Located>> {
        self.store.read(|reading| {
            let row = reading.row(id)?.filter(|row| !is_expired(row, now));
            row.map(|row| self.name(reading, row)).transpose()
        })
    }

    /// The earlier revisions of a record, oldest first; `None` where the class does not have it or
    /// it has expired.
    pub(super) fn history(&self, id: RecordId, now: Timestamp) -> Result<Option<Vec<Record>>> {
        self.store.read(|reading| {
            let row = reading.row(id)?;
            if row.is_none_or(|row| is_expired(&row, now)) {
                return Ok(None);
            }
            let rows = reading.earlier(id)?.into_iter();
            let records = rows.map(|row| self.open_earlier(reading, row));
            records.collect::<Result<_>>().map(Some)
        })
    }

    /// Adds the names that a row refers to.
    pub(super) fn name(&self, reading: &Reading<'_>, row: Row) -> Result<Located> {
        let term = |number, space| self.names.term(&self.keys, reading, number, space);
        Ok(Located {
            kind: term(row.index.kind, TokenSpace::Kind)?,
            content: term(row.index.content, TokenSpace::ContentType)?,
            subject: self.names.subject(&self.keys, reading, row.index.subject)?,
            row,
        })
    }

    /// Opens a row: the envelope in its own place, then the index columns against what was sealed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TamperDetected`].
    pub(super) fn open_row(&self, located: Located) -> Result<Record> {
        let Located {
            row,
            kind,
            content,
            subject,
        } = located;
        let place = self.place(Table::Record, &kind, row.id, row.revision, &subject);
        let record = records::decode(
            sealing::open(&subject.key, &place, row.body)?,
            self.class(),
            kind.text.clone(),
            subject.name.clone(),
            row.id,
            as_u64(row.revision),
        )?;
        let stored = record.stored.ok_or(ErrorKind::TamperDetected)?;
        let same = row.index == self.index_entry(&record, stored, &kind, &content, &subject)
            && record.content_type == content.text;
        if same {
            Ok(record)
        } else {
            Err(ErrorKind::TamperDetected.into())
        }
    }

    /// Opens an earlier revision.
    pub(super) fn open_earlier(&self, reading: &Reading<'_>, row: EarlierRow) -> Result<Record> {
        let kind = self
            .names
            .term(&self.keys, reading, row.kind, TokenSpace::Kind)?;
        let subject = self.names.subject(&self.keys, reading, row.subject)?;
        let place = self.place(
            Table::EarlierRevision,
            &kind,
            row.id,
            row.revision,
            &subject,
        );
        records::decode(
            sealing::open(&subject.key, &place, row.body)?,
            self.class(),
            kind.text.clone(),
            subject.name.clone(),
            row.id,
            as_u64(row.revision),
        )
    }
}
