//! A session, behind the one lock that locking takes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard, TryLockError};
use std::time::Duration;

use super::classes::{OpenClasses, Reach, open_classes};
use super::expiry;
use super::generation::Accept;
use super::open_class::OpenClass;
use super::opening::Opening;
use super::reads::Reads;
use super::room::Quotas;
use super::timer;
use super::transaction::finish_earlier;
use super::watch::Watch;
use crate::actor::Actor;
use crate::anchor::Anchored;
use crate::audit::{Entry, Event, LockReason};
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::keys::ClassKeys;
use crate::secret::SecretText;

/// A session's state, shared by its clones.
pub(super) struct Inner {
    pub(super) opening: Arc<Opening>,
    pub(super) watch: Watch,
    /// Every call holds it shared; locking, pausing, stepping up and ending a lease hold it alone.
    phase: RwLock<Phase>,
    /// Held for the whole of a write: `true` while an intent waits to be finished.
    pub(super) commit: Mutex<bool>,
    /// Who acts, each by the number that handles have. The first is who unlocked.
    pub(super) actors: Mutex<Vec<Actor>>,
    pub(super) reads: Mutex<Reads>,
    /// Entries of the audit trail that found no room.
    pub(super) owed: Mutex<Vec<Entry>>,
    pub(super) leases: AtomicU64,
    pub(super) quotas: Mutex<Quotas>,
    /// When to look for what has expired or is too much, on the steady clock.
    expire_next: AtomicI64,
}

/// What there is of a session.
pub(super) enum Phase {
    Open(OpenClasses),
    /// Files closed, keys kept.
    Paused(Vec<ClassKeys>),
    Ended,
}

impl Inner {
    /// A session over classes that were just opened.
    pub(super) fn new(opening: Arc<Opening>, open: OpenClasses, most: Duration, by: Actor) -> Self {
        let watch = Watch::begin(opening.clock(), &opening.policy(), most);
        Self {
            opening,
            watch,
            phase: RwLock::new(Phase::Open(open)),
            commit: Mutex::new(false),
            actors: Mutex::new(vec![by]),
            reads: Mutex::default(),
            owed: Mutex::default(),
            leases: AtomicU64::new(0),
            quotas: Mutex::default(),
            expire_next: AtomicI64::new(0),
        }
    }

    /// What is on the medium and not yet anchored.
    pub(super) fn ahead(&self, phase: &Phase) -> Option<Anchored> {
        let open = phase.open().ok()?;
        self.opening.freshness.ahead(&self.opening, open)
    }

    /// Anchors a state. Nothing is locked that a call needs: the host may take its time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnchorUnavailable`].
    pub(super) fn keep(&self, ahead: Option<Anchored>) -> Result<()> {
        let Some(ahead) = ahead else { return Ok(()) };
        let (opening, now) = (&self.opening, self.watch.now());
        // A host that panics must not keep a session from being closed.
        let keep = AssertUnwindSafe(|| opening.freshness.keep(opening, ahead, now));
        catch_unwind(keep).unwrap_or_else(|_| Err(ErrorKind::AnchorUnavailable.into()))
    }

    /// Anchors everything that is committed.
    ///
    /// # Errors
    ///
    /// Those of the session, [`ErrorKind::AnchorMissing`] where the vault has no anchor,
    /// [`ErrorKind::AnchorUnavailable`].
    pub(super) fn anchor(&self, reach: Reach) -> Result<()> {
        let freshness = &self.opening.freshness;
        let ahead = self.with(reach, |open| match freshness.is_anchored() {
            true => Ok(freshness.ahead(&self.opening, open)),
            false => Err(ErrorKind::AnchorMissing.into()),
        })?;
        self.keep(ahead)
    }

    /// Accepts the vault as it is and anchors it. Every class is open, so that it is known what that
    /// is.
    ///
    /// # Errors
    ///
    /// As for [`anchor`](Self::anchor), and [`ErrorKind::LeaseRequired`].
    pub(super) fn accept(&self, reach: Reach) -> Result<()> {
        self.with(reach, |open| open.class(reach, Class::Priority).map(drop))?;
        self.opening.freshness.accept();
        self.anchor(reach)
    }

    /// Whether the session has ended, by now at the latest.
    pub(super) fn is_locked(&self) -> bool {
        self.watch.enforce();
        self.close_what_is_over();
        self.watch.ended().is_some()
    }

    /// Runs a call on the open classes. Locking waits for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`], [`ErrorKind::Paused`], [`ErrorKind::LeaseExpired`], those of the
    /// call, and those of finishing a change that a failing disk has cut in two.
    pub(super) fn with<T>(
        &self,
        reach: Reach,
        call: impl FnOnce(&OpenClasses) -> Result<T>,
    ) -> Result<T> {
        let now = self.watch.enforce();
        let mut ahead = None;
        let result = self.run(reach, now, |open| {
            let result = call(open);
            if self.opening.freshness.is_due(now) {
                ahead = self.opening.freshness.ahead(&self.opening, open);
            }
            result
        });
        self.close_what_is_over();
        // Where it cannot be kept now, it is later.
        let _ = self.keep(ahead);
        result
    }

    fn run<T>(
        &self,
        reach: Reach,
        now: i64,
        call: impl FnOnce(&OpenClasses) -> Result<T>,
    ) -> Result<T> {
        self.refuse()?;
        let _use = reach.attended.then(|| self.watch.used(now));
        let phase = self.phase.read().unwrap_or_else(PoisonError::into_inner);
        self.refuse()?;
        let open = phase.open()?;
        if reach.lease.is_some() && (open.lease != reach.lease || self.watch.lease_is_over()) {
            return Err(ErrorKind::LeaseExpired.into());
        }
        if open.cut.load(Ordering::Acquire) {
            let mut waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
            finish_earlier(open, &mut waiting)?;
        }
        let result = call(open);
        if let Err(error) = &result
            && error.kind() == ErrorKind::TamperDetected
        {
            self.note_failure(open, reach, Event::Tampered, error);
        }
        result
    }

    /// Begins the trail of a session that was just opened.
    ///
    /// # Errors
    ///
    /// Those of the databases, but for a full disk.
    pub(super) fn begin(&self, event: Event) -> Result<()> {
        let phase = self.phase.read().unwrap_or_else(PoisonError::into_inner);
        let open = phase.open()?;
        if let Event::EmergencyAccess(_) = event {
            // The entry says that everything may be read.
            let anything = SecretText::copy_of("");
            self.reads().open(Class::Emergency, 0, &anything);
        }
        let by = self.actor(Reach::OWN);
        self.note_beginning(open, Entry::done(&by, event))?;
        let mut waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        expiry::expire_cache(open, &mut waiting, true);
        drop(waiting);
        self.opening.with_dir(|dir| {
            dir.fill_reserve();
            Ok(())
        })
    }

    /// To be asked before records of this class are handed out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseExpired`] where the lease has not that many reads left.
    pub(super) fn release(&self, class: Class, records: usize) -> Result<()> {
        match class {
            Class::Priority => (0..records).try_for_each(|_| self.watch.spend_read()),
            _ => Ok(()),
        }
    }

    /// Refuses what comes after the end, or while the vault is paused.
    pub(super) fn refuse(&self) -> Result<()> {
        if self.watch.ended().is_some() {
            return Err(ErrorKind::Locked.into());
        }
        self.opening.check_running()
    }

    /// Destroys the keys and closes every file: at once for new calls, and as soon as calls under
    /// way have returned.
    pub(super) fn lock(&self, reason: LockReason) {
        self.watch.end(reason);
        let mut phase = self.alone();
        let ahead = self.end(&mut phase);
        drop(phase);
        let _ = self.keep(ahead);
    }

    /// Closes everything, once the trail has the last words; what is ahead of the anchor.
    fn end(&self, phase: &mut Phase) -> Option<Anchored> {
        if let (Phase::Open(open), Some(reason)) = (&*phase, self.watch.ended()) {
            // Nothing that goes wrong here may keep the keys.
            let last_words = AssertUnwindSafe(|| self.farewell(open, reason));
            let _ = catch_unwind(last_words);
        }
        let ahead = self.ahead(phase);
        *phase = Phase::Ended;
        self.forget();
        ahead
    }

    /// The same without waiting: the last of the calls under way closes.
    pub(super) fn lock_soon(&self, reason: LockReason) {
        self.watch.end(reason);
        self.close_what_is_over();
    }

    /// Closes the session, or its lease, where it is over and no call is under way. Every call asks
    /// for it at its end.
    pub(super) fn close_what_is_over(&self) {
        let ahead = self.close();
        // Where it cannot be kept now, it is when the vault is unlocked.
        let _ = self.keep(ahead);
    }

    /// The same without a word to the anchor; what was ahead of it.
    fn close(&self) -> Option<Anchored> {
        let ended = self.watch.ended().is_some();
        if !ended && !self.watch.lease_is_over() {
            return None;
        }
        let mut phase = match self.phase.try_write() {
            Ok(phase) => phase,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if ended {
            return self.end(&mut phase);
        }
        let over = self.watch.lease_is_over();
        self.close_lease(&mut phase, |_| over)
    }

    /// What the timer does, which never calls the host: how long it may wait before it looks again;
    /// `None` where there is nothing left to look at.
    pub(super) fn look(&self) -> Option<Duration> {
        let now = self.watch.enforce();
        let _ = self.close();
        match self.phase.try_read().as_deref() {
            Ok(Phase::Ended) => return None,
            Ok(Phase::Open(open)) => {
                self.write_reads_soon(open);
                self.expire_soon(open, now);
            }
            _ => {}
        }
        // Whoever ended the session or the lease meanwhile could not close it.
        let _ = self.close();
        let left = self.watch.due().saturating_sub(now);
        let left = Duration::from_micros(u64::try_from(left).unwrap_or_default());
        Some(left.max(SHORTEST_WAIT))
    }

    /// Erases what has expired in a cache, and what is above a quota, every ten seconds, where nobody is in the way.
    fn expire_soon(&self, open: &OpenClasses, now: i64) {
        if now < self.expire_next.load(Ordering::Acquire) {
            return;
        }
        if let Ok(mut waiting) = self.commit.try_lock() {
            expiry::expire_cache(open, &mut waiting, false);
            self.keep_within_quotas(open, &mut waiting);
            self.pack_trails(open, &mut waiting);
            let next = now.saturating_add(EXPIRE_EVERY);
            self.expire_next.store(next, Ordering::Release);
        }
    }

    /// Closes every file and keeps the keys of the everyday classes, once calls under way have
    /// returned.
    pub(super) fn pause(&self) {
        let mut phase = self.alone();
        if let Phase::Open(open) = &*phase {
            match self.watch.ended() {
                Some(reason) => self.farewell(open, reason),
                None if open.lease.is_some() => self.end_of_lease(open),
                None => drop(self.write_reads(open)),
            }
            // What a failure left is put in order while it can be; else when it is opened again.
            let mut waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = finish_earlier(open, &mut waiting);
        }
        let ahead = self.ahead(&phase);
        *phase = match std::mem::replace(&mut *phase, Phase::Ended) {
            Phase::Open(_) if self.watch.ended().is_some() => {
                self.forget();
                Phase::Ended
            }
            Phase::Open(mut open) => {
                self.reads().forget_all();
                self.watch.forget_lease();
                open.close_priority();
                Phase::Paused(open.classes.into_iter().map(OpenClass::close).collect())
            }
            other => other,
        };
        drop(phase);
        let _ = self.keep(ahead);
    }

    /// Opens the files again.
    ///
    /// # Errors
    ///
    /// Those of the databases; the session is paused as before.
    pub(super) fn resume(&self) -> Result<()> {
        let mut phase = self.alone();
        if let Phase::Paused(keys) = &*phase {
            // What fails may be tried again, so these are kept until it succeeds.
            let keys = keys.iter().map(ClassKeys::again).collect();
            let open = open_classes(&self.opening, keys, Accept::Fresh)?;
            *self.commit.lock().unwrap_or_else(PoisonError::into_inner) = false;
            *phase = Phase::Open(open);
        }
        Ok(())
    }

    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, Phase> {
        self.phase.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every handle of a session holds: when the last of them goes the session ends.
pub(super) struct Held(pub(super) Arc<Inner>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock(LockReason::Requested);
        timer::forget(&self.0);
    }
}

impl Phase {
    pub(super) fn open(&self) -> Result<&OpenClasses> {
        match self {
            Self::Open(open) => Ok(open),
            Self::Paused(_) => Err(ErrorKind::Paused.into()),
            Self::Ended => Err(ErrorKind::Locked.into()),
        }
    }
}

/// While a call under way keeps what is over from being closed the timer looks this often.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);

/// In microseconds.
const EXPIRE_EVERY: i64 = 10_000_000;
