//! The classes that are open, behind the one lock that locking takes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::open_class::OpenClass;
use super::opening::Opening;
use super::transaction::finish_earlier;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::fs::{FileName, VaultDir};
use crate::keys::ClassKeys;

/// A session's state, shared by its clones.
pub(super) struct Inner {
    pub(super) opening: Arc<Opening>,
    /// Set first when locking begins, so that no new call starts.
    locking: AtomicBool,
    /// Every call holds it shared; locking, stepping up and ending a lease hold it alone.
    open: RwLock<Option<OpenClasses>>,
    /// Held for the whole of a write: `true` while an intent waits to be finished.
    pub(super) commit: Mutex<bool>,
    leases: AtomicU64,
}

/// What is open. Dropping it closes the databases and wipes the keys.
pub(super) struct OpenClasses {
    /// Lowest class first.
    pub(super) classes: Vec<OpenClass>,
    /// Which lease opened Priority.
    pub(super) lease: Option<u64>,
    /// Held shared by what looks at several classes, and alone while a change over several classes
    /// is committed in one after the other: a record that moves is seen in one class.
    pub(super) between_classes: RwLock<()>,
    /// A change is done in some classes and not in others: nothing is shown before it is finished.
    pub(super) cut: AtomicBool,
    opening: Arc<Opening>,
    /// The names of the logs are durable.
    named: AtomicBool,
}

/// How far a handle reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Everyday,
    Lease(u64),
}

impl Inner {
    pub(super) fn new(opening: Arc<Opening>, open: OpenClasses) -> Self {
        Self {
            opening,
            locking: AtomicBool::new(false),
            open: RwLock::new(Some(open)),
            commit: Mutex::new(false),
            leases: AtomicU64::new(0),
        }
    }

    pub(super) fn is_locked(&self) -> bool {
        self.locking.load(Ordering::Acquire)
    }

    /// Runs a call on the open classes. Locking waits for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`], those of the call, and those of finishing a change that a failing
    /// disk has cut in two.
    pub(super) fn with<T>(&self, call: impl FnOnce(&OpenClasses) -> Result<T>) -> Result<T> {
        if self.is_locked() {
            return Err(ErrorKind::Locked.into());
        }
        let open: RwLockReadGuard<'_, _> = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let open = open
            .as_ref()
            .filter(|_| !self.is_locked())
            .ok_or(ErrorKind::Locked)?;
        if open.cut.load(Ordering::Acquire) {
            let mut waiting = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
            finish_earlier(open, &mut waiting)?;
        }
        call(open)
    }

    /// Destroys the keys and closes every file: at once for new calls, and as soon as calls under
    /// way have returned.
    pub(super) fn lock(&self) {
        self.locking.store(true, Ordering::Release);
        drop(
            self.open
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Opens Priority for a lease and gives its number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`], [`ErrorKind::LeaseActive`], and those of opening the database.
    pub(super) fn begin_lease(&self, keys: ClassKeys) -> Result<u64> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let open = open
            .as_mut()
            .filter(|_| !self.is_locked())
            .ok_or(ErrorKind::Locked)?;
        if open.lease.is_some() {
            return Err(ErrorKind::LeaseActive.into());
        }
        let priority = open_class(&self.opening, keys)?;
        open.classes.push(priority);
        open.named.store(false, Ordering::Release);
        let settled = super::intent::settle(open);
        if settled.is_err() {
            open.classes
                .retain(|class| class.class() != Class::Priority);
            settled?;
        }
        let lease = self.leases.fetch_add(1, Ordering::Relaxed);
        open.lease = Some(lease);
        Ok(lease)
    }

    /// Closes Priority, if this lease is the one that holds it open.
    pub(super) fn end_lease(&self, lease: u64) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_mut()
            && open.lease == Some(lease)
        {
            open.lease = None;
            open.classes
                .retain(|class| class.class() != Class::Priority);
        }
    }
}

impl OpenClasses {
    pub(super) fn new(opening: Arc<Opening>, mut classes: Vec<OpenClass>) -> Self {
        classes.sort_by_key(OpenClass::class);
        Self {
            classes,
            lease: None,
            between_classes: RwLock::new(()),
            cut: AtomicBool::new(false),
            opening,
            named: AtomicBool::new(false),
        }
    }

    /// To be asked before the first write: what is committed is then not lost with the name of its
    /// log. SQLite makes the name of a new log durable with its first commit as well, but takes no
    /// notice where that fails.
    ///
    /// # Errors
    ///
    /// Those of the directory.
    pub(super) fn name_durably(&self) -> Result<()> {
        if !self.named.load(Ordering::Acquire) {
            self.opening.dir.make_durable()?;
            self.named.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Runs `look` while no change is half-way between two classes.
    ///
    /// # Errors
    ///
    /// Those of `look`, and [`ErrorKind::Io`] where the change that it waited for was cut in two.
    pub(super) fn steadily<T>(&self, look: impl FnOnce() -> Result<T>) -> Result<T> {
        let _shared = self.between_classes.read();
        if self.cut.load(Ordering::Acquire) {
            return Err(ErrorKind::Io.into());
        }
        look()
    }

    /// The classes that a handle may touch, lowest first.
    pub(super) fn within(&self, reach: Reach) -> impl Iterator<Item = &OpenClass> {
        let priority = matches!((reach, self.lease), (Reach::Lease(a), Some(b)) if a == b);
        self.classes
            .iter()
            .filter(move |open| priority || open.class() != Class::Priority)
    }

    /// A class that a handle may touch.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseRequired`].
    pub(super) fn class(&self, reach: Reach, class: Class) -> Result<&OpenClass> {
        let found = self.within(reach).find(|open| open.class() == class);
        found.ok_or_else(|| ErrorKind::LeaseRequired.into())
    }

    /// The keys of all three classes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseRequired`] where one is not open.
    pub(super) fn all_keys(&self, reach: Reach) -> Result<[&ClassKeys; 3]> {
        let key = |class| self.class(reach, class).map(|open| &open.keys);
        Ok([
            key(Class::Emergency)?,
            key(Class::Standard)?,
            key(Class::Priority)?,
        ])
    }
}

/// Opens the database of a class whose key was just unwrapped.
pub(super) fn open_class(opening: &Opening, keys: ClassKeys) -> Result<OpenClass> {
    let name = database(keys.class());
    if !opening.dir.check(name)? {
        // The database was there when the header was written.
        return Err(ErrorKind::TamperDetected.into());
    }
    let open = OpenClass::open(&opening.dir.path_of(name), keys)?;
    opening.dir.check(name)?;
    opening.dir.same_place()?;
    Ok(open)
}

/// Makes the database of a class in a vault that is being set up.
pub(crate) fn create_database(dir: &VaultDir, keys: &ClassKeys, keep_history: bool) -> Result<()> {
    let name = database(keys.class());
    dir.create_empty(name)?;
    OpenClass::create(&dir.path_of(name), keys, keep_history)
}

const fn database(class: Class) -> FileName {
    match class {
        Class::Emergency => FileName::Emergency,
        Class::Standard => FileName::Standard,
        Class::Priority => FileName::Priority,
    }
}
