//! The file of events from while the vault was locked (spec 10).
//!
//! **Does** add to the file after what is whole in it, read it, empty it.
//! **Never** looks into it, or lets it grow without end.
//! **Format** docs/spec/10-inbox.md.

use rustix::fs::OFlags;

use super::directory::VaultDir;
use super::name::FileName;
use crate::error::{ErrorKind, Result};

/// How long the file may get.
const MOST: usize = 128 * 1024;

impl VaultDir {
    /// Adds a frame after the first `whole` bytes, in the place of what else is there, and flushes it;
    /// nothing is done where the file is full.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds where the file is not private; `StorageFull`, `ReadOnly` or `Io`.
    pub(crate) fn append_event(&self, whole: usize, frame: &[u8]) -> Result<()> {
        if whole.saturating_add(frame.len()) > MOST {
            return Ok(());
        }
        let name = FileName::Events.text();
        let (file, made) = match self.root().open(name, OFlags::RDWR)? {
            Some(file) => (file, false),
            None => (self.root().create(name)?, true),
        };
        let at = u64::try_from(whole).map_err(|_| ErrorKind::Io)?;
        file.truncate(at)?;
        file.write_at(frame, at)?;
        file.sync()?;
        match made {
            true => self.root().sync(),
            false => Ok(()),
        }
    }

    /// What is in the file; nothing where there is none.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds where the file is not private; `HeaderDamaged` where it is too long to be
    /// one.
    pub(crate) fn read_events(&self) -> Result<Vec<u8>> {
        let bytes = self.read(FileName::Events, MOST)?;
        Ok(bytes.unwrap_or_default())
    }

    /// Empties the file.
    ///
    /// # Errors
    ///
    /// As for [`append_event`](Self::append_event).
    pub(crate) fn forget_events(&self) -> Result<()> {
        let name = FileName::Events.text();
        if let Some(file) = self.root().open(name, OFlags::RDWR)? {
            file.truncate(0)?;
            file.sync()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scratch::{Scratch, mode_of};

    #[test]
    fn what_is_added_stands_after_what_is_whole_and_the_file_stops_growing() {
        let scratch = Scratch::make();
        let (dir, _lock) = scratch.vault();
        assert!(dir.read_events().unwrap().is_empty());
        dir.append_event(0, b"one").unwrap();
        dir.append_event(3, b"two and a half").unwrap();
        dir.append_event(6, b"three").unwrap();
        assert_eq!(dir.read_events().unwrap(), b"onetwothree");
        let path = scratch.join("vault").join("events");
        assert_eq!(mode_of(&path), 0o600);
        dir.append_event(11, &[0; 131_062]).unwrap();
        assert_eq!(dir.read_events().unwrap().len(), 11);
        dir.append_event(11, &[0; 131_061]).unwrap();
        assert_eq!(dir.read_events().unwrap().len(), 131_072);
        dir.forget_events().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        dir.forget_events().unwrap();
    }
}
