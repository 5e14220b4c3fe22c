//! Quotas for kinds, what is needed least, and what is pinned.

use std::time::Duration;

use vitalock::{
    Actor, AuditAction, AuditQuery, Batch, Class, Credentials, ErrorKind, Outcome, Query, Quota,
    Record, RecordChange, RecordId, Session, Timestamp,
};

use crate::support::Scratch;
use crate::support::fixture::{Twin, make_quick_vault, step_up, unlock};

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn day(number: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + number * 86_400_000_000)
}

/// The days of the records of a kind that are there; -1 for one that has none.
fn days(session: &Session, kind: &str) -> Vec<i64> {
    let found = session.query(&Query::new().kind(kind)).map(Result::unwrap);
    let day = |record: Record| record.body()[0].into();
    let mut found: Vec<i64> = found.map(day).collect();
    found.sort_unstable();
    found
}

fn of_day(kind: &str, number: u8, length: usize) -> Record {
    let mut body = vec![7; length];
    body[0] = number;
    Record::new(kind, body).effective(day(number.into()))
}

#[test]
fn what_holds_for_the_time_longest_ago_goes_first_and_what_is_pinned_stays() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let ada = Actor::new("ada").purpose("make room");
    let session = vault.unlock(&Credentials::share(&Twin).by(&ada)).unwrap();
    let mut batch = Batch::new();
    for number in 0..40_u16 {
        // Out of order, and in two classes.
        let number = (number * 7 % 40) as u8;
        let record = of_day("Observation", number, 100);
        let record = match number {
            3 | 5 => record.pinned(),
            _ => record,
        };
        batch.put(record);
        batch.put(of_day("Note", number, 100));
        batch.put(of_day("Observation", number, 100).class(Class::Emergency));
    }
    // It does not say when it holds, and was put just now: far later than any of those days.
    let mut body = vec![7; 100];
    body[0] = 99;
    batch.put(Record::new("Observation", body));
    session.commit(&batch).unwrap();
    let quota = Quota::new("Observation").records(10);
    assert_eq!(
        session.set_quotas(std::slice::from_ref(&quota)).unwrap(),
        29 + 30
    );
    let in_standard = {
        let standard = Query::new().kind("Observation").class(Class::Standard);
        let mut days: Vec<_> = session
            .query(&standard)
            .map(|record| record.unwrap().body()[0])
            .collect();
        days.sort_unstable();
        days
    };
    assert_eq!(in_standard, [3, 5, 31, 32, 33, 34, 35, 36, 37, 38, 39, 99]);
    let in_emergency = Query::new().kind("Observation").class(Class::Emergency);
    assert_eq!(session.count(&in_emergency).unwrap(), 10);
    assert_eq!(days(&session, "Note").len(), 40);
    // Each that went stands in the trail, and who wanted it.
    let erased = AuditQuery::new()
        .action(AuditAction::Changed)
        .class(Class::Standard);
    let erased: Vec<_> = session
        .audit_trail(&erased)
        .map(Result::unwrap)
        .filter(|entry| {
            entry
                .records()
                .iter()
                .any(|record| record.change == Some(RecordChange::Erased))
        })
        .collect();
    assert_eq!(erased.len(), 1);
    assert_eq!(erased[0].records().len(), 29);
    assert_eq!(erased[0].purpose(), Some("make room"));
    // Nothing is too much any more, whichever way it is asked.
    assert_eq!(session.set_quotas(&[quota, Quota::new("Note")]).unwrap(), 0);
    assert_eq!(
        session
            .set_quotas(&[Quota::new("Unknown").records(0)])
            .unwrap(),
        0
    );
    assert_eq!(session.verify().unwrap().faults, []);
    for bad in [vec![Quota::new("")], vec![Quota::new("Note"); 65]] {
        assert_eq!(
            kind(session.set_quotas(&bad)),
            Some(ErrorKind::InvalidRecord)
        );
    }
    let everything = Quota::new("Observation").records(0);
    session.set_quotas(&[everything]).unwrap();
    assert_eq!(days(&session, "Observation"), [3, 5]);
}

#[test]
fn bytes_are_counted_with_earlier_revisions_and_a_small_one_does_not_slip_past_a_large() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    let put = |number, length| session.put(of_day("Scan", number, length)).unwrap().id;
    let oldest = put(1, 10);
    let twice = put(2, 50_000);
    put(3, 60_000);
    put(4, 60_000);
    let again = session.get(twice).unwrap().unwrap();
    session.put(again.with_body(vec![2; 50_000])).unwrap();
    let bytes = |session: &Session| session.usage().unwrap().kinds[0].bytes();
    assert!((220_000..222_000).contains(&bytes(&session)));
    // There is room for the bodies that are in use, and not for the revision before.
    let gone = session
        .set_quotas(&[Quota::new("Scan").bytes(175_000)])
        .unwrap();
    assert_eq!(gone, 2);
    assert_eq!(days(&session, "Scan"), [3, 4]);
    assert_eq!(session.get(oldest).unwrap().map(drop), None);
    assert!(bytes(&session) <= 175_000);
    assert_eq!(session.verify().unwrap().faults, []);
}

#[test]
fn more_than_one_transaction_holds_is_brought_within_a_quota_and_gives_its_room_back() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    for _ in 0..50 {
        let batch: Batch = (0..100)
            .map(|number| of_day("Sample", number, 500))
            .collect();
        session.commit(&batch).unwrap();
    }
    let before = session.usage().unwrap();
    let gone = session
        .set_quotas(&[Quota::new("Sample").records(100)])
        .unwrap();
    assert_eq!(gone, 4900);
    assert_eq!(
        days(&session, "Sample"),
        [&[98; 50][..], &[99; 50]].concat()
    );
    while session.shrink(1000).unwrap() > 0 {}
    let after = session.usage().unwrap();
    assert!(
        after.size.total() < before.size.total() / 2,
        "{after:?} {before:?}"
    );
    assert_eq!(session.verify().unwrap().faults, []);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the timer goes by the system's clock"
)]
fn what_is_put_later_is_brought_within_its_quota_and_priority_waits_for_a_lease() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let quota = [Quota::new("Sample").records(2)];
    let lease = step_up(&session);
    for number in 0..5 {
        lease
            .put(of_day("Sample", number, 10).class(Class::Priority))
            .unwrap();
    }
    assert_eq!(session.set_quotas(&quota).unwrap(), 0);
    for number in 0..5 {
        session.put(of_day("Sample", number, 10)).unwrap();
    }
    // Without a word from anybody, while the lease is open.
    let standard = Query::new().class(Class::Standard);
    while session.unattended().count(&standard).unwrap() > 2 {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(days(&session, "Sample"), [3, 4]);
    assert_eq!(
        lease.count(&Query::new().class(Class::Priority)).unwrap(),
        5
    );
    assert_eq!(lease.set_quotas(&quota).unwrap(), 3);
    assert_eq!(
        lease.count(&Query::new().class(Class::Priority)).unwrap(),
        2
    );
    drop(lease);
    // They end with the session.
    session.lock();
    let session = unlock(&vault);
    for number in 5..9 {
        session.put(of_day("Sample", number, 10)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(session.count(&standard).unwrap(), 6);
}

#[test]
fn a_pin_outlives_versions_and_moves_and_ends_when_it_is_taken_out() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let plan = |version| {
        Record::new("Plan", format!("version {version}").into_bytes()).client("plan/1", version)
    };
    let id = lease.put(plan(1)).unwrap().id;
    let state = |id: RecordId| {
        let record = lease.get(id).unwrap().unwrap();
        (record.is_pinned(), record.revision().unwrap())
    };
    assert_eq!(state(id), (false, 1));
    lease.pin(id).unwrap();
    lease.pin(id).unwrap();
    assert_eq!(state(id), (true, 2), "pinning twice changes nothing");
    // The same version again is no other content, and a later one knows nothing of pins.
    assert_eq!(lease.put(plan(1)).unwrap().outcome, Outcome::Unchanged);
    lease.put(plan(2)).unwrap();
    assert_eq!(state(id), (true, 3));
    lease.put(plan(3).class(Class::Priority)).unwrap();
    assert_eq!(state(id), (true, 4));
    // A record that was read and is put again is as it was.
    let read = lease.get(id).unwrap().unwrap();
    assert_eq!(read.protection_class(), Class::Priority);
    lease
        .put(read.with_body("another").class(Class::Standard))
        .unwrap();
    assert_eq!(state(id), (true, 5));
    let earlier: Vec<_> = lease
        .history(id)
        .unwrap()
        .iter()
        .map(Record::is_pinned)
        .collect();
    assert_eq!(
        earlier.iter().filter(|pinned| **pinned).count(),
        3,
        "{earlier:?}"
    );
    assert_eq!(lease.verify().unwrap().faults, []);
    let quota = [Quota::new("Plan").records(0)];
    assert_eq!(lease.set_quotas(&quota).unwrap(), 0);
    lease.unpin(id).unwrap();
    assert_eq!(state(id), (false, 6));
    assert_eq!(lease.set_quotas(&quota).unwrap(), 1);
    assert_eq!(kind(lease.pin(id)), Some(ErrorKind::NotFound));
    // What has expired is no more, pinned or not; and a session does not see what is in Priority.
    let expired = Record::new("Plan", "old")
        .pinned()
        .expires(Timestamp::from_micros(1));
    let expired = lease.put(expired).unwrap().id;
    assert_eq!(kind(session.unpin(expired)), Some(ErrorKind::NotFound));
    assert_eq!(session.erase_expired().unwrap(), 1);
    let hidden = lease
        .put(Record::new("Plan", "secret").class(Class::Priority))
        .unwrap()
        .id;
    assert_eq!(kind(session.pin(hidden)), Some(ErrorKind::NotFound));
    // A deposit keeps its pin.
    drop(lease);
    let deposited = session.deposit(&Record::new("Plan", "later").class(Class::Priority).pinned());
    let lease = step_up(&session);
    assert!(lease.get(deposited.unwrap()).unwrap().unwrap().is_pinned());
}
