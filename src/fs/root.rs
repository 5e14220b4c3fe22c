//! What the vault's files are in: a directory, or this process's memory.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{Dir, OFlags, fstat, ftruncate};
use rustix::io::Errno;

use super::memory::{MemoryDir, MemoryFile};
use super::{atomic, errno, private};
use crate::error::{Error, ErrorKind, Result};

pub(super) enum Root {
    Disk(OwnedFd),
    Memory(MemoryDir),
}

/// A small file that is open.
pub(super) enum SmallFile {
    Disk(File),
    Memory(Arc<MemoryFile>),
}

impl Root {
    /// Whether a name is taken, by whatever it is.
    pub(super) fn is_taken(&self, name: &str) -> Result<bool> {
        match self {
            Self::Disk(dir) => Ok(private::look(dir, name)?.is_some()),
            Self::Memory(dir) => Ok(dir.file(name).is_some()),
        }
    }

    /// Whether a file is there, and that it is private.
    pub(super) fn check(&self, name: &str) -> Result<bool> {
        match self {
            Self::Disk(dir) => private::check(dir, name),
            Self::Memory(dir) => Ok(dir.file(name).is_some()),
        }
    }

    /// How long a file is; 0 where there is none.
    pub(super) fn length(&self, name: &str) -> Result<u64> {
        match self {
            Self::Disk(dir) => private::length(dir, name),
            Self::Memory(dir) => Ok(wide(dir.file(name).map_or(0, |file| file.length()))),
        }
    }

    /// Makes a new empty file.
    ///
    /// # Errors
    ///
    /// `VaultExists` where the name is taken; `StorageFull`, `ReadOnly` or `Io`.
    pub(super) fn create(&self, name: &str) -> Result<SmallFile> {
        let exists = |error: Errno| Error::os(ErrorKind::VaultExists, error.raw_os_error());
        match self {
            Self::Disk(dir) => match private::create(dir, name) {
                Ok(file) => Ok(SmallFile::Disk(File::from(file))),
                Err(error @ Errno::EXIST) => Err(exists(error)),
                Err(error) => Err(errno::writing(error)),
            },
            Self::Memory(dir) if dir.file(name).is_some() => Err(exists(Errno::EXIST)),
            Self::Memory(dir) => Ok(SmallFile::Memory(dir.file_or_new(name))),
        }
    }

    pub(super) fn open(&self, name: &str, access: OFlags) -> Result<Option<SmallFile>> {
        match self {
            Self::Disk(dir) => {
                let file = private::open(dir, name, access)?;
                Ok(file.map(|file| SmallFile::Disk(File::from(file))))
            }
            Self::Memory(dir) => Ok(dir.file(name).map(SmallFile::Memory)),
        }
    }

    pub(super) fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let dir = match self {
            Self::Disk(dir) => return private::read(dir, name, limit),
            Self::Memory(dir) => dir,
        };
        let Some(file) = dir.file(name) else {
            return Ok(None);
        };
        let length = file.length();
        if length > limit {
            return Err(ErrorKind::HeaderDamaged.into());
        }
        let mut bytes = vec![0; length];
        file.read_at(&mut bytes, 0);
        Ok(Some(bytes))
    }

    pub(super) fn replace(&self, name: &str, draft: &str, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Disk(dir) => atomic::replace(dir, name, draft, bytes),
            Self::Memory(dir) => {
                let file = MemoryFile::default();
                file.write_at(bytes, 0)?;
                dir.put(name, file);
                Ok(())
            }
        }
    }

    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match self {
            Self::Disk(dir) => atomic::remove(dir, name),
            Self::Memory(dir) => {
                dir.remove(name);
                Ok(())
            }
        }
    }

    /// Makes every name durable.
    pub(super) fn sync(&self) -> Result<()> {
        match self {
            Self::Disk(dir) => atomic::sync(dir),
            Self::Memory(_) => Ok(()),
        }
    }

    /// That the directory is ours alone.
    pub(super) fn check_private(&self) -> Result<()> {
        match self {
            Self::Disk(dir) => private::judge_directory(&fstat(dir).map_err(errno::reading)?),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Every name there is.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>> {
        let dir = match self {
            Self::Disk(dir) => dir.as_fd(),
            Self::Memory(dir) => {
                return Ok(dir.names().into_iter().map(String::into_bytes).collect());
            }
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(dir).map_err(errno::reading)? {
            let entry = entry.map_err(errno::reading)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }
}

impl SmallFile {
    pub(super) fn length(&self) -> Result<u64> {
        match self {
            Self::Disk(file) => {
                let length = fstat(file).map_err(errno::reading)?.st_size;
                u64::try_from(length).map_err(|_| ErrorKind::Io.into())
            }
            Self::Memory(file) => Ok(wide(file.length())),
        }
    }

    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        match self {
            Self::Disk(file) => file
                .write_all_at(bytes, at)
                .map_err(|error| errno::of_io(&error, errno::writing)),
            Self::Memory(file) => file.write_at(bytes, narrow(at)?),
        }
    }

    pub(super) fn truncate(&self, length: u64) -> Result<()> {
        match self {
            Self::Disk(file) => ftruncate(file, length).map_err(errno::writing),
            Self::Memory(file) => file.truncate(narrow(length)?),
        }
    }

    pub(super) fn sync(&self) -> Result<()> {
        match self {
            Self::Disk(file) => atomic::sync(file),
            Self::Memory(_) => Ok(()),
        }
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn narrow(length: u64) -> Result<usize> {
    usize::try_from(length).map_err(|_| ErrorKind::OutOfMemory.into())
}
