//! Limits of a whole vault, just before, at and just after them, by a clock that the test holds.

use std::time::Duration;

use super::scene::{SECOND, Scene, is_open};
use crate::audit::LockReason;
use crate::class::Class;
use crate::error::ErrorKind;
use crate::keys::{Credentials, Passphrase, SessionPolicy};
use crate::records::{Query, Record};

/// Just before, at and just after so many seconds.
fn around(seconds: i64) -> [(i64, bool); 3] {
    let limit = seconds * SECOND;
    [(limit - 1, false), (limit, true), (limit + 1, true)]
}

fn locked<T>(result: Result<T, crate::Error>) -> bool {
    match result {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::Locked => true,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_call_at_the_idle_limit_finds_the_session_locked_and_one_before_it_does_not() {
    let scene = Scene::with(SessionPolicy::new());
    for (at, over) in around(120) {
        let session = scene.unlock();
        scene.hands.put(at);
        assert_eq!(locked(session.count(&Query::new())), over, "{at}");
        assert_eq!(session.lock_reason(), over.then_some(LockReason::Idle));
        assert_eq!(is_open(&scene.dir.join("standard.db")), !over);
    }
}

#[test]
fn every_call_puts_the_idle_limit_off_and_none_through_an_unattended_handle() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    for minute in 1..10 {
        scene.hands.put_seconds(minute * 60);
        session.touch().unwrap();
    }
    let unattended = session.unattended();
    let mut matches = unattended.query(&Query::new());
    scene.hands.put_seconds(9 * 60 + 119);
    assert_eq!(unattended.count(&Query::new()).unwrap(), 3);
    matches.next().unwrap().unwrap();
    unattended.put(Record::new("Note", "later")).unwrap();
    scene.hands.put_seconds(9 * 60 + 120);
    assert!(locked(matches.next().unwrap()));
    assert!(locked(session.touch()));
}

#[test]
fn a_session_in_constant_use_ends_at_the_absolute_limit() {
    let scene = Scene::with(SessionPolicy::new());
    for (at, over) in around(43_200) {
        let session = scene.unlock();
        for minute in 1..720 {
            scene.hands.put_seconds(minute * 60);
            session.touch().unwrap();
        }
        scene.hands.put(at);
        assert_eq!(locked(session.touch()), over, "{at}");
        assert_eq!(session.lock_reason(), over.then_some(LockReason::Absolute));
    }
}

#[test]
fn an_iterator_ends_between_two_records_when_the_limit_is_reached() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    let mut matches = session.query(&Query::new());
    matches.next().unwrap().unwrap();
    scene.hands.put_seconds(119);
    matches.next().unwrap().unwrap();
    scene.hands.put_seconds(119 + 120);
    assert!(locked(matches.next().unwrap()));
    assert!(matches.next().is_none());
}

#[test]
fn the_timer_closes_a_session_that_nobody_calls_and_one_that_slept() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    assert!(is_open(&scene.dir.join("standard.db")));
    scene.hands.put_seconds(86_400);
    scene.wait_until_closed("standard.db");
    scene.wait_until_closed("emergency.db");
    assert_eq!(session.lock_reason(), Some(LockReason::Absolute));
    // A vault whose session has ended is unlocked again.
    assert!(!scene.unlock().is_locked());
}

#[test]
fn the_timer_closes_priority_at_the_lease_s_limit_and_nothing_else() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let secret = Record::new("Note", "secret").class(Class::Priority);
    let id = lease.put(secret).unwrap().id;
    scene.hands.put(60 * SECOND - 1);
    assert!(lease.get(id).unwrap().is_some());
    let mut matches = lease.query(&Query::new().class(Class::Priority));
    scene.hands.put_seconds(60);
    scene.wait_until_closed("priority.db");
    for kind in [
        lease.get(id).err(),
        lease.count(&Query::new()).err(),
        lease.put(Record::new("Note", "late")).err(),
        lease.slots().list().err(),
        lease.renew(&scene.factors()).err(),
        matches.next().unwrap().err(),
    ] {
        assert_eq!(
            kind.map(|error| error.kind()),
            Some(ErrorKind::LeaseExpired)
        );
    }
    assert!(session.get(id).unwrap().is_none());
    assert_eq!(session.count(&Query::new()).unwrap(), 3);
    // The old handle is in nobody's way, and has nothing of the new lease.
    let again = session.step_up(&scene.factors()).unwrap();
    assert!(again.get(id).unwrap().is_some());
    assert_eq!(lease.get(id).unwrap_err().kind(), ErrorKind::LeaseExpired);
    drop(lease);
    assert!(again.get(id).unwrap().is_some());
}

#[test]
fn a_lease_is_renewed_by_fresh_factors_and_by_no_use() {
    let policy = SessionPolicy::new().lease_reads(5).unwrap();
    let scene = Scene::with(policy);
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let secret = Record::new("Note", "secret").class(Class::Priority);
    let id = lease.put(secret).unwrap().id;
    for turn in 1..4 {
        for _ in 0..4 {
            lease.get(id).unwrap();
        }
        scene.hands.put_seconds(turn * 59);
        let wrong = Passphrase::new(b"five loud herons wade here").unwrap();
        let refused = lease.renew(&Credentials::passphrase(&wrong)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnlockFailed);
        lease.renew(&scene.factors()).unwrap();
    }
    // Five reads, in whatever way, and not one more.
    assert_eq!(lease.get_many(&[id, id]).unwrap().len(), 2);
    let mut matches = lease.query(&Query::new().class(Class::Priority));
    assert!(matches.next().unwrap().is_ok());
    assert_eq!(lease.get_many(&[id, id]).unwrap().len(), 2);
    assert_eq!(lease.get(id).unwrap_err().kind(), ErrorKind::LeaseExpired);
    assert!(!is_open(&scene.dir.join("priority.db")));
    assert_eq!(session.count(&Query::new()).unwrap(), 3);
}

#[test]
fn the_background_ends_a_session_after_its_grace() {
    let policy = SessionPolicy::new()
        .background(Duration::from_secs(30))
        .unwrap();
    let scene = Scene::with(policy);
    for (at, over) in around(10 + 30) {
        let session = scene.unlock();
        let lease = session.step_up(&scene.factors()).unwrap();
        scene.hands.put_seconds(10);
        scene.vault.entered_background();
        assert_eq!(lease.touch().unwrap_err().kind(), ErrorKind::LeaseExpired);
        scene.wait_until_closed("priority.db");
        scene.hands.put_seconds(20);
        session.touch().unwrap();
        scene.vault.entered_background();
        scene.hands.put(at);
        scene.vault.entering_foreground();
        assert_eq!(session.is_locked(), over, "{at}");
        assert_eq!(
            session.lock_reason(),
            over.then_some(LockReason::Background)
        );
        scene.hands.put_seconds(60);
        assert_eq!(session.is_locked(), over);
        drop(lease);
        session.lock();
    }
    // Opened in the background, it has its grace from then on.
    scene.hands.put(0);
    scene.vault.entered_background();
    scene.hands.put_seconds(1000);
    let session = scene.vault.unlock(&scene.factors()).unwrap();
    scene.hands.put_seconds(1029);
    session.touch().unwrap();
    scene.hands.put_seconds(1030);
    assert!(locked(session.touch()));
}

#[test]
fn a_paused_session_ends_as_well_and_keeps_no_key() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    scene.vault.pause();
    scene.hands.put_seconds(119);
    assert_eq!(session.touch().unwrap_err().kind(), ErrorKind::Paused);
    scene.hands.put_seconds(120);
    assert!(session.is_locked());
    scene.vault.resume().unwrap();
    assert!(locked(session.touch()));
    assert_eq!(session.lock_reason(), Some(LockReason::Idle));
}

#[test]
fn a_policy_holds_from_the_session_s_beginning_and_in_later_ones() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let policy = SessionPolicy::new()
        .idle(Duration::from_secs(900))
        .and_then(|policy| policy.absolute(Duration::from_secs(300)))
        .unwrap();
    lease.set_session_policy(policy).unwrap();
    drop(lease);
    assert_eq!(scene.vault.session_policy(), policy);
    scene.hands.put(300 * SECOND - 1);
    session.touch().unwrap();
    scene.hands.put_seconds(300);
    assert!(locked(session.touch()));
    let session = scene.unlock();
    scene.hands.put(300 * SECOND - 1);
    session.touch().unwrap();
    scene.hands.put_seconds(300);
    assert_eq!(session.lock_reason(), Some(LockReason::Absolute));
}

#[test]
fn an_emergency_session_is_open_for_a_quarter_of_an_hour() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let code = lease.slots().add_emergency().unwrap();
    session.lock();
    drop((lease, session));
    for (at, over) in around(900) {
        scene.hands.put(0);
        let emergency = scene
            .vault
            .unlock_emergency(&code, "found unconscious")
            .unwrap();
        for minute in 1..15 {
            scene.hands.put_seconds(minute * 60);
            emergency.count(&Query::new()).unwrap();
        }
        scene.hands.put(at);
        assert_eq!(locked(emergency.count(&Query::new())), over, "{at}");
        assert_eq!(
            emergency.lock_reason(),
            over.then_some(LockReason::Absolute)
        );
    }
}
