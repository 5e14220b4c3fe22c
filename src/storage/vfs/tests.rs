//! The VFS under SQLite itself: what it answers, and what it leaves on the medium.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{Pages, SealingVfs, reserve_tail};
use crate::class::Class;
use crate::id::VaultId;
use crate::sealing::PageSealer;
use crate::secret::SecretKey;

pub(in crate::storage) fn sealer() -> PageSealer {
    let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|key| {
        key.fill(7);
        Ok(())
    });
    PageSealer::new(key, VaultId::from_bytes([9; 16]), Class::Standard)
}

const PAGES: Pages = Pages {
    sizes: &[4096],
    may_be_none: true,
};

/// A sealed database with a schema of the test's own.
pub(in crate::storage) struct Unschooled {
    vfs: SealingVfs,
    directory: tempfile::TempDir,
}

impl Unschooled {
    pub(in crate::storage) fn make(schema: &str) -> Self {
        let vfs = SealingVfs::register(c"unix-excl", sealer(), PAGES).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let database = Self { vfs, directory };
        let connection = database.open();
        reserve_tail(&connection).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = MEMORY; PRAGMA page_size = 4096;
                 PRAGMA auto_vacuum = INCREMENTAL;",
            )
            .unwrap();
        connection.execute_batch(schema).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL")
            .unwrap();
        drop(connection);
        database
    }

    pub(in crate::storage) fn path(&self) -> PathBuf {
        std::fs::canonicalize(self.directory.path())
            .unwrap()
            .join("rows.db")
    }

    pub(in crate::storage) fn open(&self) -> Connection {
        self.open_at(&self.path())
    }

    pub(in crate::storage) fn open_at(&self, path: &Path) -> Connection {
        let connection = self.open_unset_at(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA synchronous = FULL;",
            )
            .unwrap();
        connection
    }

    /// Opens, and changes no setting.
    pub(in crate::storage) fn open_unset_at(&self, path: &Path) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        Connection::open_with_flags_and_vfs(path, flags, self.vfs.name())
    }
}
