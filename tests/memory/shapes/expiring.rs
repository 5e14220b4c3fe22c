//! Sessions that nobody locks, and a vault that is paused.

use std::thread;
use std::time::Duration;

use vitalock::{Class, LockReason, SessionPolicy};

use super::{check, put_and_read, step_up, unlock};
use crate::child::Child;

/// Nobody calls: the timer ends session and lease, in a thread of its own.
pub(crate) fn idle(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    put_and_read(child, &session);
    let id = lease.put(child.record(Class::Priority, 1, 900)).unwrap().id;
    check(child, &lease, id);
    let policy = SessionPolicy::new().idle(Duration::from_secs(1)).unwrap();
    lease.set_session_policy(policy).unwrap();
    let database = child.vault().join("standard.db");
    while is_open(&database) {
        thread::yield_now();
    }
    child.stop("locked");
    assert_eq!(session.lock_reason(), Some(LockReason::Idle));
    drop((lease, session, vault));
    child.stop("locked");
}

pub(crate) fn paused(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let id = put_and_read(child, &session);
    let secret = lease.put(child.record(Class::Priority, 1, 900)).unwrap().id;
    check(child, &lease, secret);
    vault.pause();
    // The keys of the everyday classes, and nothing else.
    child.stop("open");
    vault.resume().unwrap();
    check(child, &session, id);
    vault.pause();
    drop(lease);
    session.lock();
    child.stop("locked");
    drop((session, vault));
    child.stop("locked");
}

fn is_open(path: &std::path::Path) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .any(|target| target == path)
}
