//! Many threads and handles, and how they go.

use std::sync::{Arc, Barrier};
use std::{panic, thread};

use vitalock::{Class, ErrorKind, Query, Session};

use super::{check, fill, lock, put_and_read, step_up, unlock};
use crate::child::Child;

pub(crate) fn threads(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    let (done, park) = (Barrier::new(5), Barrier::new(5));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for id in &ids {
                    check(child, &session, *id);
                }
                let all = session.query(&Query::new());
                // The one that the others put may be there already.
                assert!(all.map(Result::unwrap).count() >= 40);
                session
                    .put(child.record(Class::Standard, 500, 700))
                    .unwrap();
                done.wait();
                park.wait();
            });
        }
        done.wait();
        child.stop("open");
        session.lock();
        child.stop("locked");
        park.wait();
    });
    drop((session, vault));
    child.stop("locked");
}

pub(crate) fn ended_threads(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ids.iter().for_each(|id| check(child, &session, *id)));
        }
        let panicking = scope.spawn(|| {
            let mut matches = session.query(&Query::new());
            let held = (session.get(ids[0]).unwrap(), matches.next());
            // Past the panic hook, so that the test's output stays quiet.
            panic::resume_unwind(Box::new(held.0.is_some()));
        });
        assert!(panicking.join().is_err());
    });
    lock(child, vault, session);
}

pub(crate) fn lock_under_load(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    let (begun, park) = (Barrier::new(4), Barrier::new(4));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                begun.wait();
                let read = || ids.iter().all(|id| session.get(*id).is_ok());
                while read() {
                    session.query(&Query::new()).for_each(drop);
                    let _ = session.put(child.record(Class::Standard, 600, 9000));
                }
                park.wait();
                park.wait();
            });
        }
        begun.wait();
        check(child, &session, ids[0]);
        session.lock();
        park.wait();
        child.stop("locked");
        park.wait();
    });
    drop((session, vault));
    child.stop("locked");
}

pub(crate) fn dropped(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    let lease = step_up(child, &session);
    lease.put(child.record(Class::Priority, 1, 900)).unwrap();
    child.stop("lease");
    drop(session);
    child.stop("lease");
    drop(lease);
    child.stop("locked");
    drop(vault);
    child.stop("locked");
}

pub(crate) fn clones(child: &Child) {
    let vault = child.open();
    let session = Arc::new(unlock(child, &vault));
    let clones: Vec<_> = (0..10).map(|_| Session::clone(&session)).collect();
    let ids = clones.iter().map(|clone| put_and_read(child, clone));
    let ids: Vec<_> = ids.collect();
    child.stop("open");
    clones[3].lock();
    child.stop("locked");
    assert_eq!(session.get(ids[0]).unwrap_err().kind(), ErrorKind::Locked);
    child.stop("locked");
    drop((clones, session, vault));
    child.stop("locked");
}
