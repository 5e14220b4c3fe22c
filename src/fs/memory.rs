//! A vault's files where there is no medium: in this process's memory, and gone with it.
//!
//! **Does** hold the same bytes as the files would, those of databases sealed as they would be there.
//! **Never** touches a file system.
//! **Format** none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{ErrorKind, Result};

/// A directory in memory; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct MemoryDir(Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>);

/// A file in memory. It is held in pieces of one length, so that it grows without being copied.
#[derive(Default)]
pub(crate) struct MemoryFile(Mutex<Content>);

#[derive(Default)]
struct Content {
    pieces: Vec<Box<[u8]>>,
    length: usize,
}

const PIECE: usize = 64 * 1024;

impl MemoryDir {
    pub(crate) fn file(&self, name: &str) -> Option<Arc<MemoryFile>> {
        self.files().get(name).cloned()
    }

    /// A file that is there, or a new one.
    pub(crate) fn file_or_new(&self, name: &str) -> Arc<MemoryFile> {
        Arc::clone(self.files().entry(name.to_owned()).or_default())
    }

    pub(crate) fn remove(&self, name: &str) {
        self.files().remove(name);
    }

    /// Puts a file in the place of another.
    pub(super) fn put(&self, name: &str, file: MemoryFile) {
        self.files().insert(name.to_owned(), Arc::new(file));
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files().keys().cloned().collect()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<MemoryFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryFile {
    pub(crate) fn length(&self) -> usize {
        self.content().length
    }

    /// Fills the buffer as far as the file goes, and with zeros beyond; how much there was.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: usize) -> usize {
        let content = self.content();
        let there = content.length.saturating_sub(offset).min(buffer.len());
        let (found, beyond) = buffer.split_at_mut(there);
        beyond.fill(0);
        let mut at = offset;
        let mut rest = found;
        while !rest.is_empty() {
            let (piece, start) = (at / PIECE, at % PIECE);
            let Some(source) = content
                .pieces
                .get(piece)
                .and_then(|piece| piece.get(start..))
            else {
                break;
            };
            let length = source.len().min(rest.len());
            let (here, after) = rest.split_at_mut(length);
            here.copy_from_slice(source.get(..length).unwrap_or_default());
            (rest, at) = (after, at + length);
        }
        there
    }

    /// Writes all of the bytes, and zeros before them where the file ended earlier.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfMemory`]; the file may then be longer, and nothing else is changed.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: usize) -> Result<()> {
        let mut content = self.content();
        let end = offset
            .checked_add(bytes.len())
            .ok_or(ErrorKind::OutOfMemory)?;
        content.reach(end)?;
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, start) = (at / PIECE, at % PIECE);
            let target = content.pieces.get_mut(piece);
            let Some(target) = target.and_then(|piece| piece.get_mut(start..)) else {
                break;
            };
            let length = target.len().min(rest.len());
            let (here, after) = rest.split_at(length);
            target
                .iter_mut()
                .zip(here)
                .for_each(|(target, byte)| *target = *byte);
            (rest, at) = (after, at + length);
        }
        Ok(())
    }

    /// Cuts the file, or makes it longer with zeros.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](Self::write_at).
    pub(crate) fn truncate(&self, length: usize) -> Result<()> {
        let mut content = self.content();
        content.reach(length)?;
        content.pieces.truncate(length.div_ceil(PIECE));
        content.length = length;
        if let Some(last) = content.pieces.last_mut()
            && !length.is_multiple_of(PIECE)
        {
            last.iter_mut()
                .skip(length % PIECE)
                .for_each(|byte| *byte = 0);
        }
        Ok(())
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn reach(&mut self, end: usize) -> Result<()> {
        while self.pieces.len() < end.div_ceil(PIECE) {
            let mut piece = Vec::new();
            let room = piece.try_reserve_exact(PIECE).is_ok() && self.pieces.try_reserve(1).is_ok();
            if !room {
                return Err(ErrorKind::OutOfMemory.into());
            }
            piece.resize(PIECE, 0);
            self.pieces.push(piece.into_boxed_slice());
        }
        self.length = self.length.max(end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize, Vec<u8>),
        Truncate(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let at = || prop_oneof![0..300_usize, (PIECE - 20)..(PIECE + 20), 0..3 * PIECE];
        let bytes = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            any::<u8>().prop_map(|byte| vec![byte; PIECE + 7]),
        ];
        let write = (at(), bytes).prop_map(|(at, bytes)| Step::Write(at, bytes));
        proptest::collection::vec(
            prop_oneof![3 => write, 1 => at().prop_map(Step::Truncate)],
            0..12,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn it_reads_as_a_vector_of_bytes_would(steps in steps(), from in 0..3 * PIECE) {
            let file = MemoryFile::default();
            let mut model: Vec<u8> = Vec::new();
            for step in steps {
                match step {
                    Step::Write(at, bytes) => {
                        file.write_at(&bytes, at).unwrap();
                        model.resize(model.len().max(at + bytes.len()), 0);
                        model[at..at + bytes.len()].copy_from_slice(&bytes);
                    }
                    Step::Truncate(length) => {
                        file.truncate(length).unwrap();
                        model.resize(length, 0);
                    }
                }
                prop_assert_eq!(file.length(), model.len());
            }
            let mut buffer = vec![9; PIECE];
            let there = file.read_at(&mut buffer, from);
            let expected = model.get(from..).unwrap_or_default();
            let expected = &expected[..expected.len().min(PIECE)];
            prop_assert_eq!(there, expected.len());
            prop_assert!(buffer[..there] == *expected);
            prop_assert!(buffer[there..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn more_than_there_is_memory_is_an_error() {
        let file = MemoryFile::default();
        let error = file.write_at(b"far away", usize::MAX - 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert_eq!(file.length(), 0);
    }
}
