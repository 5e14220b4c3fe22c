//! Records of Priority that are put without a lease, and what becomes of them (spec 10, "Deposits").

use std::sync::PoisonError;

use super::classes::{OpenClasses, Reach};
use super::found_by::check_resource;
use super::handle::Session;
use super::intent::{self, Step};
use super::live::Inner;
use super::open_class::OpenClass;
use super::put::{Fresh, existing, put};
use super::transaction::{Part, finish_earlier, in_one_transaction};
use crate::actor::Actor;
use crate::audit::{Entry, Event};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::records::{Record, StoredAs};
use crate::sealing::{self, Context, Mail, Table};
use crate::storage::{DepositRow, Reading};
use crate::time::Timestamp;

pub(super) const WAITING: u8 = 0;
pub(super) const NOT_AUTHENTIC: u8 = 1;
pub(super) const CONFLICT: u8 = 2;
pub(super) const UNREADABLE: u8 = 3;

/// About how many bytes of deposits are taken in together.
const MOST_BYTES: usize = 8 * 1024 * 1024;
const MOST: usize = 256;

impl Session {
    /// Puts a new record of Priority without stepping up, as a letter is put through a slot: it is
    /// sealed to Priority's public key and waits in Standard, where neither this session nor anybody
    /// else can read it, until the next step-up takes it in. Durable when it returns.
    ///
    /// The answer is the identity that the record will have, unless the store has a record with its
    /// client identity: it is then the next version of that, or nothing where that version is there.
    /// What cannot be taken in is set aside: [`Lease::deposits`](crate::Lease::deposits).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRecord`] for a record of another class, or one that was read; those of
    /// the session.
    ///
    /// # Security
    ///
    /// The audit trail of Standard says when and by whom something was deposited, and the files grow
    /// by about its length. Nothing else is told before a step-up.
    pub fn deposit(&self, record: &Record) -> Result<RecordId> {
        deposit(self.inner(), self.reach, record)
    }
}

/// Puts a record of Priority where it waits for a lease; its identity.
fn deposit(inner: &Inner, reach: Reach, record: &Record) -> Result<RecordId> {
    record.check()?;
    check_resource(record)?;
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
pub(super) fn open_deposit(
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
            if record.check().is_ok()
                && check_resource(&record).is_ok()
                && record.stored.is_some_and(|own| own.id == row.id) =>
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
pub(super) fn alone<T>(
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
