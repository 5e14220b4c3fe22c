//! Giving back what the databases do not use.

use std::sync::PoisonError;

use super::classes::Reach;
use super::live::Inner;
use super::transaction::finish_earlier;
use crate::error::Result;

/// How many bytes the databases within reach do not use.
pub(super) fn unused(inner: &Inner, reach: Reach) -> Result<u64> {
    inner.with(reach, |open| {
        let mut classes = open.within(reach);
        classes.try_fold(0, |sum, class| Ok(sum + class.store.unused()?))
    })
}

/// Makes the files shorter by up to so many bytes; by how many. The session is asked anew before
/// every step, and whoever waits to write or to lock comes in between.
pub(super) fn shrink(inner: &Inner, reach: Reach, most: u64) -> Result<u64> {
    let mut given = 0;
    while given < most {
        let step = step(inner, reach, most - given)?;
        if step == 0 {
            break;
        }
        given += step;
    }
    Ok(given)
}

fn step(inner: &Inner, reach: Reach, most: u64) -> Result<u64> {
    inner.with(reach, |open| {
        let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
        finish_earlier(open, &mut waiting)?;
        for class in open.within(reach) {
            // A commit that failed is put in order before the next write.
            let given = class.store.shrink(most);
            let given = given.inspect_err(|_| *waiting = true)?;
            if given > 0 {
                return Ok(given);
            }
        }
        Ok(0)
    })
}
