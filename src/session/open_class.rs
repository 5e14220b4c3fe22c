//! One open class: its keys, its database, its names, and the way of a record in and out.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::classes::ClassSettings;
use super::indexing::SharedParameters;
use super::names::{Names, Subject, Term, as_u64};
use super::state::{Standing, State, genesis};
use crate::actor::Actor;
use crate::audit::RecordChange;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::fs::DatabaseFile;
use crate::id::RecordId;
use crate::keys::{ClassKeys, Footprint, TokenSpace, seal_to_auditor};
use crate::records::{self, NO_EFFECTIVE_TIME, Record, StoredAs};
use crate::sealing::{self, Context, Sealed, Table};
use crate::secret::SecretText;
use crate::storage::{EarlierRow, IndexEntry, Row, Store, Writing};
use crate::time::Timestamp;

/// A class whose key is in memory and whose database is open. Dropping it closes and wipes both.
pub(super) struct OpenClass {
    pub(super) keys: ClassKeys,
    pub(super) names: Names,
    pub(super) store: Store,
    keeps_history: bool,
    /// An auditor alone can open the first key of the trail.
    pub(super) is_audited: bool,
    /// How long a record lives at the most, in microseconds.
    time_to_live: Option<i64>,
    last_updated: AtomicI64,
    /// What the database says of itself (spec 08).
    pub(super) standing: Mutex<Standing>,
    /// How often something was erased: rows fetched before are fetched again.
    erasures: AtomicU64,
    /// What resources are searched by, the same for all classes.
    parameters: SharedParameters,
}

const SETTINGS_CODEC: u8 = 1;

impl OpenClass {
    /// Sets up an empty file as the database of a class, whose audit trail says who made it.
    pub(crate) fn create(
        file: impl Into<DatabaseFile>,
        keys: &ClassKeys,
        priority: &ClassKeys,
        decided: ClassSettings<'_>,
        by: &Actor,
    ) -> Result<()> {
        let place = settings_place(keys);
        let history = u8::from(decided.keep_history);
        let settings = [SETTINGS_CODEC, keys.class().code(), history];
        let auditor = decided.auditor.map_or(&[][..], |auditor| auditor);
        let settings = sealing::seal(keys.settings(), &place, &[&settings, auditor])?;
        let mut state = State::make(keys)?;
        let root = match decided.auditor {
            Some(auditor) => seal_to_auditor(auditor, &state.chain, keys.vault())?,
            None => state.seal_root(priority, keys.class())?,
        };
        let first = state.seal(keys)?;
        Store::create(
            file,
            keys.page_sealer(),
            [&settings, &first, &root],
            |writing| {
                state.append(keys, writing, &genesis(by))?;
                writing.put_state(&state.seal(keys)?)
            },
        )
    }

    /// Opens the database of a class and checks that it belongs to this vault and class.
    pub(super) fn open(file: impl Into<DatabaseFile>, keys: ClassKeys) -> Result<Self> {
        let store = Store::open(file, keys.page_sealer())?;
        let opened = sealing::open(keys.settings(), &settings_place(&keys), store.settings()?)?;
        let (keeps_history, is_audited) = match opened.expose() {
            [SETTINGS_CODEC, class, history @ (0 | 1), auditor @ ..]
                if *class == keys.class().code()
                    && (auditor.is_empty()
                        || (auditor.len() == 32 && keys.class() == Class::Priority)) =>
            {
                (*history == 1, !auditor.is_empty())
            }
            [SETTINGS_CODEC, ..] => return Err(ErrorKind::TamperDetected.into()),
            _ => return Err(ErrorKind::UnsupportedFormat.into()),
        };
        let last = store
            .read(|reading| reading.last_updated())?
            .unwrap_or(i64::MIN);
        let last_updated = AtomicI64::new(last);
        let standing = Standing::of(State::open(&keys, store.state()?)?);
        Ok(Self {
            keys,
            names: Names::new(),
            store,
            keeps_history,
            is_audited,
            time_to_live: None,
            last_updated,
            standing: Mutex::new(standing),
            erasures: AtomicU64::new(0),
            parameters: SharedParameters::default(),
        })
    }

    /// The same class of a vault with this footprint.
    pub(super) fn within(self, footprint: Footprint) -> Self {
        let time = footprint.time_to_live().map(|time| time.as_micros());
        let time_to_live = time.and_then(|time| i64::try_from(time).ok());
        Self {
            time_to_live,
            ..self
        }
    }

    /// Whether every record expires.
    pub(super) fn is_cache(&self) -> bool {
        self.time_to_live.is_some()
    }

    /// When a record that is put now expires.
    pub(super) fn expiry(&self, own: Option<Timestamp>, put: Timestamp) -> Option<Timestamp> {
        let Some(time) = self.time_to_live else {
            return own;
        };
        let latest = Timestamp::from_micros(put.to_micros().saturating_add(time));
        Some(own.map_or(latest, |own| own.min(latest)))
    }

    /// Closes the database and keeps the keys.
    pub(super) fn close(self) -> ClassKeys {
        self.keys
    }

    /// The list of what resources are searched by.
    pub(super) fn shared_parameters(&self) -> &SharedParameters {
        &self.parameters
    }

    /// The same class with another's list of what resources are searched by.
    pub(super) fn sharing(self, parameters: &SharedParameters) -> Self {
        let parameters = Arc::clone(parameters);
        Self { parameters, ..self }
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
        self.read_parameters()?;
        self.read_state()
    }

    /// Seals a record and puts it in its row, new or in place of the one that is there. Which of
    /// them it was.
    pub(super) fn write_record(
        &self,
        writing: &Writing<'_>,
        record: &Record,
        stored: StoredAs,
    ) -> Result<RecordChange> {
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
        let found_by = self.found_by(record)?;
        match existing {
            None => {
                let at = writing.insert(stored.id, revision, &index, &body)?;
                writing.enter(at, &index, found_by.as_ref())?;
                self.count_in(Table::Record, stored.id, revision, &body);
                Ok(RecordChange::Created)
            }
            Some(row) => {
                let (at, before, tag) = (row.place, row.revision, row.body.tag());
                writing.leave(at, row.index.start)?;
                if self.keeps_history {
                    self.keep_earlier(writing, row)?;
                }
                writing.update(at, revision, &index, &body)?;
                writing.enter(at, &index, found_by.as_ref())?;
                self.count_out(Table::Record, stored.id, before, &tag);
                self.count_in(Table::Record, stored.id, revision, &body);
                Ok(RecordChange::Updated)
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
        self.count_in(Table::EarlierRevision, id, revision, &body);
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

    /// When something was last put, in microseconds.
    pub(super) fn last_put(&self) -> i64 {
        self.last_updated.load(Ordering::Acquire)
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
        self.count_in(Table::EarlierRevision, id, revision, &body);
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
    pub(super) fn index_entry(
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
            pinned: i64::from(record.pinned),
        }
    }

    pub(super) fn place<'a>(
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
        let priority = ClassKeys::make(keys.vault(), Class::Priority).unwrap();
        let settings = ClassSettings {
            keep_history: false,
            auditor: None,
        };
        OpenClass::create(
            path.as_path(),
            &keys,
            &priority,
            settings,
            &Actor::unnamed(),
        )
        .unwrap();
        let open = OpenClass::open(path.as_path(), keys).unwrap();
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
