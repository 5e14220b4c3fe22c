//! When a session ends by itself. Pure: it looks at the clock that it was given, and decides.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::audit::LockReason;
use crate::error::{ErrorKind, Result};
use crate::keys::SessionPolicy;
use crate::time::{Clock, Moment};

/// One session's limits, and where it stands. Times are microseconds on the steady clock.
pub(super) struct Watch {
    clock: Arc<dyn Clock>,
    began: Moment,
    /// What the absolute limit is cut to.
    most: Duration,
    ended: OnceLock<LockReason>,
    idle: AtomicI64,
    absolute: AtomicI64,
    /// When the grace is over; `NEVER` in the foreground.
    background: AtomicI64,
    last_used: AtomicI64,
    /// Calls under way that count as use.
    under_way: AtomicUsize,
    /// When the lease is over; `NEVER` where there is none.
    lease: AtomicI64,
    reads_left: AtomicI64,
}

const NEVER: i64 = i64::MAX;
/// How far the two clocks may come apart: more than a network corrects the time of a running
/// device by, and less than the shortest default limit.
const MOST_DRIFT: i64 = 60_000_000;

impl Watch {
    /// Begins now.
    pub(super) fn begin(clock: Arc<dyn Clock>, policy: &SessionPolicy, most: Duration) -> Self {
        let began = clock.now();
        let watch = Self {
            clock,
            began,
            most,
            ended: OnceLock::new(),
            idle: AtomicI64::new(0),
            absolute: AtomicI64::new(0),
            background: AtomicI64::new(NEVER),
            last_used: AtomicI64::new(began.steady),
            under_way: AtomicUsize::new(0),
            lease: AtomicI64::new(NEVER),
            reads_left: AtomicI64::new(NEVER),
        };
        watch.follow(policy);
        watch
    }

    /// Takes the limits of a policy, from the session's beginning on.
    pub(super) fn follow(&self, policy: &SessionPolicy) {
        let absolute = micros(policy.absolute_limit().min(self.most));
        self.idle
            .store(micros(policy.idle_limit()), Ordering::Release);
        self.absolute.store(
            self.began.steady.saturating_add(absolute),
            Ordering::Release,
        );
    }

    pub(super) fn ended(&self) -> Option<LockReason> {
        self.ended.get().copied()
    }

    /// The first reason counts.
    pub(super) fn end(&self, reason: LockReason) {
        let _ = self.ended.set(reason);
    }

    /// Ends the session where a limit is reached. Gives the time that it looked at.
    pub(super) fn enforce(&self) -> i64 {
        let now = self.clock.now();
        if self.ended().is_none()
            && let Some(reason) = self.verdict(now)
        {
            self.end(reason);
        }
        now.steady
    }

    fn verdict(&self, now: Moment) -> Option<LockReason> {
        let over = |end: &AtomicI64| now.steady >= end.load(Ordering::Acquire);
        let steady = now.steady.saturating_sub(self.began.steady);
        let wall = now.wall.saturating_sub(self.began.wall);
        if over(&self.absolute) {
            Some(LockReason::Absolute)
        } else if over(&self.background) {
            Some(LockReason::Background)
        } else if now.steady >= self.idle_end() {
            Some(LockReason::Idle)
        } else if steady < 0 || wall.saturating_sub(steady).saturating_abs() > MOST_DRIFT {
            Some(LockReason::ClockChanged)
        } else {
            None
        }
    }

    /// While a call that counts as use is under way a session is not idle.
    fn idle_end(&self) -> i64 {
        if self.under_way.load(Ordering::Acquire) > 0 {
            return NEVER;
        }
        let last_used = self.last_used.load(Ordering::Acquire);
        last_used.saturating_add(self.idle.load(Ordering::Acquire))
    }

    /// When to look again at the latest.
    pub(super) fn due(&self) -> i64 {
        let ends = [&self.absolute, &self.background, &self.lease];
        let ends = ends.map(|end| end.load(Ordering::Acquire)).into_iter();
        ends.fold(self.idle_end(), i64::min)
    }

    /// A call begins that counts as use, until what it gets is dropped.
    pub(super) fn used(&self, now: i64) -> Use<'_> {
        self.last_used.fetch_max(now, Ordering::AcqRel);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        Use(self)
    }

    /// The app went to the background; no lease outlives that.
    pub(super) fn entered_background(&self, grace: Duration) {
        let end = self.now().saturating_add(micros(grace));
        self.background.fetch_min(end, Ordering::AcqRel);
        self.end_lease();
    }

    pub(super) fn is_in_background(&self) -> bool {
        self.background.load(Ordering::Acquire) != NEVER
    }

    /// The time on the steady clock.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().steady
    }

    /// The app is coming back. To be asked after [`enforce`](Self::enforce).
    pub(super) fn entering_foreground(&self) {
        self.background.store(NEVER, Ordering::Release);
    }

    /// A lease begins, or begins anew.
    pub(super) fn begin_lease(&self, policy: &SessionPolicy) {
        let reads = policy.lease_read_limit().map_or(NEVER, i64::from);
        let end = micros(policy.lease_limit());
        let end = self.now().saturating_add(end);
        self.reads_left.store(reads, Ordering::Release);
        self.lease.store(end, Ordering::Release);
    }

    /// Whether the lease's time or reads are used up.
    pub(super) fn lease_is_over(&self) -> bool {
        let end = self.lease.load(Ordering::Acquire);
        end != NEVER && self.now() >= end
    }

    /// The lease is over from now on.
    pub(super) fn end_lease(&self) {
        let ended = |end| (end != NEVER).then_some(i64::MIN);
        let _ = self
            .lease
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, ended);
    }

    /// There is no lease any more.
    pub(super) fn forget_lease(&self) {
        self.lease.store(NEVER, Ordering::Release);
    }

    /// To be asked before a record of Priority is handed out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseExpired`] where the lease has no read left; it is over then.
    pub(super) fn spend_read(&self) -> Result<()> {
        let spend = |left| match left {
            NEVER => Some(NEVER),
            left => (left > 0).then_some(left - 1),
        };
        let spent = self
            .reads_left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, spend);
        if spent.is_err() {
            self.end_lease();
            return Err(ErrorKind::LeaseExpired.into());
        }
        Ok(())
    }
}

/// A call under way that counts as use.
pub(super) struct Use<'a>(&'a Watch);

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let now = self.0.now();
        self.0.last_used.fetch_max(now, Ordering::AcqRel);
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
