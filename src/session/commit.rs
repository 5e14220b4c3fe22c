//! Writing: what a batch comes to in each class.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::classes::{OpenClasses, Reach};
use super::found_by::check_resource;
use super::intent::{self, Step};
use super::live::Inner;
use super::open_class::{OpenClass, is_expired};
use super::set_aside;
use super::transaction::{Done, Part, finish_earlier, in_one_transaction};
use crate::actor::Actor;
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::RoomFor;
use crate::id::RecordId;
use crate::keys::TokenSpace;
use crate::records::{Batch, Change, Outcome, Record, Stored, StoredAs};
use crate::secret::SecretText;
use crate::storage::{Reading, Row};
use crate::time::Timestamp;

/// Commits a batch: everything, or nothing.
pub(super) fn commit(inner: &Inner, reach: Reach, batch: &Batch) -> Result<Vec<Stored>> {
    change(inner, reach, batch).map(|(stored, _)| stored)
}

/// Erases a record; whether there was one.
pub(super) fn erase(inner: &Inner, reach: Reach, id: RecordId) -> Result<bool> {
    let mut batch = Batch::new();
    batch.erase(id);
    change(inner, reach, &batch).map(|(_, erased)| erased)
}

/// What the puts came to, and whether anything was erased.
fn change(inner: &Inner, reach: Reach, batch: &Batch) -> Result<(Vec<Stored>, bool)> {
    check(batch)?;
    inner.changing(reach, |open| {
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        finish_earlier(open, &mut waiting)?;
        make(inner, open, reach, batch, &mut waiting)
    })
}

/// Commits what is decided while nobody else can change anything. `decide` writes no entry of the
/// trail: whoever lets it look at records says so later.
///
/// # Errors
///
/// Those of `decide`, and of a commit.
pub(super) fn decided<T>(
    inner: &Inner,
    open: &OpenClasses,
    reach: Reach,
    decide: impl FnOnce() -> Result<(Batch, T)>,
) -> Result<(Vec<Stored>, T)> {
    let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
    finish_earlier(open, &mut waiting)?;
    let (batch, value) = decide()?;
    if batch.is_empty() {
        return Ok((Vec::new(), value));
    }
    check(&batch)?;
    let (stored, _) = make(inner, open, reach, &batch, &mut waiting)?;
    Ok((stored, value))
}

fn check(batch: &Batch) -> Result<()> {
    for change in &batch.changes {
        if let Change::Put(record) = change {
            record.check()?;
            check_resource(record)?;
        }
    }
    Ok(())
}

fn make(
    inner: &Inner,
    open: &OpenClasses,
    reach: Reach,
    batch: &Batch,
    waiting: &mut bool,
) -> Result<(Vec<Stored>, bool)> {
    let by = inner.actor(reach);
    let classes = involved(open, reach, batch)?;
    let now = Timestamp::now();
    let mut work = |parts: &mut [Part<'_>]| {
        let mut stored = Vec::new();
        let mut erased = false;
        for change in &batch.changes {
            match change {
                Change::Put(record) => stored.push(put(parts, record, now, None)?),
                Change::Erase(id) => erased |= take_out(parts, *id)?,
            }
        }
        Ok((stored, erased))
    };
    let erases = |change: &Change| matches!(change, Change::Erase(_));
    if batch.changes.iter().all(erases) {
        let done = take_away(open, &classes, &by, waiting, &mut work)?;
        done.scrubbed?;
        return Ok(done.value);
    }
    let done = in_one_transaction(open, &classes, &by, waiting, &mut work)?;
    let (_, erased) = done.value;
    if erased {
        // Whoever erases is told of traces that are left; whoever puts has what was asked for.
        done.scrubbed?;
    }
    Ok(done.value)
}

fn finish_earlier_with_reserve(open: &OpenClasses, waiting: &mut bool) -> Result<()> {
    open.with_reserve(RoomFor::Erasing, || finish_earlier(open, waiting))
}

/// A transaction that only takes away, and so goes on although the disk is full.
pub(super) fn take_away<T>(
    open: &OpenClasses,
    classes: &[&OpenClass],
    by: &Actor,
    waiting: &mut bool,
    work: &mut dyn FnMut(&mut [Part<'_>]) -> Result<T>,
) -> Result<Done<T>> {
    let full = |error: &Error| error.kind() == ErrorKind::StorageFull;
    let mut done = loop {
        finish_earlier_with_reserve(open, waiting)?;
        match in_one_transaction(open, classes, by, waiting, work) {
            // What is cut in two is finished before the next change, and not begun again.
            Err(error)
                if full(&error)
                    && !open.cut.load(Ordering::Acquire)
                    && open.make_room(RoomFor::Erasing) => {}
            done => break done?,
        }
    };
    if done.scrubbed.as_ref().is_err_and(full) && open.make_room(RoomFor::Erasing) {
        let again = || intent::scrub_up_to(open, Class::Priority, &[]);
        done.scrubbed = open.with_reserve(RoomFor::Erasing, again);
    }
    Ok(done)
}

/// Removes a subject from every class.
pub(super) fn erase_subject(inner: &Inner, reach: Reach, name: &str) -> Result<()> {
    let name = SecretText::copy_of(name);
    inner.changing(reach, |open| {
        open.class(reach, Class::Priority)?;
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        finish_earlier(open, &mut waiting)?;
        // What was deposited and not taken in is about somebody too.
        let deposited = set_aside::about(open, reach, &name)?;
        let by = inner.actor(reach);
        let mut classes = Vec::new();
        for class in open.within(reach) {
            let find =
                |reading: &Reading<'_>| class.names.find_subject(&class.keys, reading, Some(&name));
            let holds_deposits = class.class() == Class::Standard && !deposited.is_empty();
            if holds_deposits || class.store.read(find)?.is_some() {
                classes.push(class);
            }
        }
        let done = take_away(open, &classes, &by, &mut waiting, &mut |parts| {
            for part in parts {
                if part.open.class() == Class::Standard {
                    let mut deposited = deposited.iter();
                    deposited.try_for_each(|id| part.take(Step::TakeDeposit(*id)))?;
                }
                part.take(Step::RemoveSubject(name.clone()))?;
            }
            Ok(())
        })?;
        done.scrubbed
    })
}

/// The classes that a batch touches, lowest first: those it names and those that hold what it
/// replaces or erases.
fn involved<'a>(open: &'a OpenClasses, reach: Reach, batch: &Batch) -> Result<Vec<&'a OpenClass>> {
    let mut wanted = Vec::new();
    for change in &batch.changes {
        if let Change::Put(record) = change {
            wanted.push(open.class(reach, record.class)?.class());
        }
    }
    let mut classes = Vec::new();
    for class in open.within(reach) {
        let holds_any = |reading: &Reading<'_>| {
            for change in &batch.changes {
                if holds(class, reading, change)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if wanted.contains(&class.class()) || class.store.read(holds_any)? {
            classes.push(class);
        }
    }
    Ok(classes)
}

fn holds(class: &OpenClass, reading: &Reading<'_>, change: &Change) -> Result<bool> {
    let row = match change {
        Change::Erase(id) => reading.row(*id)?,
        Change::Put(record) if record.class == class.class() => return Ok(true),
        Change::Put(record) => existing(class, reading, record)?,
    };
    Ok(row.is_some())
}

/// What a record is given that is new, where that was decided before.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    pub(super) id: RecordId,
    pub(super) created: Timestamp,
}

/// Puts one record: new, as the next revision of one that is there, or not at all.
pub(super) fn put(
    parts: &mut [Part<'_>],
    record: &Record,
    now: Timestamp,
    fresh: Option<Fresh>,
) -> Result<Stored> {
    let mut found = None;
    for (at, part) in parts.iter().enumerate() {
        if let Some(row) = existing(part.open, &part.writing.reading(), record)? {
            if found.is_some() {
                // The client's identity was given again while the class that has it was closed.
                return Err(ErrorKind::Conflict.into());
            }
            found = Some((at, row));
        }
    }
    let target = parts
        .iter()
        .position(|part| part.open.class() == record.class);
    let target = target.ok_or(ErrorKind::LeaseRequired)?;
    let updated = |parts: &[Part<'_>]| parts.get(target).map(|part| part.open.next_updated());
    let Some((holder, row)) = found else {
        if record.stored.is_some() {
            return Err(ErrorKind::NotFound.into());
        }
        let updated = updated(parts).ok_or(ErrorKind::LeaseRequired)?;
        let stored = StoredAs {
            id: fresh.map_or_else(RecordId::make, |fresh| Ok(fresh.id))?,
            revision: 1,
            created: fresh.map_or(updated, |fresh| fresh.created),
            updated,
        };
        return write(parts, target, record, stored, Outcome::Created);
    };
    let (id, revision) = (row.id, intent::revision_of(row.revision));
    let expired = is_expired(&row, now);
    let held = open_held(parts, holder, row)?;
    let target_is_cache = parts.get(target).is_some_and(|part| part.open.is_cache());
    match decide(record, &held, id, revision, expired, target_is_cache)? {
        Decision::Keep => {
            return Ok(Stored {
                id,
                revision,
                outcome: Outcome::Unchanged,
            });
        }
        Decision::Replace => {}
    }
    let created = held.stored.map_or(now, |stored| stored.created);
    // Whoever brings a later version from elsewhere knows nothing of pins.
    let stays_pinned = record.stored.is_none() && held.pinned;
    if holder != target {
        move_history(parts, holder, target, held)?;
    }
    let updated = updated(parts).ok_or(ErrorKind::LeaseRequired)?;
    let stored = StoredAs {
        id,
        revision: revision + 1,
        created,
        updated,
    };
    if stays_pinned && !record.pinned {
        let pinned = record.copy_as(stored).pinned();
        return write(parts, target, &pinned, stored, Outcome::Updated);
    }
    write(parts, target, record, stored, Outcome::Updated)
}

enum Decision {
    Keep,
    Replace,
}

/// What putting `record` does to the one that is there.
fn decide(
    record: &Record,
    held: &Record,
    id: RecordId,
    revision: u64,
    expired: bool,
    is_cache: bool,
) -> Result<Decision> {
    if let Some(stored) = record.stored {
        // A record that was read: its own next revision, or nobody's.
        return match (stored.id == id, stored.revision == revision, expired) {
            (true, true, false) => Ok(Decision::Replace),
            (true, _, true) => Err(ErrorKind::NotFound.into()),
            _ => Err(ErrorKind::Conflict.into()),
        };
    }
    let (Some((offered_id, offered)), Some((held_id, version))) = (&record.client, &held.client)
    else {
        return Err(ErrorKind::TamperDetected.into());
    };
    if offered_id != held_id {
        return Err(ErrorKind::TamperDetected.into());
    }
    match offered.cmp(version) {
        std::cmp::Ordering::Less => Ok(Decision::Keep),
        std::cmp::Ordering::Greater => Ok(Decision::Replace),
        std::cmp::Ordering::Equal if same_content(record, held, is_cache) => Ok(Decision::Keep),
        std::cmp::Ordering::Equal => Err(ErrorKind::Conflict.into()),
    }
}

/// Whether a version is the one that is there. When it expires is for a cache to say, and whether it
/// is pinned for the app.
fn same_content(one: &Record, other: &Record, is_cache: bool) -> bool {
    one.class == other.class
        && one.kind == other.kind
        && one.subject == other.subject
        && one.effective == other.effective
        && one.content_type == other.content_type
        && one.device == other.device
        && one.app == other.app
        && (is_cache || one.expires == other.expires)
        && one.body() == other.body()
}

/// The row that a put meets: the record's own, or the one with the same client identity.
pub(super) fn existing(
    open: &OpenClass,
    reading: &Reading<'_>,
    record: &Record,
) -> Result<Option<Row>> {
    let by_client = match &record.client {
        Some((client, _)) => {
            reading.row_of_client(open.keys.token(TokenSpace::Client, client.expose()))?
        }
        None => None,
    };
    match record.stored {
        Some(stored) if by_client.as_ref().is_none_or(|row| row.id == stored.id) => {
            reading.row(stored.id)
        }
        _ => Ok(by_client),
    }
}

fn open_held(parts: &[Part<'_>], holder: usize, row: Row) -> Result<Record> {
    let part = parts.get(holder).ok_or(ErrorKind::NotFound)?;
    let located = part.open.name(&part.writing.reading(), row)?;
    part.open.open_row(located)
}

/// Takes a record that moves to another class out of its own, with its earlier revisions.
fn move_history(parts: &mut [Part<'_>], holder: usize, target: usize, held: Record) -> Result<()> {
    let id = held
        .stored
        .map(|stored| stored.id)
        .ok_or(ErrorKind::NotFound)?;
    let mut earlier = Vec::new();
    if let Some(from) = parts.get(holder)
        && from.open.keeps_history()
    {
        let reading = from.writing.reading();
        for row in reading.earlier(id)? {
            earlier.push(from.open.open_earlier(&reading, row)?);
        }
        earlier.push(held);
    }
    if let Some(from) = parts.get_mut(holder) {
        from.take(Step::MoveOut(id))?;
    }
    if let Some(to) = parts.get_mut(target) {
        for record in earlier {
            to.take(Step::PutEarlier(Box::new(record)))?;
        }
    }
    Ok(())
}

fn write(
    parts: &mut [Part<'_>],
    target: usize,
    record: &Record,
    stored: StoredAs,
    outcome: Outcome,
) -> Result<Stored> {
    let part = parts.get_mut(target).ok_or(ErrorKind::LeaseRequired)?;
    let expires = part.open.expiry(record.expires, stored.updated);
    if expires == record.expires {
        part.put(record, stored)?;
    } else {
        let mut limited = record.copy_as(stored);
        limited.expires = expires;
        part.put(&limited, stored)?;
    }
    Ok(Stored {
        id: stored.id,
        revision: stored.revision,
        outcome,
    })
}

fn take_out(parts: &mut [Part<'_>], id: RecordId) -> Result<bool> {
    let mut found = false;
    for part in parts {
        if part.writing.reading().row(id)?.is_some() {
            part.take(Step::Remove(id))?;
            found = true;
        }
    }
    Ok(found)
}
