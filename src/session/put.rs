//! Writing: what becomes of one record.

use super::intent::{self, Step};
use super::open_class::{OpenClass, is_expired};
use super::transaction::Part;
use crate::error::{ErrorKind, Result};
use crate::id::RecordId;
use crate::keys::TokenSpace;
use crate::records::{Outcome, Record, Stored, StoredAs};
use crate::storage::{Reading, Row};
use crate::time::Timestamp;

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
