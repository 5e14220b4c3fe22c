//! Attackers who have the device in hand, unlocked (T3).

use std::time::Duration;

use vitalock::{Class, ErrorKind, Passphrase, Query, RecordId, SessionPolicy};

use crate::support::fixture::{make_quick_vault, step_up, unlock};
use crate::support::{Scratch, options, words};
use crate::try_both;
use crate::victims::{Victim, record};

/// T3, A1: the phone lies on the table, and the app is open.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a session is left alone by the system's clock"
)]
fn a_session_that_was_left_open_closes_itself() {
    let reads = |policy: &SessionPolicy| {
        let victim = Victim::with(options().session_policy(*policy), true, false);
        let (vault, words) = (victim.open(), words());
        let session = vault.unlock(&victim.factors(&words)).unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        session
            .query(&Query::new())
            .next()
            .is_some_and(|found| found.is_ok())
    };
    let short = SessionPolicy::new().idle(Duration::from_secs(1)).unwrap();
    let long = SessionPolicy::new().idle(Duration::from_secs(900)).unwrap();
    try_both(reads, &short, &long);
}

/// T3, A1: an open session, and no factors.
#[test]
fn an_open_session_shows_no_priority_document() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let id: RecordId = step_up(&session).put(record(Class::Priority)).unwrap().id;
    // Weaker: the document was not marked.
    let unmarked = session.put(record(Class::Standard)).unwrap().id;
    let reads = |id: &RecordId| session.get(*id).unwrap().is_some();
    try_both(reads, &id, &unmarked);
    let listed = session.query(&Query::new()).count();
    assert_eq!(listed, 1);
}

/// T3, A4: six digits, the eighth of which is right.
#[test]
fn guessing_at_the_device_is_stopped_before_it_succeeds() {
    let guess = |(victim, root): &(Victim, bool)| {
        let fresh = std::fs::read(victim.dir().join("attempts")).unwrap();
        (0..10).any(|number| {
            let words = match number {
                7 => words(),
                other => {
                    Passphrase::new(format!("a wrong guess, number {other}").as_bytes()).unwrap()
                }
            };
            if *root {
                // Whoever can write the files takes the count back.
                std::fs::write(victim.dir().join("attempts"), &fresh).unwrap();
            }
            victim.open().unlock(&victim.factors(&words)).is_ok()
        })
    };
    let alone = Victim::with(options(), true, false);
    try_both(guess, &(Victim::new(), false), &(alone, true));
    // What is counted outside the directory as well cannot be taken back there.
    let alone = Victim::with(options(), true, false);
    try_both(guess, &(Victim::new(), true), &(alone, true));
}

/// T3, A4: a finger that was added yesterday.
#[test]
fn a_factor_that_is_not_enough_does_not_change_who_may_open() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    // There is no method for it without a lease; what there is asks for the factors.
    let wrong = Passphrase::new(b"not what the owner knows").unwrap();
    let refused = session.step_up(&vitalock::Credentials::passphrase(&wrong));
    let kind = refused.map(drop).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::NoMatchingSlot);
    // The control: with the factors there is.
    let lease = step_up(&session);
    let slots = lease.slots().list().unwrap().len();
    lease.slots().add_emergency().unwrap();
    assert_eq!(lease.slots().list().unwrap().len(), slots + 1);
}
