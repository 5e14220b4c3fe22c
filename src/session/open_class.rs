//! One open class: its keys, its database, its names, and the way of a record in and out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::generation::{open_state, seal_state};
use super::located::Located;
use super::names::{Names, Subject, Term, as_u64};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::keys::{ClassKeys, TokenSpace};
use crate::records::{self, NO_EFFECTIVE_TIME, Record, StoredAs};
use crate::sealing::{self, Context, Sealed, Table};
use crate::secret::SecretText;
use crate::storage::{EarlierRow, IndexEntry, Reading, Row, Store, Writing};
use crate::time::Timestamp;

/// A class whose key is in memory and whose database is open. Dropping it closes and wipes both.
pub(super) struct OpenClass {
    pub(super) keys: ClassKeys,
    pub(super) names: Names,
    pub(super) store: Store,
    keeps_history: bool,
    last_updated: AtomicI64,
    /// How many commits there were (spec 08).
    pub(super) generation: AtomicU64,
    /// How often something was erased: rows fetched before are fetched again.
    erasures: AtomicU64,
}

const SETTINGS_CODEC: u8 = 1;

impl OpenClass {
    /// Sets up an empty file as the database of a class.
    pub(crate) fn create(path: &Path, keys: &ClassKeys, keep_history: bool) -> Result<()> {
        let place = settings_place(keys);
        let settings = [SETTINGS_CODEC, keys.class().code(), u8::from(keep_history)];
        let settings = sealing::seal(keys.settings(), &place, &[&settings])?;
        Store::create(path, keys.page_sealer(), &settings, &seal_state(keys, 1)?)
    }

    /// Opens the database of a class and checks that it belongs to this vault and class.
    pub(super) fn open(path: &Path, keys: ClassKeys) -> Result<Self> {
        let store = Store::open(path, keys.page_sealer())?;
        let opened = sealing::open(keys.settings(), &settings_place(&keys), store.settings()?)?;
        let keeps_history = match opened.expose() {
            [SETTINGS_CODEC, class, history @ (0 | 1)] if *class == keys.class().code() => {
                *history == 1
            }
            [SETTINGS_CODEC, ..] => return Err(ErrorKind::TamperDetected.into()),
            _ => return Err(ErrorKind::UnsupportedFormat.into()),
        };
        let last = store
            .read(|reading| reading.last_updated())?
            .unwrap_or(i64::MIN);
        let last_updated = AtomicI64::new(last);
        let generation = AtomicU64::new(open_state(&keys, store.state()?)?);
        Ok(Self {
            keys,
            names: Names::new(),
            store,
            keeps_history,
            last_updated,
            generation,
            erasures: AtomicU64::new(0),
        })
    }

    /// Closes the database and keeps the keys.
    pub(super) fn close(self) -> ClassKeys {
        self.keys
    }

    pub(super) fn class(&self) -> Class {
        self.keys.class()
    }

    /// How often something was erased here.
    pub(super) fn erasures(&self) -> u64 {
        self.erasures.load(Ordering::Acquire)
    }

    /// Takes away what an erasure left: the keys of subjects that are gone, freed pages, the log.
    ///
    /// # Errors
    ///
    /// Those of the database; what is in memory is gone in any case.
    pub(super) fn scrub<'a>(&self, gone: impl Iterator<Item = &'a SecretText>) -> Result<()> {
        self.store.scrub(|| {
            gone.for_each(|subject| self.names.forget_subject(subject));
            self.erasures.fetch_add(1, Ordering::AcqRel);
        })
    }

    /// After a failure: forgets what is in memory and makes sure that what failed stays undone.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub(super) fn start_over(&self) -> Result<()> {
        self.store.dispel(|| {
            self.names.forget_all();
            self.erasures.fetch_add(1, Ordering::AcqRel);
        })?;
        let generation = open_state(&self.keys, self.store.state()?)?;
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }

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

    /// Seals a record and puts it in its row, new or in place of the one that is there.
    pub(super) fn write_record(
        &self,
        writing: &Writing<'_>,
        record: &Record,
        stored: StoredAs,
    ) -> Result<()> {
        let revision = i64::try_from(stored.revision).map_err(|_| ErrorKind::InvalidRecord)?;
        // An intent brings its own time, which may be later than any that was here and than the
        // clock.
        self.last_updated
            .fetch_max(stored.updated.to_micros(), Ordering::AcqRel);
        let existing = match stored.revision {
            1 => None,
            _ => writing.reading().row(stored.id)?,
        };
        let (kind, subject) = self.make_names(writing, record)?;
        let content = self.names.make_term(
            &self.keys,
            writing,
            TokenSpace::ContentType,
            &record.content_type,
        )?;
        let place = self.place(Table::Record, &kind, stored.id, revision, &subject);
        let body = seal_record(&place, &subject, record, stored)?;
        let index = self.index_entry(record, stored, &kind, &content, &subject);
        match existing {
            None => writing.insert(stored.id, revision, &index, &body),
            Some(row) => {
                let at = row.place;
                if self.keeps_history {
                    self.keep_earlier(writing, row)?;
                }
                writing.update(at, revision, &index, &body)
            }
        }
    }

    /// Seals a record among the earlier revisions, where it moved here from another class.
    pub(super) fn write_earlier(
        &self,
        writing: &Writing<'_>,
        record: &Record,
        stored: StoredAs,
    ) -> Result<()> {
        let revision = i64::try_from(stored.revision).map_err(|_| ErrorKind::InvalidRecord)?;
        let (kind, subject) = self.make_names(writing, record)?;
        let id = stored.id;
        let place = self.place(Table::EarlierRevision, &kind, id, revision, &subject);
        let body = seal_record(&place, &subject, record, stored)?;
        let (kind, subject) = (kind.number, subject.number);
        writing.keep_earlier(&EarlierRow {
            id,
            revision,
            kind,
            subject,
            body,
        })
    }

    pub(super) fn keeps_history(&self) -> bool {
        self.keeps_history
    }

    /// The time for the next write: the clock, or just after the last write where the clock is
    /// behind it, so that "updated since" misses nothing.
    pub(super) fn next_updated(&self) -> Timestamp {
        let now = Timestamp::now().to_micros();
        let next = |last: i64| now.max(last.saturating_add(1));
        let last = self
            .last_updated
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)))
            .unwrap_or_else(|last| last);
        Timestamp::from_micros(next(last))
    }

    /// Seals a replaced revision again, for its place among the earlier ones.
    fn keep_earlier(&self, writing: &Writing<'_>, row: Row) -> Result<()> {
        let reading = writing.reading();
        let kind = self
            .names
            .term(&self.keys, &reading, row.index.kind, TokenSpace::Kind)?;
        let subject = self
            .names
            .subject(&self.keys, &reading, row.index.subject)?;
        let (id, revision) = (row.id, row.revision);
        let from = self.place(Table::Record, &kind, id, revision, &subject);
        let to = self.place(Table::EarlierRevision, &kind, id, revision, &subject);
        let opened = sealing::open(&subject.key, &from, row.body)?;
        let body: Sealed = sealing::seal(&subject.key, &to, &[opened.expose()])?;
        let (kind, subject) = (kind.number, subject.number);
        writing.keep_earlier(&EarlierRow {
            id,
            revision,
            kind,
            subject,
            body,
        })
    }

    fn make_names(
        &self,
        writing: &Writing<'_>,
        record: &Record,
    ) -> Result<(Arc<Term>, Arc<Subject>)> {
        let keys = &self.keys;
        let kind = self
            .names
            .make_term(keys, writing, TokenSpace::Kind, &record.kind)?;
        let subject = self
            .names
            .make_subject(keys, writing, record.subject.as_ref())?;
        Ok((kind, subject))
    }

    /// The index columns that follow from a record's own fields.
    fn index_entry(
        &self,
        record: &Record,
        stored: StoredAs,
        kind: &Term,
        content: &Term,
        subject: &Subject,
    ) -> IndexEntry {
        let none = Timestamp::from_micros(NO_EFFECTIVE_TIME);
        let (start, finish) = record.effective.unwrap_or((none, none));
        let client = record.client.as_ref();
        let token = |id: &SecretText| self.keys.token(TokenSpace::Client, id.expose());
        IndexEntry {
            kind: kind.number,
            subject: subject.number,
            content: content.number,
            start: start.to_micros(),
            finish: finish.to_micros(),
            updated: stored.updated.to_micros(),
            expires: record.expires.map(Timestamp::to_micros),
            client: client.map(|(id, _)| token(id)),
            client_version: client.map(|(_, version)| i64::try_from(*version).unwrap_or(i64::MAX)),
        }
    }

    fn place<'a>(
        &self,
        table: Table,
        kind: &'a Term,
        row: RecordId,
        revision: i64,
        subject: &Subject,
    ) -> Context<'a> {
        Context {
            vault: self.keys.vault(),
            class: self.class(),
            table,
            kind: kind.text.expose(),
            row,
            number: as_u64(revision),
            key: subject.key_id,
        }
    }
}

fn seal_record(
    place: &Context<'_>,
    subject: &Subject,
    record: &Record,
    stored: StoredAs,
) -> Result<Sealed> {
    let header = records::encode_header(record, stored.created, stored.updated);
    sealing::seal(&subject.key, place, &[header.expose(), record.body()])
}

pub(super) fn is_expired(row: &Row, now: Timestamp) -> bool {
    row.index
        .expires
        .is_some_and(|expires| expires <= now.to_micros())
}

fn settings_place(keys: &ClassKeys) -> Context<'static> {
    Context::of_class(keys.vault(), keys.class(), Table::Settings, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VaultId;

    #[test]
    fn what_an_intent_brings_is_never_later_than_what_is_put_next() {
        let directory = tempfile::tempdir().unwrap();
        let directory = std::fs::canonicalize(directory.path()).unwrap();
        let path = directory.join("standard.db");
        std::fs::File::create(&path).unwrap();
        let keys = ClassKeys::make(VaultId::make().unwrap(), Class::Standard).unwrap();
        OpenClass::create(&path, &keys, false).unwrap();
        let open = OpenClass::open(&path, keys).unwrap();
        // Before the crash that left the intent the clock went ahead of where it is now.
        let ahead = Timestamp::from_micros(Timestamp::now().to_micros() + 3_600_000_000);
        let stored = StoredAs {
            id: RecordId::make().unwrap(),
            revision: 1,
            created: ahead,
            updated: ahead,
        };
        let record = Record::new("Note", "body");
        open.store
            .write(|writing| open.write_record(writing, &record, stored))
            .unwrap();
        assert!(open.next_updated() > ahead);
    }
}
