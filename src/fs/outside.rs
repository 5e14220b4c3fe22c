//! The file of events from while the vault was locked (spec 10).
//!
//! **Does** append frames, each with a checksum, cutting off what a crash tore; reads them, empties
//! the file.
//! **Never** looks into a frame, or lets the file grow without end.
//! **Format** docs/spec/10-inbox.md.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{OFlags, ftruncate};
use sha2::{Digest, Sha256};

use super::directory::VaultDir;
use super::name::FileName;
use super::{atomic, errno, private};
use crate::error::{ErrorKind, Result};

/// How long the file may get.
const MOST: usize = 128 * 1024;
const CHECK: usize = 8;

impl VaultDir {
    /// Adds a frame and flushes it; nothing is done where the file is full.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds where the file is not private; `StorageFull`, `ReadOnly` or `Io`.
    pub(crate) fn append_event(&self, event: &[u8]) -> Result<()> {
        let name = FileName::Events.text();
        let there = self.read_events()?;
        let file = match private::open(self.descriptor(), name, OFlags::RDWR)? {
            Some(file) => file,
            None => private::create(self.descriptor(), name).map_err(errno::writing)?,
        };
        let end: usize = there.iter().map(|frame| frame.len() + 4 + CHECK).sum();
        let frame = frame_of(event);
        if end + frame.len() > MOST {
            return Ok(());
        }
        let at = u64::try_from(end).map_err(|_| ErrorKind::Io)?;
        ftruncate(&file, at).map_err(errno::writing)?;
        let file = File::from(file);
        file.write_all_at(&frame, at)
            .map_err(|error| errno::of_io(&error, errno::writing))?;
        atomic::sync(&file)?;
        if there.is_empty() {
            atomic::sync(self.descriptor())?;
        }
        Ok(())
    }

    /// The frames, up to the first that a crash tore.
    ///
    /// # Errors
    ///
    /// The `Path…` kinds where the file is not private; `HeaderDamaged` where it is too long to be
    /// one.
    pub(crate) fn read_events(&self) -> Result<Vec<Vec<u8>>> {
        let bytes = self.read(FileName::Events, MOST)?.unwrap_or_default();
        let mut frames = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((frame, after)) = next_frame(rest) {
            frames.push(frame.to_vec());
            rest = after;
        }
        Ok(frames)
    }

    /// Empties the file.
    ///
    /// # Errors
    ///
    /// As for [`append_event`](Self::append_event).
    pub(crate) fn forget_events(&self) -> Result<()> {
        let name = FileName::Events.text();
        if let Some(file) = private::open(self.descriptor(), name, OFlags::RDWR)? {
            ftruncate(&file, 0).map_err(errno::writing)?;
            atomic::sync(&file)?;
        }
        Ok(())
    }
}

fn frame_of(event: &[u8]) -> Vec<u8> {
    let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), event, &check(event)].concat()
}

fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (event, rest) = rest.split_at_checked(length)?;
    let (found, rest) = rest.split_first_chunk::<CHECK>()?;
    (*found == check(event)).then_some((event, rest))
}

fn check(event: &[u8]) -> [u8; CHECK] {
    let hash: [u8; 32] = Sha256::digest(event).into();
    *hash.first_chunk().expect("a hash is longer")
}

#[cfg(test)]
mod tests {
    use super::super::scratch::{Scratch, mode_of};

    #[test]
    fn a_torn_frame_is_cut_off_and_those_before_it_stay() {
        let scratch = Scratch::make();
        let (dir, _lock) = scratch.vault();
        assert!(dir.read_events().unwrap().is_empty());
        dir.append_event(b"one").unwrap();
        dir.append_event(b"two").unwrap();
        let path = scratch.join("vault").join("events");
        assert_eq!(mode_of(&path), 0o600);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let left = dir.read_events().unwrap();
            assert_eq!(left.len(), usize::from(cut >= whole.len() / 2));
            dir.append_event(b"three").unwrap();
            assert_eq!(dir.read_events().unwrap().len(), left.len() + 1);
        }
        dir.forget_events().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn the_file_stops_growing() {
        let scratch = Scratch::make();
        let (dir, _lock) = scratch.vault();
        let event = vec![7; 40_000];
        for _ in 0..5 {
            dir.append_event(&event).unwrap();
        }
        assert_eq!(dir.read_events().unwrap().len(), 3);
    }
}
