//! Records of Priority that are put without a lease, and what becomes of them (spec 10, "Deposits").

use std::fmt;
use std::sync::PoisonError;

use super::classes::{OpenClasses, Reach};
use super::commit::{Fresh, existing, put};
use super::intent::{self, Step};
use super::live::Inner;
use super::noted::Noted;
use super::open_class::OpenClass;
use super::transaction::{Part, finish_earlier, in_one_transaction};
use crate::actor::Actor;
use crate::audit::{Entry, Event};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::records::{Record, StoredAs};
use crate::sealing::{self, Context, Mail, Table};
use crate::secret::SecretText;
use crate::storage::{DepositRow, Reading};
use crate::time::Timestamp;

/// A deposit that is not yet among the records of Priority.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Deposit {
    id: RecordId,
    state: DepositState,
}

/// What keeps a deposit from being taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DepositState {
    /// Nothing: it will be taken in at the next step-up, or by
    /// [`Lease::take_in_deposits`](crate::Lease::take_in_deposits).
    Waiting,
    /// It does not open. Whoever wrote it did not have Standard open, or it was changed.
    NotAuthentic,
    /// The store has other content for the same version of the client's record.
    /// [`Lease::deposited`](crate::Lease::deposited) gives what was deposited.
    Conflict,
    /// What is in it is no record that this version reads.
    Unreadable,
}

const WAITING: u8 = 0;
const NOT_AUTHENTIC: u8 = 1;
const CONFLICT: u8 = 2;
const UNREADABLE: u8 = 3;

impl DepositState {
    const fn of(aside: u8) -> Self {
        match aside {
            WAITING => Self::Waiting,
            CONFLICT => Self::Conflict,
            UNREADABLE => Self::Unreadable,
            _ => Self::NotAuthentic,
        }
    }
}

impl Deposit {
    /// The identity that [`Session::deposit`](crate::Session::deposit) gave.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// What keeps it from being taken in.
    pub fn state(&self) -> DepositState {
        self.state
    }
}

impl fmt::Debug for Deposit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deposit")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish()
    }
}

/// About how many bytes of deposits are taken in together.
const MOST_BYTES: usize = 8 * 1024 * 1024;
const MOST: usize = 256;

/// Puts a record of Priority where it waits for a lease; its identity.
pub(super) fn deposit(inner: &Inner, reach: Reach, record: &Record) -> Result<RecordId> {
    record.check()?;
    if record.class != Class::Priority || record.stored.is_some() {
        return Err(ErrorKind::InvalidRecord.into());
    }
    inner.changing(reach, |open| {
        let standard = open.class(reach, Class::Standard)?;
        let by = inner.actor(reach);
        let (id, now) = (RecordId::make()?, Timestamp::now());
        let step = Step::Put(Box::new(record.copy_as(StoredAs {
            id,
            revision: 1,
            created: now,
            updated: now,
        })));
        let psk = standard.keys.deposits();
        let mail = Mail {
            place: place(standard, id),
            psk: Some(&psk),
        };
        let to = inner.opening.newest().header.inbox.priority;
        let body = intent::seal_step(&by, &step, |parts| sealing::post(&to, &mail, parts))?;
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        alone(open, standard, &mut waiting, || {
            standard.write(|writing| {
                writing.insert_deposit(id, &body)?;
                standard.count_in(Table::Deposit, id, 0, &body);
                standard.append(writing, &Entry::done(&by, Event::Deposited(id)))
            })
        })?;
        Ok(id)
    })
}

/// Takes in what waits. Priority is open; how many were taken in.
///
/// # Errors
///
/// Those of the databases: what was not taken in still waits.
pub(super) fn take_in(open: &OpenClasses, waiting: &mut bool) -> Result<u64> {
    let (Some(standard), Some(priority)) = (
        open.classes
            .iter()
            .find(|open| open.class() == Class::Standard),
        open.classes
            .iter()
            .find(|open| open.class() == Class::Priority),
    ) else {
        return Ok(0);
    };
    finish_earlier(open, waiting)?;
    let mut taken = 0;
    let mut batch = Batch::default();
    let mut last = i64::MIN;
    while let Some(row) = standard
        .store
        .read(|reading| reading.deposit_beyond(last))?
    {
        last = row.number;
        if row.aside != WAITING {
            continue;
        }
        let (id, length) = (row.id, row.body.as_bytes().len());
        match open_deposit(standard, priority, row) {
            Ok((by, record)) => {
                if !batch.takes(&by, length) {
                    taken += std::mem::take(&mut batch).commit(open, waiting)?;
                }
                batch.add(by, id, record, length);
            }
            Err(why) => {
                taken += std::mem::take(&mut batch).commit(open, waiting)?;
                alone(open, standard, waiting, || set_aside(standard, id, why))?;
            }
        }
    }
    taken += batch.commit(open, waiting)?;
    Ok(taken)
}

/// The same on a lease, at any time.
pub(super) fn take_in_now(inner: &Inner, reach: Reach) -> Result<u64> {
    inner.changing(reach, |open| {
        open.class(reach, Class::Priority)?;
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        take_in(open, &mut waiting)
    })
}

/// Deposits of one actor, one after another, that are taken in together.
#[derive(Default)]
struct Batch {
    by: Option<Actor>,
    records: Vec<(RecordId, Record)>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, by: &Actor, length: usize) -> bool {
        self.by.as_ref().is_none_or(|own| own == by)
            && self.records.len() < MOST
            && self.bytes.saturating_add(length) <= MOST_BYTES
    }

    fn add(&mut self, by: Actor, id: RecordId, record: Record, length: usize) {
        self.by = Some(by);
        self.records.push((id, record));
        self.bytes = self.bytes.saturating_add(length);
    }

    fn commit(self, open: &OpenClasses, waiting: &mut bool) -> Result<u64> {
        let Some(by) = self.by else { return Ok(0) };
        let mut records = Vec::with_capacity(self.records.len());
        for (id, mut record) in self.records {
            let created = record.stored.take().map(|stored| stored.created);
            let created = created.unwrap_or_else(Timestamp::now);
            let known = is_known(open, id)?;
            records.push((Fresh { id, created }, record, known));
        }
        let mut classes = Vec::new();
        for class in &open.classes {
            let holds_any = |reading: &Reading<'_>| {
                for (_, record, _) in &records {
                    if existing(class, reading, record)?.is_some() {
                        return Ok(true);
                    }
                }
                Ok(false)
            };
            if class.class() != Class::Emergency || class.store.read(holds_any)? {
                classes.push(class);
            }
        }
        let done = in_one_transaction(open, &classes, &by, waiting, &mut |parts| {
            let mut taken = 0;
            let now = Timestamp::now();
            for (fresh, record, known) in &records {
                // What was taken in before, and is met again in an older page, is only removed.
                let came = match known {
                    true => Ok(()),
                    false => put(parts, record, now, Some(*fresh)).map(drop),
                };
                let step = match came {
                    Ok(()) => Step::TakeDeposit(fresh.id),
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        Step::SetAside(fresh.id, CONFLICT)
                    }
                    Err(error) => return Err(error),
                };
                taken += u64::from(matches!(step, Step::TakeDeposit(_)));
                standard_of(parts)?.take(step)?;
            }
            Ok(taken)
        })?;
        Ok(done.value)
    }
}

fn standard_of<'a, 'b>(parts: &'a mut [Part<'b>]) -> Result<&'a mut Part<'b>> {
    let mut parts = parts.iter_mut();
    let standard = parts.find(|part| part.open.class() == Class::Standard);
    standard.ok_or_else(|| ErrorKind::Io.into())
}

/// Whether a record has this identity.
fn is_known(open: &OpenClasses, id: RecordId) -> Result<bool> {
    for class in &open.classes {
        if class.store.read(|reading| reading.row(id))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// For whom it was deposited, and what; or why it cannot be taken in.
fn open_deposit(
    standard: &OpenClass,
    priority: &OpenClass,
    row: DepositRow,
) -> std::result::Result<(Actor, Record), u8> {
    let psk = standard.keys.deposits();
    let mail = Mail {
        place: place(standard, row.id),
        psk: Some(&psk),
    };
    let opened = sealing::collect(&priority.keys.inbox(), &mail, row.body);
    let opened = opened.map_err(|_| NOT_AUTHENTIC)?;
    let (by, steps) = intent::decode(opened.expose(), Class::Priority).map_err(|_| UNREADABLE)?;
    let mut steps = steps.into_iter();
    match (steps.next(), steps.next()) {
        (Some(Step::Put(record)), None)
            if record.check().is_ok() && record.stored.is_some_and(|own| own.id == row.id) =>
        {
            Ok((by, *record))
        }
        _ => Err(UNREADABLE),
    }
}

fn place(standard: &OpenClass, id: RecordId) -> Context<'static> {
    Context {
        row: id,
        ..Context::of_class(standard.keys.vault(), Class::Priority, Table::Deposit, 0)
    }
}

fn set_aside(standard: &OpenClass, id: RecordId, why: u8) -> Result<()> {
    standard.write(|writing| {
        if writing.set_deposit_aside(id, why)? {
            let aside = Entry::done(&Actor::unnamed(), Event::SetAside(id, why));
            standard.append(writing, &aside)?;
        }
        Ok(())
    })
}

/// A transaction of Standard alone.
fn alone<T>(
    open: &OpenClasses,
    standard: &OpenClass,
    waiting: &mut bool,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    finish_earlier(open, waiting)?;
    // Until the end is seen, a panic included, there may be something to undo.
    *waiting = true;
    let done = work();
    *waiting = done.is_err() && standard.store.is_in_doubt();
    done
}

/// What is not yet among the records.
pub(super) fn list(inner: &Inner, reach: Reach) -> Result<Vec<Deposit>> {
    inner.with(reach, |open| {
        open.class(reach, Class::Priority)?;
        let standard = open.class(reach, Class::Standard)?;
        let mut deposits = Vec::new();
        each(standard, |row| {
            deposits.push(Deposit {
                id: row.id,
                state: DepositState::of(row.aside),
            });
            Ok(())
        })?;
        Ok(deposits)
    })
}

fn each(standard: &OpenClass, mut look: impl FnMut(DepositRow) -> Result<()>) -> Result<()> {
    let mut last = i64::MIN;
    while let Some(row) = standard
        .store
        .read(|reading| reading.deposit_beyond(last))?
    {
        last = row.number;
        look(row)?;
    }
    Ok(())
}

/// What was deposited under an identity, where it is still there and opens.
pub(super) fn read(inner: &Inner, reach: Reach, id: RecordId) -> Result<Option<Record>> {
    inner.with(reach, |open| {
        let priority = open.class(reach, Class::Priority)?;
        let standard = open.class(reach, Class::Standard)?;
        let Some(row) = find(standard, id)? else {
            return Ok(None);
        };
        let Ok((_, mut record)) = open_deposit(standard, priority, row) else {
            return Ok(None);
        };
        inner.admit(open, reach, priority, &record.kind)?;
        inner.release(Class::Priority, 1)?;
        inner.tally(reach, Class::Priority, &record.kind, id);
        record.stored = None;
        Ok(Some(record))
    })
}

fn find(standard: &OpenClass, id: RecordId) -> Result<Option<DepositRow>> {
    let mut found = None;
    each(standard, |row| {
        if row.id == id {
            found = Some(row);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Removes a deposit that was set aside; whether there was one.
pub(super) fn discard(inner: &Inner, reach: Reach, id: RecordId) -> Result<bool> {
    inner.changing(reach, |open| {
        open.class(reach, Class::Priority)?;
        let standard = open.class(reach, Class::Standard)?;
        let by = inner.actor(reach);
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        match find(standard, id)? {
            Some(row) if row.aside != WAITING => {}
            _ => return Ok(false),
        }
        alone(open, standard, &mut waiting, || {
            standard.write(|writing| {
                Step::TakeDeposit(id).apply(standard, writing, &mut Noted::default())?;
                standard.append(writing, &Entry::done(&by, Event::AsideRemoved(id)))
            })
        })?;
        intent::scrub_up_to(open, Class::Standard, &[])?;
        Ok(true)
    })
}

/// The deposits about a subject, as far as they open.
pub(super) fn about(
    open: &OpenClasses,
    reach: Reach,
    subject: &SecretText,
) -> Result<Vec<RecordId>> {
    let priority = open.class(reach, Class::Priority)?;
    let standard = open.class(reach, Class::Standard)?;
    let mut found = Vec::new();
    each(standard, |row| {
        let id = row.id;
        if let Ok((_, record)) = open_deposit(standard, priority, row)
            && record.subject.as_ref() == Some(subject)
        {
            found.push(id);
        }
        Ok(())
    })?;
    Ok(found)
}
