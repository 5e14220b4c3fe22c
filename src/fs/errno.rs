//! What an error number of the operating system means to a vault.
//!
//! **Does** give every number its kind, and keep the number.
//! **Never** keeps the system's text, which can hold a path.
//! **Format** none.

use std::io;

use rustix::io::Errno;

use crate::error::{Error, ErrorKind};

/// The failure of a call that looks, opens or reads.
pub(super) fn reading(errno: Errno) -> Error {
    let kind = match errno {
        Errno::LOOP => ErrorKind::PathIsSymlink,
        Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => ErrorKind::PathWrongType,
        _ => ErrorKind::Io,
    };
    Error::os(kind, errno.raw_os_error())
}

/// The failure of a call that makes, writes, renames or removes.
pub(super) fn writing(errno: Errno) -> Error {
    let kind = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => ErrorKind::StorageFull,
        Errno::ROFS | Errno::ACCESS | Errno::PERM => ErrorKind::ReadOnly,
        _ => return reading(errno),
    };
    Error::os(kind, errno.raw_os_error())
}

/// The same for the few calls that go through the standard library.
pub(super) fn of_io(error: &io::Error, meaning: fn(Errno) -> Error) -> Error {
    Errno::from_io_error(error).map_or_else(|| ErrorKind::Io.into(), meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_read_only_one_and_a_link_have_kinds_of_their_own() {
        for full in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert_eq!(writing(full).kind(), ErrorKind::StorageFull);
            assert_eq!(writing(full).os_code(), Some(full.raw_os_error()));
        }
        for fixed in [Errno::ROFS, Errno::ACCESS, Errno::PERM] {
            assert_eq!(writing(fixed).kind(), ErrorKind::ReadOnly);
        }
        assert_eq!(writing(Errno::LOOP).kind(), ErrorKind::PathIsSymlink);
        assert_eq!(reading(Errno::LOOP).kind(), ErrorKind::PathIsSymlink);
        assert_eq!(reading(Errno::ACCESS).kind(), ErrorKind::Io);
    }

    #[test]
    fn an_error_without_a_number_is_a_plain_one() {
        let error = of_io(&io::ErrorKind::WriteZero.into(), writing);
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.os_code(), None);
    }
}
