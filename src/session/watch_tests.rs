//! Every limit just before, at and just after it, on clocks that stand where they are put.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::watch::Watch;
use crate::audit::LockReason;
use crate::error::ErrorKind;
use crate::keys::SessionPolicy;
use crate::time::{Clock, Moment};

/// Clocks that stand where they are put.
struct Hands(Mutex<Moment>);

impl Clock for Hands {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

const SECOND: i64 = 1_000_000;
const START: Moment = Moment {
    steady: 77 * SECOND,
    wall: 1_800_000_000 * SECOND,
};

fn begin(policy: &SessionPolicy) -> (Arc<Hands>, Watch) {
    let hands = Arc::new(Hands(Mutex::new(START)));
    let clock: Arc<dyn Clock> = hands.clone();
    (hands, Watch::begin(clock, policy, Duration::MAX))
}

impl Hands {
    /// Puts both clocks so many microseconds after the start.
    fn put(&self, after: i64) {
        self.put_apart(after, after);
    }

    fn put_apart(&self, steady: i64, wall: i64) {
        *self.0.lock().unwrap() = Moment {
            steady: START.steady + steady,
            wall: START.wall + wall,
        };
    }
}

fn ended(watch: &Watch) -> Option<LockReason> {
    watch.enforce();
    watch.ended()
}

/// Just before, at and after a limit that lies so many seconds after the start.
fn around(limit: i64) -> [(i64, bool); 3] {
    let limit = limit * SECOND;
    [(limit - 1, false), (limit, true), (limit + 1, true)]
}

#[test]
fn a_session_that_nobody_uses_ends_at_the_idle_limit_and_not_before() {
    for (at, over) in around(120) {
        let (hands, watch) = begin(&SessionPolicy::new());
        hands.put(at);
        assert_eq!(ended(&watch), over.then_some(LockReason::Idle), "{at}");
        // It does not come back.
        hands.put(0);
        assert_eq!(watch.ended().is_some(), over);
    }
}

#[test]
fn use_puts_the_idle_limit_off_from_its_end_and_looking_does_not() {
    for (at, over) in around(60 + 50 + 120) {
        let (hands, watch) = begin(&SessionPolicy::new());
        hands.put(60 * SECOND);
        let call = watch.used(watch.enforce());
        // A call that takes longer than the limit is not idleness.
        hands.put((60 + 50) * SECOND);
        assert_eq!(ended(&watch), None);
        drop(call);
        hands.put((60 + 50 + 60) * SECOND);
        assert_eq!(ended(&watch), None);
        hands.put(at);
        assert_eq!(ended(&watch), over.then_some(LockReason::Idle), "{at}");
    }
    let (hands, watch) = begin(&SessionPolicy::new());
    let call = watch.used(watch.enforce());
    hands.put(10_000 * SECOND);
    assert_eq!(ended(&watch), None);
    drop(call);
}

#[test]
fn a_session_in_use_ends_at_the_absolute_limit_even_in_the_middle_of_a_call() {
    for (at, over) in around(43_200) {
        let (hands, watch) = begin(&SessionPolicy::new());
        let _call = watch.used(watch.enforce());
        hands.put(at);
        assert_eq!(ended(&watch), over.then_some(LockReason::Absolute), "{at}");
    }
}

#[test]
fn a_shorter_bound_than_the_policys_holds() {
    let (hands, _) = begin(&SessionPolicy::new());
    let clock: Arc<dyn Clock> = hands.clone();
    let watch = Watch::begin(clock, &SessionPolicy::new(), Duration::from_secs(60));
    hands.put(60 * SECOND - 1);
    assert_eq!(ended(&watch), None);
    watch.follow(&SessionPolicy::new());
    hands.put(60 * SECOND);
    assert_eq!(ended(&watch), Some(LockReason::Absolute));
}

#[test]
fn the_background_ends_a_session_after_its_grace_and_a_lease_at_once() {
    let grace = Duration::from_secs(10);
    for (at, over) in around(5 + 10) {
        let (hands, watch) = begin(&SessionPolicy::new());
        watch.begin_lease(&SessionPolicy::new());
        hands.put(5 * SECOND);
        assert!(!watch.lease_is_over());
        watch.entered_background(grace);
        assert!(watch.lease_is_over());
        hands.put(7 * SECOND);
        // Said twice, it counts from the first time.
        watch.entered_background(grace);
        hands.put(at);
        assert_eq!(
            ended(&watch),
            over.then_some(LockReason::Background),
            "{at}"
        );
        watch.entering_foreground();
        hands.put(60 * SECOND);
        assert_eq!(watch.ended().is_some(), over);
    }
    let (_, watch) = begin(&SessionPolicy::new());
    watch.entered_background(Duration::ZERO);
    assert_eq!(ended(&watch), Some(LockReason::Background));
}

#[test]
fn a_wall_clock_that_leaves_the_steady_one_ends_a_session() {
    for (apart, over) in [
        (60 * SECOND, false),
        (60 * SECOND + 1, true),
        (-60 * SECOND, false),
        (-60 * SECOND - 1, true),
        (i64::MAX - START.wall, true),
        (-START.wall, true),
    ] {
        let (hands, watch) = begin(&SessionPolicy::new());
        hands.put_apart(0, apart);
        let reason = over.then_some(LockReason::ClockChanged);
        assert_eq!(ended(&watch), reason, "{apart}");
    }
    let (hands, watch) = begin(&SessionPolicy::new());
    hands.put(-1);
    assert_eq!(ended(&watch), Some(LockReason::ClockChanged));
}

#[test]
fn a_lease_ends_at_its_limit_and_only_a_new_beginning_puts_that_off() {
    for (at, over) in around(60) {
        let (hands, watch) = begin(&SessionPolicy::new());
        watch.begin_lease(&SessionPolicy::new());
        hands.put(30 * SECOND);
        drop(watch.used(watch.enforce()));
        hands.put(at);
        assert_eq!(watch.lease_is_over(), over, "{at}");
        watch.begin_lease(&SessionPolicy::new());
        hands.put(at + 60 * SECOND - 1);
        assert!(!watch.lease_is_over());
        hands.put(at + 60 * SECOND);
        assert!(watch.lease_is_over());
    }
}

#[test]
fn a_lease_ends_with_its_last_read() {
    let policy = SessionPolicy::new().lease_reads(2).unwrap();
    let (_, watch) = begin(&policy);
    watch.begin_lease(&policy);
    for _ in 0..2 {
        assert!(watch.spend_read().is_ok() && !watch.lease_is_over());
    }
    let kind = watch.spend_read().map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::LeaseExpired));
    assert!(watch.lease_is_over());
    watch.begin_lease(&SessionPolicy::new());
    assert!((0..1000).all(|_| watch.spend_read().is_ok()));
}

#[test]
fn the_next_look_is_due_when_the_first_limit_is() {
    let (hands, watch) = begin(&SessionPolicy::new());
    let after = |seconds: i64| START.steady + seconds * SECOND;
    assert_eq!(watch.due(), after(120));
    watch.begin_lease(&SessionPolicy::new());
    assert_eq!(watch.due(), after(60));
    watch.forget_lease();
    watch.entered_background(Duration::from_secs(30));
    assert_eq!(watch.due(), after(30));
    watch.entering_foreground();
    let call = watch.used(hands.now().steady);
    assert_eq!(watch.due(), after(43_200));
    drop(call);
}
