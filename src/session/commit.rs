//! Writing: what a batch comes to in each class.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::classes::{OpenClasses, Reach};
use super::found_by::check_resource;
use super::intent::{self, Step};
use super::live::Inner;
use super::open_class::OpenClass;
use super::put::{existing, put};
use super::set_aside;
use super::transaction::{Done, Part, finish_earlier, in_one_transaction};
use crate::actor::Actor;
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::RoomFor;
use crate::id::RecordId;
use crate::records::{Batch, Change, Stored};
use crate::secret::SecretText;
use crate::storage::Reading;
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
