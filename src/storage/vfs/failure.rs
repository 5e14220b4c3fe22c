//! What the VFS answers SQLite where something is not done.

use std::ffi::c_int;

use rusqlite::ffi::{SQLITE_IOERR, SQLITE_IOERR_DATA, SQLITE_IOERR_SHORT_READ};

/// A code of our own, beside SQLite's: there were no random bytes for a nonce.
pub(in crate::storage) const RANDOM_UNAVAILABLE: c_int = SQLITE_IOERR | (0xFF << 8);

/// Why an operation on a file is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The layer below says so, in SQLite's codes.
    Below(c_int),
    /// There is nothing yet; SQLite reads zeros.
    Empty,
    /// The bytes are not what was sealed in this place.
    NotAuthentic,
    /// The operating system has no random bytes.
    Random,
    /// SQLite does not read or write so, unless pages say of themselves what they are not.
    Refused,
}

impl Failure {
    pub(super) const fn code(self) -> c_int {
        match self {
            Self::Below(code) => code,
            Self::Empty => SQLITE_IOERR_SHORT_READ,
            Self::NotAuthentic | Self::Refused => SQLITE_IOERR_DATA,
            Self::Random => RANDOM_UNAVAILABLE,
        }
    }
}
