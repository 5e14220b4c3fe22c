//! Writing: sizes, batches, revisions, and all that is refused.

use vitalock::{Batch, Class, ErrorKind, Query, Record, Timestamp};

use super::{CLASSES, check, fill, lock, step_up, unlock};
use crate::canary::Field;
use crate::child::Child;

pub(crate) fn sizes(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    for (number, length) in (0..).zip([0, 1, 31, 100, 4096, 100_000, 3_000_000]) {
        let id = session
            .put(child.record(Class::Standard, number, length))
            .unwrap()
            .id;
        check(child, &session, id);
        child.stop("open");
    }
    lock(child, vault, session);
}

pub(crate) fn batch(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let mut batch = Batch::new();
    for number in 0..30 {
        for class in CLASSES {
            batch.put(child.record(class, number, 300));
        }
    }
    let stored = lease.commit(&batch).unwrap();
    drop(batch);
    for stored in stored {
        check(child, &lease, stored.id);
    }
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn rollback(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    lease.put(child.record(Class::Standard, 1, 100)).unwrap();
    let mut batch = Batch::new();
    for class in CLASSES {
        batch.put(child.record_about(class, Field::OtherSubject, 7, 1000));
    }
    // The same version with another body cannot be put.
    batch.put(child.record(Class::Standard, 1, 101));
    assert_eq!(
        lease.commit(&batch).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    drop(batch);
    assert_eq!(lease.count(&Query::new()).unwrap(), 1);
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn refused_writes(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let refused = |record: Record| session.put(record).unwrap_err().kind();
    let priority = child.record(Class::Priority, 1, 5000);
    assert_eq!(refused(priority), ErrorKind::LeaseRequired);
    let reversed = (Timestamp::from_micros(2), Timestamp::from_micros(1));
    let record = child.record(Class::Standard, 1, 5000);
    let record = record.effective_during(reversed.0, reversed.1);
    assert_eq!(refused(record), ErrorKind::InvalidRecord);
    let id = session
        .put(child.record(Class::Standard, 1, 5000))
        .unwrap()
        .id;
    let (first, second) = (
        session.get(id).unwrap().unwrap(),
        session.get(id).unwrap().unwrap(),
    );
    session
        .put(first.with_body(child.body(Class::Standard, 900)))
        .unwrap();
    let stale = second.with_body(child.body(Class::Standard, 800));
    assert_eq!(refused(stale), ErrorKind::Conflict);
    assert_eq!(
        session
            .put(child.record(Class::Standard, 1, 5000))
            .unwrap_err()
            .kind(),
        ErrorKind::Conflict
    );
    lock(child, vault, session);
}

pub(crate) fn history(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let id = session
        .put(child.record(Class::Standard, 1, 2000))
        .unwrap()
        .id;
    for length in 1..20 {
        let record = session.get(id).unwrap().unwrap();
        session
            .put(record.with_body(child.body(Class::Standard, 100 * length)))
            .unwrap();
    }
    assert_eq!(session.history(id).unwrap().len(), 19);
    lock(child, vault, session);
}

pub(crate) fn move_between_classes(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    // Everything about it belongs to Priority from the start, as far as its names go.
    let id = lease
        .put(child.record(Class::Priority, 1, 2000))
        .unwrap()
        .id;
    let record = lease.get(id).unwrap().unwrap();
    lease
        .put(record.with_body(child.body(Class::Priority, 100)))
        .unwrap();
    for class in [Class::Standard, Class::Emergency, Class::Priority] {
        lease
            .put(lease.get(id).unwrap().unwrap().class(class))
            .unwrap();
    }
    assert_eq!(lease.history(id).unwrap().len(), 4);
    child.stop("lease");
    session.lock();
    child.stop("locked");
    drop((lease, session, vault));
    child.stop("locked");
}

pub(crate) fn tampered(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    session.lock();
    drop((session, vault));
    child.stop("locked");
    child.link.ask("tamper", &mut [0]);
    let vault = child.open();
    let session = unlock(child, &vault);
    let refused = ids.iter().filter(|id| session.get(**id).is_err()).count();
    assert_eq!(refused, 20, "half of the records are in Standard");
    let query = Query::new().class(Class::Standard);
    let error = session.query(&query).next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TamperDetected);
    let mut batch = Batch::new();
    batch.put(child.record(Class::Emergency, 300, 700));
    // Met by its client identity, the row that was changed stops the batch.
    batch.put(child.record_about(Class::Standard, Field::OtherSubject, 1, 701));
    assert_eq!(
        session.commit(&batch).unwrap_err().kind(),
        ErrorKind::TamperDetected
    );
    drop(batch);
    lock(child, vault, session);
}
