//! What has expired, and goes.

use std::sync::PoisonError;

use super::classes::{OpenClasses, Reach};
use super::commit::take_away;
use super::intent;
use super::live::Inner;
use super::open_class::OpenClass;
use super::transaction::finish_earlier;
use crate::actor::Actor;
use crate::class::Class;
use crate::error::Result;
use crate::fs::RoomFor;
use crate::time::Timestamp;

/// Removes what has expired; how many records that were.
pub(super) fn erase_expired(inner: &Inner, reach: Reach) -> Result<u64> {
    inner.changing(reach, |open| {
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let classes: Vec<_> = open.within(reach).collect();
        expire(open, &classes, &inner.actor(reach), &mut waiting, true)
    })
}

/// Erases what has expired in a cache, whose records nobody has to ask for to be rid of: all of it, or
/// as much as takes a moment. Nobody waits for it: what cannot be erased now is tried again.
pub(super) fn expire_cache(open: &OpenClasses, waiting: &mut bool, all: bool) {
    // An emergency session changes nothing.
    let everyday = open.class(Reach::OWN, Class::Standard).is_ok();
    let caches = open
        .classes
        .iter()
        .filter(|open| everyday && open.is_cache());
    let caches: Vec<_> = caches.collect();
    let _ = expire(open, &caches, &Actor::unnamed(), waiting, all);
}

/// How many records go in one transaction.
const MOST: usize = 2048;

fn expire(
    open: &OpenClasses,
    classes: &[&OpenClass],
    by: &Actor,
    waiting: &mut bool,
    all: bool,
) -> Result<u64> {
    finish_earlier(open, waiting)?;
    let now = Timestamp::now().to_micros();
    let mut removed = 0;
    for class in classes {
        while class.store.read(|reading| reading.has_expired(now))? {
            let done = take_away(open, &[class], by, waiting, &mut |parts| {
                let mut removed = 0;
                for part in parts {
                    let here = part.open.remove_expired(part.writing, now, MOST)?;
                    part.noted.expired_erased(here);
                    removed += here;
                }
                Ok(removed)
            })?;
            open.with_reserve(RoomFor::Erasing, || {
                intent::scrub_up_to(open, class.class(), &[])
            })?;
            removed += done.value;
            if !all || done.value == 0 {
                break;
            }
        }
    }
    Ok(removed)
}
