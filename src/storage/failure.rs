//! SQLite's failures, without SQLite's text.

use rusqlite::ffi;

use super::vfs::RANDOM_UNAVAILABLE;
use crate::error::{Error, ErrorKind};

/// The kind and number of a failure. The message and the SQL are left behind: they could carry
/// what a column held.
pub(super) fn from_sqlite(error: rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            Error::sqlite(kind(failure.extended_code), failure.extended_code)
        }
        rusqlite::Error::SqliteSingleThreadedMode => ErrorKind::SqliteUnsuitable.into(),
        // A column of another type or a missing row: the database is not what was written.
        _ => ErrorKind::DatabaseDamaged.into(),
    }
}

/// The same for a result that did not come through rusqlite.
pub(super) fn from_code(extended: i32) -> Error {
    Error::sqlite(kind(extended), extended)
}

fn kind(extended: i32) -> ErrorKind {
    match extended & 0xFF {
        ffi::SQLITE_FULL => ErrorKind::StorageFull,
        ffi::SQLITE_NOMEM => ErrorKind::OutOfMemory,
        ffi::SQLITE_CORRUPT
        | ffi::SQLITE_NOTADB
        | ffi::SQLITE_CONSTRAINT
        | ffi::SQLITE_MISMATCH => ErrorKind::DatabaseDamaged,
        ffi::SQLITE_READONLY | ffi::SQLITE_PERM => ErrorKind::ReadOnly,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => ErrorKind::VaultBusy,
        ffi::SQLITE_CANTOPEN => match extended {
            ffi::SQLITE_CANTOPEN_SYMLINK => ErrorKind::PathIsSymlink,
            _ => ErrorKind::Io,
        },
        ffi::SQLITE_ERROR | ffi::SQLITE_AUTH => ErrorKind::DatabaseDamaged,
        // More in one value than a row may hold: a batch over several classes, say.
        ffi::SQLITE_TOOBIG => ErrorKind::InvalidRecord,
        ffi::SQLITE_IOERR => match extended {
            // A page or a frame that does not open.
            ffi::SQLITE_IOERR_DATA => ErrorKind::TamperDetected,
            ffi::SQLITE_IOERR_NOMEM => ErrorKind::OutOfMemory,
            RANDOM_UNAVAILABLE => ErrorKind::RandomUnavailable,
            _ => ErrorKind::Io,
        },
        _ => ErrorKind::Io,
    }
}
