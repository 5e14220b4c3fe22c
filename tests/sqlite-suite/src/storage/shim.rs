//! The VFS that SQLite's tests get by default.
//!
//! Databases and logs go to the sealing VFS, whose file objects they are. Rollback journals, their
//! parents and temporary files, which the product refuses, go to SQLite's own VFS, so that the tests
//! which need them exercise sealed databases.
//!
//! SQLite's tests simulate a crash with a VFS named `crash`, which loses and garbles what was not
//! flushed. Where a test has registered it, the sealing VFS lies over it: what is lost and garbled
//! is what lies on the medium.
#![allow(unsafe_code, reason = "a VFS is a table of C functions")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use rusqlite::ffi::{
    SQLITE_CANTOPEN, SQLITE_ERROR, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_vfs,
    sqlite3_vfs_find, sqlite3_vfs_register,
};

use super::vfs::{Pages, SealingVfs};
use crate::class::Class;
use crate::id::VaultId;
use crate::sealing::PageSealer;
use crate::secret::SecretKey;

const PAGES: Pages = Pages {
    sizes: &[1024, 4096, 512, 2048, 8192, 16384, 32768, 65536],
    may_be_none: true,
    of_a_vault: false,
};

struct Tables {
    front: *mut sqlite3_vfs,
    plain: *mut sqlite3_vfs,
    sealing: Sealing,
    /// Over the one that crashes, once there is one.
    crashing: OnceLock<Option<Sealing>>,
}

/// A sealing VFS, for as long as the process lives, and its table.
struct Sealing(SealingVfs);

// SAFETY: the tables are made once and live as long as the process; SQLite guards its list.
unsafe impl Send for Tables {}
// SAFETY: as above.
unsafe impl Sync for Tables {}

static TABLES: OnceLock<Option<Tables>> = OnceLock::new();

thread_local! {
    /// Whether the VFS that crashes is asking for the file below it.
    static BELOW: Cell<bool> = const { Cell::new(false) };
}

/// What SQLite calls when it has initialised itself (`SQLITE_EXTRA_INIT`).
#[unsafe(no_mangle)]
pub extern "C" fn vitalock_suite_init(_: *const c_char) -> c_int {
    let Some(tables) = TABLES.get_or_init(make) else {
        return SQLITE_ERROR;
    };
    // After every initialisation: SQLite then makes a VFS of its own the default.
    // SAFETY: the table is complete and lives as long as the process.
    unsafe { sqlite3_vfs_register(tables.front, 1) }
}

impl Sealing {
    fn over(below: &CStr) -> Option<Self> {
        let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|key| {
            key.fill(7);
            Ok(())
        });
        let sealer = PageSealer::new(key, VaultId::from_bytes([9; 16]), Class::Standard);
        SealingVfs::register(below, sealer, PAGES, None).ok().map(Self)
    }

    fn table(&self) -> Option<*mut sqlite3_vfs> {
        find(self.0.name())
    }
}

fn find(name: &CStr) -> Option<*mut sqlite3_vfs> {
    // SAFETY: the name is a C string; SQLite answers null or a registered table.
    let table = unsafe { sqlite3_vfs_find(name.as_ptr()) };
    (!table.is_null()).then_some(table)
}

fn make() -> Option<Tables> {
    let plain = find(c"unix")?;
    // SAFETY: a registered table is complete and does not change. The functions of the plain VFS
    // take this table for theirs: all that they look at is copied.
    let front = Box::new(unsafe {
        sqlite3_vfs {
            szOsFile: ROOM,
            pNext: std::ptr::null_mut(),
            zName: c"vitalock".as_ptr(),
            xOpen: Some(open),
            ..*plain
        }
    });
    Some(Tables {
        front: Box::into_raw(front),
        plain,
        sealing: Sealing::over(c"unix")?,
        crashing: OnceLock::new(),
    })
}

/// For the file objects of three layers, one in another.
const ROOM: c_int = 4096;

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let Some(Some(tables)) = TABLES.get() else {
        return SQLITE_CANTOPEN;
    };
    let crash = find(c"crash").filter(|_| !BELOW.get());
    let sealed = !path.is_null() && flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL) != 0;
    let table = match (sealed && !BELOW.get(), crash) {
        (false, None) => Some(tables.plain),
        (false, Some(crash)) => Some(crash),
        (true, None) => tables.sealing.table(),
        (true, Some(_)) => {
            let crashing = tables.crashing.get_or_init(|| Sealing::over(c"crash"));
            crashing.as_ref().and_then(Sealing::table)
        }
    };
    let Some(table) = table else {
        return SQLITE_CANTOPEN;
    };
    let before = BELOW.replace(BELOW.get() || crash.is_some());
    // SAFETY: the table is registered, and SQLite has allocated room for all layers.
    let code = unsafe {
        (*table).xOpen.map_or(SQLITE_CANTOPEN, |open| {
            open(table, path, file, flags, out_flags)
        })
    };
    BELOW.set(before);
    code
}
