//! A database and its log in memory, with the locks and the index of the log that SQLite's own VFS
//! would keep for a file.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use super::medium::Medium;
use crate::fs::{MemoryDir, MemoryFile};

/// What all connections to one database in memory have in common.
pub(super) struct Memory {
    pub(super) dir: MemoryDir,
    locks: Mutex<Locks>,
    /// The index of the log, in regions that stay where they are while a connection has them.
    index: Mutex<Vec<Box<Region>>>,
    next: AtomicU64,
}

/// As long as SQLite wants one. It is written by SQLite, from several threads, in its own order.
pub(super) type Region = [AtomicU64; REGION / 8];

/// In bytes.
pub(super) const REGION: usize = 32_768;
/// How many locks there are on the index of the log.
const INDEX_LOCKS: usize = 8;

#[derive(Default)]
struct Locks {
    /// What each connection holds of the database.
    database: BTreeMap<u64, Level>,
    /// What each holds of the index: a bit for each lock, shared and alone.
    index: BTreeMap<u64, Held>,
}

#[derive(Clone, Copy, Default)]
struct Held {
    shared: u8,
    alone: u8,
}

/// How much of a database a connection has, in SQLite's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

/// A file of a connection.
pub(super) struct Handle {
    memory: Arc<Memory>,
    file: Arc<MemoryFile>,
    number: u64,
}

/// Somebody else has what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

impl Memory {
    pub(super) fn new(dir: MemoryDir) -> Arc<Self> {
        Arc::new(Self {
            dir,
            locks: Mutex::default(),
            index: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// Opens a file, or makes it.
    pub(super) fn open(self: &Arc<Self>, name: &str, make: bool) -> Option<Handle> {
        let file = match make {
            true => Some(self.dir.file_or_new(name)),
            false => self.dir.file(name),
        };
        Some(Handle {
            memory: Arc::clone(self),
            file: file?,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        })
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, Vec<Box<Region>>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locks {
    /// The most that any other connection has of the database.
    fn most_of_others(&self, number: u64) -> Level {
        let others = self.database.iter().filter(|(of, _)| **of != number);
        others.map(|(_, level)| *level).max().unwrap_or(Level::None)
    }

    fn level(&self, number: u64) -> Level {
        self.database.get(&number).copied().unwrap_or(Level::None)
    }
}

impl Handle {
    /// Raises what this connection has of the database: a reader keeps out nobody but who wants it
    /// alone, a writer other writers, and one who waits to have it alone new readers.
    pub(super) fn lock(&self, wanted: Level) -> Result<(), Busy> {
        let mut locks = self.memory.locks();
        let others = locks.most_of_others(self.number);
        let now = locks.level(self.number);
        if wanted <= now {
            return Ok(());
        }
        let (reached, busy) = match wanted {
            Level::None => (now, false),
            Level::Shared => (wanted, others >= Level::Pending),
            Level::Reserved | Level::Pending => (wanted, others >= Level::Reserved),
            Level::Exclusive if others >= Level::Reserved => (now, true),
            Level::Exclusive if others >= Level::Shared => {
                locks.database.insert(self.number, Level::Pending);
                return Err(Busy);
            }
            Level::Exclusive => (wanted, false),
        };
        if busy {
            return Err(Busy);
        }
        locks.database.insert(self.number, reached);
        Ok(())
    }

    /// Lowers what this connection has of the database.
    pub(super) fn unlock(&self, left: Level) {
        let mut locks = self.memory.locks();
        if left == Level::None {
            locks.database.remove(&self.number);
        } else if locks.level(self.number) > left {
            locks.database.insert(self.number, left);
        }
    }

    /// Whether anybody is about to write.
    pub(super) fn is_reserved(&self) -> bool {
        let locks = self.memory.locks();
        let mut levels = locks.database.values();
        levels.any(|level| *level >= Level::Reserved)
    }

    /// A region of the index of the log; it is made where it is not there and `extend` says so.
    pub(super) fn region(&self, number: usize, extend: bool) -> Option<*const AtomicU64> {
        let mut locks = self.memory.locks();
        locks.index.entry(self.number).or_default();
        drop(locks);
        let mut index = self.memory.index();
        while extend && index.len() <= number {
            index.push(Box::new([const { AtomicU64::new(0) }; REGION / 8]));
        }
        index.get(number).map(|region| region.as_ptr())
    }

    /// Takes or gives back so many of the locks on the index, from one of them on.
    pub(super) fn lock_index(
        &self,
        from: usize,
        count: usize,
        alone: bool,
        take: bool,
    ) -> Result<(), Busy> {
        let bits = (from..from.saturating_add(count).min(INDEX_LOCKS))
            .fold(0_u8, |bits, lock| bits | 1 << lock);
        let mut locks = self.memory.locks();
        if take {
            let mut others = locks.index.iter().filter(|(of, _)| **of != self.number);
            let taken = |held: &Held| match alone {
                true => (held.alone | held.shared) & bits > 0,
                false => held.alone & bits > 0,
            };
            if others.any(|(_, held)| taken(held)) {
                return Err(Busy);
            }
        }
        let held = locks.index.entry(self.number).or_default();
        let of = if alone {
            &mut held.alone
        } else {
            &mut held.shared
        };
        match take {
            true => *of |= bits,
            false => {
                held.alone &= !bits;
                held.shared &= !bits;
            }
        }
        Ok(())
    }

    /// Lets go of the index of the log, which is no more once nobody has it.
    pub(super) fn leave_index(&self) {
        let mut locks = self.memory.locks();
        locks.index.remove(&self.number);
        if locks.index.is_empty() {
            self.memory.index().clear();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.unlock(Level::None);
        self.leave_index();
    }
}

impl Medium for Handle {
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<bool, Failure> {
        let Ok(offset) = usize::try_from(offset) else {
            return Err(Failure::Refused);
        };
        let there = self.file.read_at(buffer, offset);
        Ok(there == buffer.len())
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        let offset = usize::try_from(offset).map_err(|_| Failure::Refused)?;
        self.file
            .write_at(bytes, offset)
            .map_err(|_| Failure::Below(rusqlite::ffi::SQLITE_NOMEM))
    }

    fn truncate(&mut self, size: u64) -> Result<(), Failure> {
        let size = usize::try_from(size).map_err(|_| Failure::Refused)?;
        self.file
            .truncate(size)
            .map_err(|_| Failure::Below(rusqlite::ffi::SQLITE_NOMEM))
    }

    fn size(&mut self) -> Result<u64, Failure> {
        u64::try_from(self.file.length()).map_err(|_| Failure::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> [Handle; 3] {
        let memory = Memory::new(MemoryDir::default());
        [(); 3].map(|()| memory.open("rows.db", true).unwrap())
    }

    #[test]
    fn what_one_has_of_the_database_keeps_out_whom_it_must() {
        let [one, two, three] = three();
        one.lock(Level::Shared).unwrap();
        two.lock(Level::Shared).unwrap();
        one.lock(Level::Reserved).unwrap();
        assert!(three.is_reserved());
        three.lock(Level::Shared).unwrap();
        assert_eq!(two.lock(Level::Reserved), Err(Busy));
        assert_eq!(two.lock(Level::Exclusive), Err(Busy));
        three.unlock(Level::None);
        // Who waits to be alone lets nobody in.
        assert_eq!(one.lock(Level::Exclusive), Err(Busy));
        assert_eq!(three.lock(Level::Shared), Err(Busy));
        two.unlock(Level::None);
        one.lock(Level::Exclusive).unwrap();
        assert_eq!(two.lock(Level::Shared), Err(Busy));
        one.unlock(Level::Shared);
        assert!(!three.is_reserved());
        two.lock(Level::Reserved).unwrap();
        // Who goes leaves nothing locked.
        drop(two);
        three.lock(Level::Shared).unwrap();
        drop(one);
        three.lock(Level::Exclusive).unwrap();
    }

    #[test]
    fn the_locks_on_the_index_are_shared_or_alone_and_the_index_goes_with_the_last() {
        let [one, two, three] = three();
        one.lock_index(3, 1, false, true).unwrap();
        two.lock_index(3, 1, false, true).unwrap();
        assert_eq!(three.lock_index(3, 1, true, true), Err(Busy));
        assert_eq!(three.lock_index(1, 7, true, true), Err(Busy));
        two.lock_index(3, 1, false, false).unwrap();
        one.lock_index(3, 1, false, false).unwrap();
        three.lock_index(1, 7, true, true).unwrap();
        assert_eq!(one.lock_index(7, 1, false, true), Err(Busy));
        one.lock_index(0, 1, true, true).unwrap();
        three.lock_index(1, 7, true, false).unwrap();
        one.lock_index(7, 1, false, true).unwrap();

        assert!(one.region(0, false).is_none());
        let first = one.region(1, true).unwrap();
        assert_eq!(two.region(1, false), Some(first));
        two.region(40, true).unwrap();
        assert_eq!(three.region(1, false), Some(first), "it stays where it is");
        for handle in [&one, &two] {
            handle.leave_index();
        }
        assert!(three.region(1, false).is_some());
        // What a connection held goes with it.
        two.lock_index(0, 1, true, true).unwrap();
        two.leave_index();
        three.leave_index();
        assert!(one.region(0, false).is_none());
    }
}
