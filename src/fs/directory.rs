//! The vault's directory.
//!
//! **Does** make and open the directory, see its setting-up through, and do by descriptor what the
//! rooms above want done to its files.
//! **Never** removes a header but that of a set-up that failed, or a database that no set-up marker
//! vouches for; never opens a database file that SQLite may have open, because closing it again
//! would drop the locks that SQLite holds on it.
//! **Format** the set-up marker, an empty file that is there until the vault is complete.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, fstat, statat};
use rustix::io::Errno;

use super::lock::VaultLock;
use super::memory::MemoryDir;
use super::name::{FileName, ROLLBACK_JOURNAL, SHARED_MEMORY, WAL};
use super::place::Place;
use super::root::{Root, SmallFile};
use super::size::{self, FileSize, VaultSize};
use super::{errno, private};
use crate::error::{ErrorKind, Result};

/// The directory of a vault, open, and found to be ours alone; or what takes its place in memory.
pub(crate) struct VaultDir {
    path: PathBuf,
    root: Root,
}

/// Where SQLite finds a database.
#[derive(Clone)]
pub(crate) struct DatabaseFile {
    /// Absolute and free of links; in memory the name alone.
    pub(crate) path: PathBuf,
    pub(crate) memory: Option<MemoryDir>,
}

impl From<&Path> for DatabaseFile {
    fn from(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            memory: None,
        }
    }
}

impl VaultDir {
    /// Makes the directory, 0700 whatever the umask, or takes an existing one that is empty or
    /// holds nothing but what an interrupted set-up left.
    ///
    /// # Errors
    ///
    /// `VaultExists` where anything else is in it; the `Path…` kinds of [`open`](Self::open);
    /// `ReadOnly`, `StorageFull` and `Io` as the system says, `Io` also where the directory above
    /// does not exist.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let place = Place::find(path)?.ok_or_else(|| errno::reading(Errno::NOENT))?;
        place.make_directory()?;
        let directory = Self::enter(place)?;
        directory.refuse_occupied()?;
        Ok(directory)
    }

    /// Opens an existing directory.
    ///
    /// # Errors
    ///
    /// `VaultNotFound` where there is nothing; `PathIsSymlink`, `PathWrongType`,
    /// `PathForeignOwner`, `PathLooseMode` or `PathWritableParent` where the place is not private;
    /// `Io` as the system says.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::enter(Place::find(path)?.ok_or(ErrorKind::VaultNotFound)?)
    }

    /// The same in memory: `dir`, or an empty one.
    pub(crate) fn in_memory(dir: Option<MemoryDir>) -> Self {
        Self {
            path: PathBuf::new(),
            root: Root::Memory(dir.unwrap_or_default()),
        }
    }

    /// Takes the vault for this handle, until the lock is dropped.
    ///
    /// # Errors
    ///
    /// `VaultBusy` where another handle has it, in this process or another; `Path…` kinds where
    /// the lock file is not private.
    pub(crate) fn lock(&self) -> Result<VaultLock> {
        match &self.root {
            Root::Disk(dir) => VaultLock::take(dir, FileName::Lock.text()),
            Root::Memory(_) => Ok(VaultLock::of_memory()),
        }
    }

    /// Marks the directory as being set up, and removes what an interrupted set-up left in it.
    ///
    /// # Errors
    ///
    /// `VaultExists` where there is a header, or anything that no set-up marker vouches for.
    pub(crate) fn begin_setup(&self, _lock: &VaultLock) -> Result<()> {
        // Again, now that nobody else can be setting up.
        self.refuse_occupied()?;
        if self.setup_pending()? {
            for name in FileName::leftovers() {
                self.root.remove(&name)?;
            }
            self.root.sync()
        } else {
            self.create_empty(FileName::SetupMarker)
        }
    }

    /// Removes the set-up marker: from now on this is a vault.
    ///
    /// # Errors
    ///
    /// `ReadOnly` or `Io` as the system says.
    pub(crate) fn finish_setup(&self) -> Result<()> {
        self.root.remove(FileName::SetupMarker.text())?;
        self.root.sync()
    }

    /// Takes back the headers of a set-up that failed while it wrote them, so that it may begin
    /// again.
    ///
    /// # Errors
    ///
    /// `VaultExists` where no marker says that this is a set-up; `ReadOnly` or `Io` as the system
    /// says: a header may then still be there, or come back after a crash.
    pub(crate) fn abandon_setup(&self, _lock: &VaultLock) -> Result<()> {
        if !self.setup_pending()? {
            return Err(ErrorKind::VaultExists.into());
        }
        for name in [FileName::Header, FileName::HeaderTwin] {
            self.root.remove(name.text())?;
        }
        self.root.sync()
    }

    /// Removes a vault: its headers first, without which nothing of the rest opens. The lock file
    /// stays, which is held.
    ///
    /// # Errors
    ///
    /// `StorageFull`, `ReadOnly` or `Io` as the system says; it may be called again.
    pub(crate) fn wipe(&self) -> Result<()> {
        if !self.setup_pending()? {
            self.create_empty(FileName::SetupMarker)?;
        }
        for name in [FileName::Header, FileName::HeaderTwin] {
            self.root.remove(name.text())?;
        }
        self.root.sync()?;
        for name in FileName::leftovers() {
            self.root.remove(&name)?;
        }
        self.root.sync()?;
        self.finish_setup()
    }

    /// Whether a set-up began here and did not finish.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds where the marker is not a private file.
    pub(crate) fn setup_pending(&self) -> Result<bool> {
        self.root.check(FileName::SetupMarker.text())
    }

    /// The whole content of a small file; none where there is none. A file longer than `limit` is
    /// not read.
    ///
    /// # Errors
    ///
    /// `HeaderDamaged` where the file is too long, changes its length while it is read or lies on
    /// a part of the medium that cannot be read; the
    /// `Path…` kinds where it is not private; `TamperDetected` where the name is replaced faster
    /// than it can be opened.
    pub(crate) fn read(&self, name: FileName, limit: usize) -> Result<Option<Vec<u8>>> {
        debug_assert!(!name.is_database(), "a database is opened by SQLite alone");
        self.root.read(name.text(), limit)
    }

    /// Puts `bytes` in the place of a small file. After a crash it holds the old content or the
    /// new.
    ///
    /// # Errors
    ///
    /// `StorageFull`, `ReadOnly` or `Io`; the old content is then still there. A medium that does
    /// not confirm the new name is no error here: see [`make_durable`](Self::make_durable).
    pub(crate) fn replace(&self, name: FileName, bytes: &[u8]) -> Result<()> {
        debug_assert!(
            matches!(
                name,
                FileName::Attempts | FileName::Header | FileName::HeaderTwin
            ),
            "only a small file is replaced"
        );
        let draft = FileName::HeaderDraft.text();
        self.root.replace(name.text(), draft, bytes)
    }

    /// Writes over a part of a small file, which does not get longer, and flushes it where `durable`.
    /// It takes no room that the file does not have, so a full disk need not stop it.
    ///
    /// # Errors
    ///
    /// `TamperDetected` where the file is gone or shorter; the `Path…` kinds where it is not private;
    /// `StorageFull`, `ReadOnly` or `Io`. The part then holds the old bytes, the new or some of each.
    pub(crate) fn write_over(
        &self,
        name: FileName,
        at: usize,
        bytes: &[u8],
        durable: bool,
    ) -> Result<()> {
        let file = self.open_small(name)?;
        let end = u64::try_from(at.saturating_add(bytes.len())).map_err(|_| ErrorKind::Io)?;
        if file.length()? < end {
            return Err(ErrorKind::TamperDetected.into());
        }
        let at = u64::try_from(at).map_err(|_| ErrorKind::Io)?;
        file.write_at(bytes, at)?;
        if durable { file.sync() } else { Ok(()) }
    }

    /// Flushes a small file to the medium.
    ///
    /// # Errors
    ///
    /// As for [`write_over`](Self::write_over).
    pub(crate) fn flush(&self, name: FileName) -> Result<()> {
        self.open_small(name)?.sync()
    }

    fn open_small(&self, name: FileName) -> Result<SmallFile> {
        debug_assert!(!name.is_database(), "a database is opened by SQLite alone");
        let file = self.root.open(name.text(), OFlags::RDWR)?;
        file.ok_or_else(|| ErrorKind::TamperDetected.into())
    }

    /// Makes every name in the directory durable: a header that was replaced is then the one that
    /// is found after a loss of power.
    ///
    /// # Errors
    ///
    /// `Io` as the system says.
    pub(crate) fn make_durable(&self) -> Result<()> {
        self.root.sync()
    }

    /// Makes a new empty private file and makes its name durable, so that SQLite finds a database
    /// file with the right mode, which its log file then copies.
    ///
    /// # Errors
    ///
    /// `VaultExists` where the name is taken; `StorageFull`, `ReadOnly` or `Io`.
    pub(crate) fn create_empty(&self, name: FileName) -> Result<()> {
        self.root.create(name.text())?.sync()?;
        self.root.sync()
    }

    /// Whether a file is there, and that it is private, without opening it. For a database, also
    /// that what SQLite keeps beside it is private and what this crate never lets SQLite keep is
    /// absent.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds where a file is not private; `TamperDetected` where a rollback journal or
    /// a shared-memory file lies beside a database: SQLite would believe them.
    pub(crate) fn check(&self, name: FileName) -> Result<bool> {
        if name.is_database() {
            for suffix in [ROLLBACK_JOURNAL, SHARED_MEMORY] {
                if self.root.is_taken(&name.companion(suffix))? {
                    return Err(ErrorKind::TamperDetected.into());
                }
            }
            self.root.check(&name.companion(WAL))?;
        }
        self.root.check(name.text())
    }

    /// That the directory and every file in it are ours alone.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds; `Io`.
    pub(crate) fn check_private(&self) -> Result<()> {
        self.root.check_private()?;
        self.size().map(drop)
    }

    /// What the vault takes of the medium.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds where a file is not private; `Io`.
    pub(crate) fn size(&self) -> Result<VaultSize> {
        size::of(&self.root)
    }

    /// What each file takes, those that are empty or absent left out.
    ///
    /// # Errors
    ///
    /// Those of [`size`](Self::size).
    pub(crate) fn files(&self) -> Result<Vec<FileSize>> {
        size::each(&self.root)
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// What takes the directory's place where there is none.
    pub(crate) fn memory(&self) -> Option<MemoryDir> {
        match &self.root {
            Root::Disk(_) => None,
            Root::Memory(dir) => Some(dir.clone()),
        }
    }

    /// The directory's path, absolute and free of links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where SQLite finds a database, which it opens by path.
    pub(crate) fn database(&self, name: FileName) -> DatabaseFile {
        DatabaseFile {
            path: self.path.join(name.text()),
            memory: self.memory(),
        }
    }

    #[cfg(test)]
    pub(super) fn path_of(&self, name: FileName) -> PathBuf {
        self.path.join(name.text())
    }

    /// That the directory's path still leads to the directory that is open here. To be asked after
    /// SQLite has opened its files by path.
    ///
    /// # Errors
    ///
    /// `TamperDetected` where it leads elsewhere, or nowhere.
    pub(crate) fn same_place(&self) -> Result<()> {
        let Root::Disk(dir) = &self.root else {
            return Ok(());
        };
        let here = fstat(dir).map_err(errno::reading)?;
        let there = statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        match there {
            Ok(there) if private::is_same(&here, &there) => Ok(()),
            _ => Err(ErrorKind::TamperDetected.into()),
        }
    }

    fn enter(place: Place) -> Result<Self> {
        Ok(Self {
            root: Root::Disk(place.enter()?),
            path: place.path,
        })
    }

    /// Refuses a directory in which a set-up may not begin. A lock file alone comes from a set-up
    /// that was interrupted before it wrote its marker.
    fn refuse_occupied(&self) -> Result<()> {
        let mut harmless = vec![FileName::Lock.text().to_owned()];
        if self.setup_pending()? {
            harmless.push(FileName::SetupMarker.text().to_owned());
            harmless.extend(FileName::leftovers());
        }
        for name in self.root.names()? {
            if !harmless.iter().any(|known| known.as_bytes() == name) {
                return Err(ErrorKind::VaultExists.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use std::fs::{read, remove_file, write};

    use super::super::scratch::{Scratch, refusal, set_mode};
    use super::*;

    const DATABASES: [FileName; 3] = [FileName::Emergency, FileName::Standard, FileName::Priority];
    const EXISTS: Option<ErrorKind> = Some(ErrorKind::VaultExists);

    /// The names in a vault's directory, in order.
    fn names(vault: &VaultDir) -> Vec<String> {
        let entries = vault.path.read_dir().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn put(vault: &VaultDir, name: &str) {
        write(vault.path.join(name), name).unwrap();
        set_mode(vault.path.join(name), 0o600);
    }

    #[test]
    fn a_set_up_is_pending_from_its_beginning_to_its_end() {
        let scratch = Scratch::make();
        let vault = VaultDir::create(&scratch.join("vault")).unwrap();
        assert!(!vault.setup_pending().unwrap());
        let lock = vault.lock().unwrap();
        vault.begin_setup(&lock).unwrap();
        assert!(vault.setup_pending().unwrap());
        vault.finish_setup().unwrap();
        assert!(!vault.setup_pending().unwrap());
        assert_eq!(names(&vault), ["lock"]);
    }

    #[test]
    fn an_interrupted_set_up_begins_again_from_nothing() {
        let scratch = Scratch::make();
        let path = scratch.join("vault");
        let vault = VaultDir::create(&path).unwrap();
        let lock = vault.lock().unwrap();
        vault.begin_setup(&lock).unwrap();
        for name in DATABASES {
            vault.create_empty(name).unwrap();
            for suffix in ["-wal", "-journal", "-shm"] {
                put(&vault, &name.companion(suffix));
            }
        }
        put(&vault, "header.draft");
        drop((vault, lock));

        let vault = VaultDir::create(&path).unwrap();
        let lock = vault.lock().unwrap();
        vault.begin_setup(&lock).unwrap();
        assert_eq!(names(&vault), ["lock", "setup"]);
        for name in DATABASES {
            vault.create_empty(name).unwrap();
        }
    }

    #[test]
    fn a_set_up_that_was_interrupted_before_its_marker_begins_again() {
        let scratch = Scratch::make();
        let vault = VaultDir::create(&scratch.join("vault")).unwrap();
        drop(vault.lock().unwrap());
        assert_eq!(refusal(VaultDir::create(&scratch.join("vault"))), None);
    }

    #[test]
    fn a_directory_with_a_header_is_never_set_up() {
        for header in [FileName::Header, FileName::HeaderTwin] {
            for pending in [false, true] {
                let scratch = Scratch::make();
                let path = scratch.join("vault");
                let vault = VaultDir::create(&path).unwrap();
                let lock = vault.lock().unwrap();
                vault.begin_setup(&lock).unwrap();
                vault.create_empty(FileName::Standard).unwrap();
                vault.replace(header, b"header").unwrap();
                put(&vault, "standard.db-wal");
                if !pending {
                    vault.finish_setup().unwrap();
                }
                let before = names(&vault);
                assert_eq!(refusal(VaultDir::create(&path)), EXISTS);
                assert_eq!(refusal(vault.begin_setup(&lock)), EXISTS);
                assert_eq!(names(&vault), before);
                assert_eq!(read(vault.path_of(header)).unwrap(), b"header");
            }
        }
    }

    #[test]
    fn databases_that_no_marker_vouches_for_are_never_removed() {
        let scratch = Scratch::make();
        let (vault, lock) = scratch.vault();
        vault.create_empty(FileName::Priority).unwrap();
        assert_eq!(refusal(vault.begin_setup(&lock)), EXISTS);
        assert_eq!(refusal(VaultDir::create(&scratch.join("vault"))), EXISTS);
        assert_eq!(names(&vault), ["lock", "priority.db"]);
    }

    #[test]
    fn a_directory_with_anything_else_in_it_is_not_taken() {
        for pending in [false, true] {
            let scratch = Scratch::make();
            let vault = VaultDir::create(&scratch.join("vault")).unwrap();
            let lock = vault.lock().unwrap();
            if pending {
                vault.begin_setup(&lock).unwrap();
            }
            put(&vault, "photograph");
            assert_eq!(refusal(VaultDir::create(&scratch.join("vault"))), EXISTS);
            assert_eq!(refusal(vault.begin_setup(&lock)), EXISTS);
            assert_eq!(refusal(VaultDir::open(&scratch.join("vault"))), None);
        }
    }

    #[test]
    fn a_name_that_is_taken_is_not_made_again() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        put(&vault, "standard.db");
        assert_eq!(refusal(vault.create_empty(FileName::Standard)), EXISTS);
        let kept = read(vault.path_of(FileName::Standard)).unwrap();
        assert_eq!(kept, b"standard.db");
    }

    #[test]
    fn what_lies_beside_a_database_is_checked_with_it() {
        let scratch = Scratch::make();
        let (vault, _lock) = scratch.vault();
        for name in DATABASES {
            assert!(!vault.check(name).unwrap());
            vault.create_empty(name).unwrap();
            put(&vault, &name.companion("-wal"));
            assert!(vault.check(name).unwrap());
            set_mode(vault.path.join(name.companion("-wal")), 0o640);
            assert_eq!(refusal(vault.check(name)), Some(ErrorKind::PathLooseMode));
            remove_file(vault.path.join(name.companion("-wal"))).unwrap();
            for suffix in ["-journal", "-shm"] {
                put(&vault, &name.companion(suffix));
                assert_eq!(refusal(vault.check(name)), Some(ErrorKind::TamperDetected));
                remove_file(vault.path.join(name.companion(suffix))).unwrap();
            }
            assert!(vault.check(name).unwrap());
        }
    }
}
