//! Erasing records, people and what has expired.

use vitalock::{Class, Query, Quota, Timestamp};

use super::{CLASSES, check, fill, lock, step_up, unlock};
use crate::canary::Field;
use crate::child::Child;

pub(crate) fn erase(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    for id in &ids[..5] {
        assert!(session.erase(*id).unwrap());
        assert!(!session.erase(*id).unwrap());
    }
    lock(child, vault, session);
}

pub(crate) fn erase_subject(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    let lease = step_up(child, &session);
    let stored = lease.put(child.record_about(Class::Priority, Field::OtherSubject, 1, 900));
    check(child, &lease, stored.unwrap().id);
    // One iterator that has met the person's records, and one that is about to.
    let mut met = session.query(&Query::new().oldest_first());
    assert!(met.by_ref().take(3).all(|found| found.is_ok()));
    let mut kept = met;
    child.stop("lease");
    for class in CLASSES {
        lease
            .erase_subject(child.canary(class, Field::OtherSubject).text())
            .unwrap();
    }
    child.link.ask("erased", &mut [0]);
    child.stop("lease");
    // What is left is handed out; what was erased is passed over.
    let left = kept.by_ref().map(Result::unwrap).count();
    assert_eq!(
        left, 18,
        "twenty of the other person's, and two were met before"
    );
    child.stop("lease");
    drop((kept, lease));
    lock(child, vault, session);
}

pub(crate) fn quotas(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    session.pin(ids[0]).unwrap();
    let quota = |class| Quota::new(child.kind(class).text()).records(3);
    let quotas = [quota(Class::Emergency), quota(Class::Standard)];
    assert_eq!(session.set_quotas(&quotas).unwrap(), 33);
    drop(quotas);
    // The session remembers them for what is put later.
    lock(child, vault, session);
}

pub(crate) fn expiry(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    for number in 100..110 {
        let record = child.record(Class::Standard, number, 300);
        session
            .put(record.expires(Timestamp::from_micros(1)))
            .unwrap();
    }
    assert_eq!(session.count(&Query::new()).unwrap(), 40);
    assert_eq!(session.erase_expired().unwrap(), 10);
    lock(child, vault, session);
}
