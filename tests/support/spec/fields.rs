//! The fields inside an envelope.

use super::{Key, array};

/// What an envelope holds, front to back.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    /// What was not read yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.0
    }

    fn take(&mut self, length: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub(super) fn time(&mut self) -> i64 {
        i64::from_le_bytes(array(self.take(8)))
    }

    pub(super) fn number(&mut self) -> u64 {
        u64::from_le_bytes(array(self.take(8)))
    }

    pub(super) fn key(&mut self) -> Key {
        array(self.take(32))
    }

    pub(super) fn id(&mut self) -> [u8; 16] {
        array(self.take(16))
    }

    pub(super) fn prefixed(&mut self) -> &[u8] {
        let length = u32::from_le_bytes(array(self.take(4)));
        self.take(usize::try_from(length).unwrap())
    }

    pub(super) fn text(&mut self) -> String {
        String::from_utf8(self.prefixed().to_vec()).unwrap()
    }
}
