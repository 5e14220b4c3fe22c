//! SQLite's heap, wiped as it is freed.
//!
//! SQLite takes memory through a table of functions that can be replaced once in a process, before
//! SQLite is first used. Ours pass every call on and overwrite each block before it goes back. A
//! host that has used this copy of SQLite before is left alone, and the fact is reported.
#![expect(
    unsafe_code,
    reason = "sqlite3_config and the allocator's callbacks are C"
)]

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use rusqlite::ffi::{
    SQLITE_CONFIG_GETMALLOC, SQLITE_CONFIG_MALLOC, SQLITE_OK, sqlite3_config, sqlite3_mem_methods,
};
use zeroize::Zeroize;

/// Installs the wiping allocator at the first call, if SQLite still lets it; says whether it is in
/// place. Must come before every other call into SQLite.
pub(crate) fn sqlite_heap_is_wiped() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(install)
}

fn install() -> bool {
    let Some(plain) = read_methods() else {
        return false;
    };
    if PLAIN.set(Methods(plain)).is_err() {
        return false;
    }
    let wiping = sqlite3_mem_methods {
        xFree: Some(free),
        xRealloc: Some(realloc),
        ..plain
    };
    // SAFETY: the argument is a complete table of functions that live as long as the process;
    // SQLite copies it. Where SQLite is initialised already the call changes nothing and fails.
    let code = unsafe { sqlite3_config(SQLITE_CONFIG_MALLOC, &raw const wiping) };
    code == SQLITE_OK
}

fn read_methods() -> Option<sqlite3_mem_methods> {
    let mut methods = sqlite3_mem_methods {
        xMalloc: None,
        xFree: None,
        xRealloc: None,
        xSize: None,
        xRoundup: None,
        xInit: None,
        xShutdown: None,
        pAppData: std::ptr::null_mut(),
    };
    // SAFETY: the argument points to a table that SQLite fills; it outlives the call.
    let code = unsafe { sqlite3_config(SQLITE_CONFIG_GETMALLOC, &raw mut methods) };
    let whole = methods.xMalloc.is_some() && methods.xFree.is_some() && methods.xSize.is_some();
    (code == SQLITE_OK && whole).then_some(methods)
}

/// SQLite's own allocator.
static PLAIN: OnceLock<Methods> = OnceLock::new();

struct Methods(sqlite3_mem_methods);

// SAFETY: the table holds function pointers and an application pointer that SQLite's default
// allocator leaves null; all may be used from any thread.
unsafe impl Send for Methods {}
// SAFETY: as above.
unsafe impl Sync for Methods {}

impl Methods {
    fn malloc(&self, bytes: c_int) -> *mut c_void {
        // SAFETY: SQLite's own function with an argument that SQLite gave.
        self.0
            .xMalloc
            .map_or(std::ptr::null_mut(), |malloc| unsafe { malloc(bytes) })
    }

    fn size(&self, block: *mut c_void) -> usize {
        // SAFETY: `block` came from this allocator and was not freed.
        let size = self.0.xSize.map_or(0, |size| unsafe { size(block) });
        usize::try_from(size).unwrap_or(0)
    }

    fn wipe_and_free(&self, block: *mut c_void) {
        let size = self.size(block);
        if size > 0 {
            // SAFETY: the allocator says that `size` bytes at `block` belong to this block, and
            // SQLite, which is giving it up, no longer uses them.
            unsafe { std::slice::from_raw_parts_mut(block.cast::<u8>(), size) }.zeroize();
        }
        if let Some(free) = self.0.xFree {
            // SAFETY: `block` came from this allocator and is freed once.
            unsafe { free(block) };
        }
    }
}

unsafe extern "C" fn free(block: *mut c_void) {
    if let Some(plain) = PLAIN.get()
        && !block.is_null()
    {
        plain.wipe_and_free(block);
    }
}

/// Always moves, so that no stale copy is left behind by an allocator that moves by itself.
unsafe extern "C" fn realloc(block: *mut c_void, bytes: c_int) -> *mut c_void {
    let Some(plain) = PLAIN.get() else {
        return std::ptr::null_mut();
    };
    let moved = plain.malloc(bytes);
    if moved.is_null() || block.is_null() {
        return moved;
    }
    let kept = plain.size(block).min(usize::try_from(bytes).unwrap_or(0));
    // SAFETY: both blocks are at least `kept` bytes long and distinct.
    unsafe { std::ptr::copy_nonoverlapping(block.cast::<u8>(), moved.cast::<u8>(), kept) };
    plain.wipe_and_free(block);
    moved
}
