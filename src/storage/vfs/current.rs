//! Which log is the present one.

use std::sync::{Arc, Mutex, PoisonError};

/// The salts of the log that SQLite has recovered or begun, and that every frame of it repeats.
/// Shared by all connections to a database: whatever lies on the medium meanwhile, be it the header
/// of an older log, which was sealed as well, does not change it.
#[derive(Clone)]
pub(super) struct CurrentLog(Arc<Mutex<Option<[u8; 8]>>>);

impl CurrentLog {
    pub(super) fn unknown() -> Self {
        Self(Arc::default())
    }

    /// From now on it is the log with these salts.
    pub(super) fn begin(&self, salts: [u8; 8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(salts);
    }

    pub(super) fn salts(&self) -> Option<[u8; 8]> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
