//! Frames of the log that wait to be written together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log::FRAME_HEADER;
use super::medium::wide;
use crate::secret::SecretBytes;

/// Frames that were not written yet. The database file of the same connection has a clone, and
/// drops them where the transaction ends without a commit.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Mutex<Frames>>);

pub(super) struct Frames {
    /// The first of those that are whole, and how many there are.
    pub(super) first: u64,
    pub(super) count: usize,
    /// Their units, one after another.
    pub(super) units: SecretBytes,
    /// The frame whose header came and whose page did not.
    pub(super) header: Option<(u64, [u8; FRAME_HEADER])>,
}

impl Waiting {
    pub(super) fn none() -> Self {
        Self(Arc::new(Mutex::new(Frames {
            first: 0,
            count: 0,
            units: SecretBytes::zeroed(0),
            header: None,
        })))
    }

    /// Forgets what was not written: the transaction it belonged to is over.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Frames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frames {
    /// Whether the frame with this number can be written together with these.
    pub(super) fn may_precede(&self, number: u64) -> bool {
        let next = self.first + wide(self.count);
        self.header.is_none() && (self.count == 0 || number == next)
    }

    /// Puts a whole frame behind the others, and gives how many there are now. There is room for as
    /// many as the first was told.
    pub(super) fn add(
        &mut self,
        number: u64,
        header: &[u8; FRAME_HEADER],
        page: &[u8],
        room: usize,
    ) -> Option<usize> {
        let length = FRAME_HEADER + page.len();
        self.header = None;
        if self.count == 0 {
            self.first = number;
            if self.units.expose().len() < room * length {
                self.units = SecretBytes::zeroed(room * length);
            }
        }
        let at = self.count * length;
        let unit = self.units.expose_mut().get_mut(at..at + length)?;
        let (head, body) = unit.split_at_mut(FRAME_HEADER);
        head.copy_from_slice(header);
        body.copy_from_slice(page);
        self.count += 1;
        Some(self.count)
    }

    pub(super) fn clear(&mut self) {
        if self.count > 0 {
            self.units.expose_mut().fill(0);
        }
        self.count = 0;
        self.header = None;
    }
}
