//! The one thread that ends sessions when nobody calls.
//!
//! It is there while a session of this process is open, looks once a second and whenever a limit is
//! due, and never waits for a call under way: that closes what is over when it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::live::Inner;
use crate::error::{ErrorKind, Result};

/// The wait is measured by a clock that may stand still in sleep. So it is short.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

struct Timer {
    watched: Mutex<Watched>,
    changed: Condvar,
}

struct Watched {
    sessions: Vec<Weak<Inner>>,
    running: bool,
}

static TIMER: Timer = Timer {
    watched: Mutex::new(Watched {
        sessions: Vec::new(),
        running: false,
    }),
    changed: Condvar::new(),
};

/// Ends this session when its limits are reached, until it is forgotten.
///
/// # Errors
///
/// [`ErrorKind::OutOfMemory`] where the system gives no thread: a session that nobody watches is
/// none.
pub(super) fn watch(session: &Arc<Inner>) -> Result<()> {
    let mut watched = lock();
    if !watched.running {
        let thread = std::thread::Builder::new().name("vitalock-timer".to_owned());
        thread.spawn(run).map_err(|_| ErrorKind::OutOfMemory)?;
        watched.running = true;
    }
    watched.sessions.push(Arc::downgrade(session));
    TIMER.changed.notify_all();
    Ok(())
}

/// Looks at this session no more. When it returns the thread holds nothing of it.
pub(super) fn forget(session: &Inner) {
    let mut watched = lock();
    watched
        .sessions
        .retain(|other| !std::ptr::eq(other.as_ptr(), session));
    TIMER.changed.notify_all();
}

/// A limit is nearer than it was.
pub(super) fn look_again() {
    TIMER.changed.notify_all();
}

fn run() {
    let mut watched = lock();
    loop {
        let mut wait = LONGEST_WAIT;
        // The list stays locked while sessions are held, so that whoever forgets one has the last
        // hold of it.
        watched.sessions.retain(|session| {
            let Some(session) = session.upgrade() else {
                return false;
            };
            // A panic in one session must not leave the others without a timer.
            let look = catch_unwind(AssertUnwindSafe(|| session.look()));
            let due = look.unwrap_or(Some(LONGEST_WAIT));
            wait = wait.min(due.unwrap_or(LONGEST_WAIT));
            due.is_some()
        });
        if watched.sessions.is_empty() {
            watched.running = false;
            return;
        }
        let waited = TIMER.changed.wait_timeout(watched, wait);
        (watched, _) = waited.unwrap_or_else(PoisonError::into_inner);
    }
}

fn lock() -> MutexGuard<'static, Watched> {
    let watched = TIMER.watched.lock();
    watched.unwrap_or_else(PoisonError::into_inner)
}
