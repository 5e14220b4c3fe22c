//! The classes that are open: their databases, and which lease holds Priority.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use super::generation::Accept;
use super::open_class::OpenClass;
use super::opening::Opening;
use crate::actor::Actor;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::fhir::search::Parameters;
use crate::fs::{FileName, RoomFor, VaultDir};
use crate::keys::ClassKeys;

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

/// How far a handle reaches, and for whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) lease: Option<u64>,
    /// A person is at work: the calls are activity.
    pub(super) attended: bool,
    /// Which of the session's actors calls.
    pub(super) by: usize,
}

impl Reach {
    /// Of whoever unlocked, without a lease.
    pub(super) const OWN: Self = Self {
        lease: None,
        attended: true,
        by: 0,
    };
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
            self.opening.with_dir(VaultDir::make_durable)?;
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

    /// Gives a step of the vault's reserve to the file system, where the disk is full; whether there
    /// was one.
    pub(super) fn make_room(&self, to: RoomFor) -> bool {
        let given = self.opening.with_dir(|dir| Ok(dir.give_reserve(to)));
        given.unwrap_or(false)
    }

    /// Runs what has to go on although the disk is full, and runs it again with the room of the
    /// reserve.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub(super) fn with_reserve<T>(
        &self,
        to: RoomFor,
        mut work: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        loop {
            match work() {
                Err(error) if error.kind() == ErrorKind::StorageFull && self.make_room(to) => {}
                done => return done,
            }
        }
    }

    /// The classes that a handle may touch, lowest first.
    pub(super) fn within(&self, reach: Reach) -> impl Iterator<Item = &OpenClass> {
        let priority = reach.lease.is_some() && reach.lease == self.lease;
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

    /// The class in whose trail stands what is about the session as a whole.
    ///
    /// # Errors
    ///
    /// None but those of a session that has nothing open.
    pub(super) fn home(&self) -> Result<&OpenClass> {
        let mut everyday = self.classes.iter().rev();
        let home = everyday.find(|open| open.class() != Class::Priority);
        home.ok_or_else(|| ErrorKind::Locked.into())
    }

    /// What resources are searched by.
    pub(super) fn parameters(&self) -> Parameters {
        let home = self.home();
        home.map_or_else(|_| Parameters::default(), OpenClass::parameters)
    }

    /// Opens one more.
    pub(super) fn add(&mut self, class: OpenClass) {
        let home = self.home().map(|home| Arc::clone(home.shared_parameters()));
        self.classes.push(match home {
            Ok(parameters) => class.sharing(&parameters),
            Err(_) => class,
        });
        self.named.store(false, Ordering::Release);
    }

    pub(super) fn close_priority(&mut self) {
        self.lease = None;
        self.classes
            .retain(|class| class.class() != Class::Priority);
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

/// Opens the databases of these classes, unless they are older than what was anchored, and finishes
/// what waits there.
pub(super) fn open_classes(
    opening: &Arc<Opening>,
    keys: Vec<ClassKeys>,
    accept: Accept,
) -> Result<OpenClasses> {
    let mut classes = Vec::new();
    for keys in keys {
        classes.push(open_class(opening, keys)?);
    }
    let classes = sharing_parameters(classes)?;
    let open = OpenClasses::new(Arc::clone(opening), classes);
    opening.freshness.begin(opening, &open, accept)?;
    super::intent::settle(&open)?;
    Ok(open)
}

/// The classes with what Standard says that resources are searched by.
fn sharing_parameters(classes: Vec<OpenClass>) -> Result<Vec<OpenClass>> {
    let standard = |open: &&OpenClass| open.class() == Class::Standard;
    let Some(standard) = classes.iter().find(standard) else {
        // An emergency session has none but the official ones.
        return Ok(classes);
    };
    standard.read_parameters()?;
    let parameters = Arc::clone(standard.shared_parameters());
    let share = |open: OpenClass| open.sharing(&parameters);
    Ok(classes.into_iter().map(share).collect())
}

/// Opens the database of a class whose key was just unwrapped.
pub(super) fn open_class(opening: &Opening, keys: ClassKeys) -> Result<OpenClass> {
    let name = database(keys.class());
    opening.with_dir(|dir| {
        if !dir.check(name)? {
            // The database was there when the header was written.
            return Err(ErrorKind::TamperDetected.into());
        }
        let open = OpenClass::open(dir.database(name), keys)?;
        let open = open.within(opening.footprint());
        dir.check(name)?;
        dir.same_place()?;
        Ok(open)
    })
}

/// What is decided once for a class.
#[derive(Clone, Copy)]
pub(crate) struct ClassSettings<'a> {
    pub(crate) keep_history: bool,
    /// Whom the first key of the trail is sealed to, in the place of Priority.
    pub(crate) auditor: Option<&'a [u8; 32]>,
}

/// Makes the database of a class in a vault that is being set up.
pub(crate) fn create_database(
    dir: &VaultDir,
    keys: &ClassKeys,
    priority: &ClassKeys,
    settings: ClassSettings<'_>,
    by: &Actor,
) -> Result<()> {
    let name = database(keys.class());
    dir.create_empty(name)?;
    OpenClass::create(dir.database(name), keys, priority, settings, by)
}

pub(super) const fn database(class: Class) -> FileName {
    match class {
        Class::Emergency => FileName::Emergency,
        Class::Standard => FileName::Standard,
        Class::Priority => FileName::Priority,
    }
}
