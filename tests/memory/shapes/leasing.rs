//! Step-up, and how it ends.

use vitalock::{Class, ErrorKind, Query};

use super::{check, lock, put_and_read, step_up, unlock};
use crate::child::Child;

pub(crate) fn lease(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    for number in 0..3 {
        let lease = step_up(child, &session);
        let id = lease
            .put(child.record(Class::Priority, number, 900))
            .unwrap()
            .id;
        check(child, &lease, id);
        assert_eq!(lease.query(&Query::new()).count(), 3 + number as usize);
        let escaped = (*lease).clone();
        child.stop("lease");
        drop(lease);
        child.stop("open");
        let refused = escaped.get(id).unwrap_err().kind();
        assert_eq!(refused, ErrorKind::LeaseExpired);
    }
    lock(child, vault, session);
}

pub(crate) fn deposits(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    for number in 0..3 {
        let record = child.record(Class::Priority, number, 900);
        let id = session.deposit(&record).unwrap();
        drop(record);
        // Neither the record nor a key of Priority is here, though it was just written.
        child.stop("open");
        let lease = step_up(child, &session);
        check(child, &lease, id);
        let other = child.record(Class::Priority, 10 + number, 5000);
        let waits = session.deposit(&other).unwrap();
        drop(other);
        let read = lease.deposited(waits).unwrap().expect("it waits");
        assert!(child.is_body(Class::Priority, read.body()));
        drop(read);
        child.stop("lease");
        lease.take_in_deposits().unwrap();
        drop(lease);
        child.stop("open");
    }
    lock(child, vault, session);
}

pub(crate) fn lock_under_lease(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let id = lease.put(child.record(Class::Priority, 1, 900)).unwrap().id;
    check(child, &lease, id);
    child.stop("lease");
    session.lock();
    child.stop("locked");
    assert_eq!(lease.get(id).unwrap_err().kind(), ErrorKind::Locked);
    drop((lease, session, vault));
    child.stop("locked");
}
