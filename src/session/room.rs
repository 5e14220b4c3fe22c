//! Making room: quotas for kinds, and what is pinned.

use std::sync::{MutexGuard, PoisonError};

use super::classes::{OpenClasses, Reach};
use super::commit::take_away;
use super::handle::Session;
use super::intent::{self, Step};
use super::live::Inner;
use super::open_class::{OpenClass, is_expired};
use super::put::put;
use super::transaction::{Part, finish_earlier, in_one_transaction};
use crate::actor::Actor;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::fs::RoomFor;
use crate::id::RecordId;
use crate::keys::TokenSpace;
use crate::records::{NO_EFFECTIVE_TIME, Quota, Record};
use crate::storage::Most;
use crate::time::Timestamp;

/// The quotas of a session, and who has set them.
#[derive(Default)]
pub(super) struct Quotas {
    quotas: Vec<Quota>,
    by: Option<Actor>,
    /// When something was last put in a class that was found within the quotas.
    within: Vec<(Class, i64)>,
}

/// How many records go in one transaction.
const MOST: usize = 2048;

impl Session {
    /// Keeps a record when others make room, as [`Record::pinned`](crate::Record::pinned) does: it is
    /// put as its own next revision, unless it is pinned already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], those of the session.
    pub fn pin(&self, id: RecordId) -> Result<()> {
        self.set_pinned(id, true)
    }

    /// Lets a record go when others need its room.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], those of the session.
    pub fn unpin(&self, id: RecordId) -> Result<()> {
        self.set_pinned(id, false)
    }

    /// Says how much there may be of some kinds, in the place of what was said before, and erases what
    /// is too much, the least needed first: what holds for the time longest ago, or was put longest ago
    /// where it has no effective time. What is pinned never goes. How many records went; each stands in
    /// the audit trail.
    ///
    /// The quotas hold until the session ends, and are not kept in the vault: set them after every
    /// unlocking. Within ten seconds what was put meanwhile is brought within them as well, but for
    /// Priority, which is looked at only when a [`Lease`](crate::Lease) makes this call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRecord`] for a kind that no record can have, or more than 64 quotas; those
    /// of the session. What was erased before an error stays erased.
    ///
    /// # Security
    ///
    /// Unless there is another copy, what goes is lost. In a vault that is not a
    /// [cache](crate::Footprint::Cache) pin what has none.
    pub fn set_quotas(&self, quotas: &[Quota]) -> Result<u64> {
        let sound = |quota: &Quota| Record::new(quota.kind.expose(), "").check().is_ok();
        if quotas.len() > 64 || !quotas.iter().all(sound) {
            return Err(ErrorKind::InvalidRecord.into());
        }
        let (inner, reach) = (self.inner(), self.reach);
        inner.changing(reach, |open| {
            let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
            finish_earlier(open, &mut waiting)?;
            let by = inner.actor(reach);
            *inner.quotas() = Quotas {
                quotas: quotas.to_vec(),
                by: Some(by.clone()),
                within: Vec::new(),
            };
            let mut removed = 0;
            for class in open.within(reach) {
                removed += bring_within(open, class, quotas, &by, &mut waiting, true)?;
            }
            Ok(removed)
        })
    }

    fn set_pinned(&self, id: RecordId, pinned: bool) -> Result<()> {
        let (inner, reach) = (self.inner(), self.reach);
        inner.changing(reach, |open| {
            let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
            finish_earlier(open, &mut waiting)?;
            let holder = holder(open, reach, id)?;
            let by = inner.actor(reach);
            let mut work = |parts: &mut [Part<'_>]| repin(parts, id, pinned);
            in_one_transaction(open, &[holder], &by, &mut waiting, &mut work).map(drop)
        })
    }
}

/// The open class that has a record.
fn holder(open: &OpenClasses, reach: Reach, id: RecordId) -> Result<&OpenClass> {
    for class in open.within(reach) {
        if class.store.read(|reading| reading.row(id))?.is_some() {
            return Ok(class);
        }
    }
    Err(ErrorKind::NotFound.into())
}

fn repin(parts: &mut [Part<'_>], id: RecordId, pinned: bool) -> Result<()> {
    let part = parts.first().ok_or(ErrorKind::NotFound)?;
    let reading = part.writing.reading();
    let now = Timestamp::now();
    let row = reading.row(id)?.filter(|row| !is_expired(row, now));
    let located = part.open.name(&reading, row.ok_or(ErrorKind::NotFound)?)?;
    let mut record = part.open.open_row(located)?;
    if record.pinned != pinned {
        record.pinned = pinned;
        put(parts, &record, now, None)?;
    }
    Ok(())
}

impl Inner {
    /// Brings the everyday classes within the session's quotas, a part of the way at a time, where
    /// something was put since that was last done. What cannot be erased now is tried again.
    pub(super) fn keep_within_quotas(&self, open: &OpenClasses, waiting: &mut bool) {
        let (quotas, by) = {
            let set = self.quotas();
            match &set.by {
                Some(by) if !set.quotas.is_empty() => (set.quotas.clone(), by.clone()),
                _ => return,
            }
        };
        for class in open.within(Reach::OWN) {
            let at = (class.class(), class.last_put());
            if self.quotas().within.contains(&at) {
                continue;
            }
            if let Ok(0) = bring_within(open, class, &quotas, &by, waiting, false) {
                let mut set = self.quotas();
                set.within.retain(|(of, _)| *of != at.0);
                set.within.push(at);
            }
        }
    }

    pub(super) fn quotas(&self) -> MutexGuard<'_, Quotas> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Erases what a class has too much of: all of it, or as much as takes a moment.
fn bring_within(
    open: &OpenClasses,
    class: &OpenClass,
    quotas: &[Quota],
    by: &Actor,
    waiting: &mut bool,
    all: bool,
) -> Result<u64> {
    let mut removed = 0;
    for quota in quotas {
        let most = Most {
            records: quota.records,
            bytes: quota.bytes,
        };
        loop {
            let surplus = class.store.read(|reading| {
                let (keys, space) = (&class.keys, TokenSpace::Kind);
                match class.names.find_term(keys, reading, space, &quota.kind)? {
                    Some(kind) => reading.least_needed(kind.number, most, NO_EFFECTIVE_TIME, MOST),
                    None => Ok(Vec::new()),
                }
            })?;
            if surplus.is_empty() {
                break;
            }
            take_away(open, &[class], by, waiting, &mut |parts| {
                let part = parts.first_mut().ok_or(ErrorKind::NotFound)?;
                surplus
                    .iter()
                    .try_for_each(|id| part.take(Step::Remove(*id)))
            })?;
            open.with_reserve(RoomFor::Erasing, || {
                intent::scrub_up_to(open, class.class(), &[])
            })?;
            removed += u64::try_from(surplus.len()).unwrap_or(u64::MAX);
            if !all {
                break;
            }
        }
    }
    Ok(removed)
}
