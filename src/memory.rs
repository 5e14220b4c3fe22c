//! The one small piece of memory that keys live in.
//!
//! **Does** map a private region of 16 KiB, ask the system to keep it out of swap and out of core
//! dumps, and hand out 32-byte cells of it; scrub the stack and the registers that a cipher used.
//! **Never** fails for want of a locked cell: the caller then keeps the key on the heap.
//! **Format** none.
#![expect(
    unsafe_code,
    reason = "mapping, locking and sharing raw memory has no safe face"
)]

use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous};
use zeroize::Zeroize;

/// How the memory of this process is protected. Every `false` is a fact to report, not an error:
/// keys are wiped all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryProtection {
    /// The region that holds the keys is locked into memory (`mlock`). It has room for 512; a key that
    /// finds none lies on the ordinary heap, and nothing here says so.
    pub keys_locked: bool,
    /// The region is left out of core dumps (`MADV_DONTDUMP`; Linux and Android, elsewhere `false`).
    pub keys_undumpable: bool,
    /// SQLite wipes every block of memory it frees. `false` where the host initialised this
    /// process's SQLite before the first vault was opened.
    pub sqlite_heap_wiped: bool,
}

/// A cell of 32 bytes in the locked region; wiped and given back on drop.
pub(crate) struct Cell(NonNull<[u8; CELL]>);

impl Cell {
    /// A zeroed cell, or none where the region is full or could not be mapped.
    pub(crate) fn take() -> Option<Self> {
        let region = Region::get()?;
        let index = region
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()?;
        // SAFETY: `index` is below CELLS, so the cell lies inside the mapping, which is never
        // unmapped.
        let cell = unsafe { region.base.add(index) };
        Some(Self(cell))
    }

    pub(crate) fn bytes(&self) -> &[u8; CELL] {
        // SAFETY: the cell is mapped, aligned (alignment 1), initialised (anonymous mappings are
        // zeroed), and owned by this value alone until it is dropped.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; CELL] {
        // SAFETY: as in `bytes`, and `&mut self` makes the borrow unique.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        if let Some(region) = Region::get() {
            // SAFETY: both pointers are into the one mapping, and `self.0` came from `base.add`.
            let index = unsafe { self.0.offset_from(region.base) };
            if let Ok(index) = usize::try_from(index) {
                region
                    .free
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(index);
            }
        }
    }
}

// SAFETY: a cell is plain bytes with one owner; nothing about it belongs to a thread.
unsafe impl Send for Cell {}
// SAFETY: a shared cell is only read.
unsafe impl Sync for Cell {}

struct Region {
    base: NonNull<[u8; CELL]>,
    free: Mutex<Vec<usize>>,
    locked: bool,
    undumpable: bool,
}

// SAFETY: the mapping lives as long as the process, cells are handed out once each, and the list
// of free ones is behind a mutex.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    fn get() -> Option<&'static Self> {
        static REGION: OnceLock<Option<Region>> = OnceLock::new();
        REGION.get_or_init(Self::map).as_ref()
    }

    fn map() -> Option<Self> {
        // SAFETY: an anonymous private mapping at an address the system chooses; nothing else
        // refers to it.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                CELL * CELLS,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .ok()?;
        // SAFETY: the range is exactly the mapping made above.
        let locked = unsafe { mlock(start, CELL * CELLS) }.is_ok();
        let undumpable = exclude_from_dumps(start);
        let base = NonNull::new(start.cast())?;
        Some(Self {
            base,
            free: Mutex::new((0..CELLS).collect()),
            locked,
            undumpable,
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn exclude_from_dumps(start: *mut std::ffi::c_void) -> bool {
    use rustix::mm::{Advice, madvise};
    // SAFETY: the range is exactly the region's mapping, and this advice changes no content.
    unsafe { madvise(start, CELL * CELLS, Advice::LinuxDontDump) }.is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn exclude_from_dumps(_start: *mut std::ffi::c_void) -> bool {
    false
}

/// Whether the key region is locked and kept out of core dumps.
pub(crate) fn key_region() -> (bool, bool) {
    Region::get().map_or((false, false), |region| (region.locked, region.undumpable))
}

/// Overwrites what a function that the caller has just called, and that is never inlined, may have
/// left: in the `DEPTH` bytes of the stack below the caller's frame, and in the vector registers,
/// from where the dynamic linker and signals copy to the stack of whatever runs next.
#[inline(always)]
pub(crate) fn scrub_stack<const DEPTH: usize>() {
    zeroize::zeroize_stack::<DEPTH>();
    clear_registers();
}

#[cfg(target_arch = "x86_64")]
fn clear_registers() {
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has these instructions. They change vector registers and nothing
        // else, and every register that a call may change is declared as changed.
        unsafe {
            std::arch::asm!(
                "vzeroall",
                "vpxord zmm16, zmm16, zmm16",
                "vpxord zmm17, zmm17, zmm17",
                "vpxord zmm18, zmm18, zmm18",
                "vpxord zmm19, zmm19, zmm19",
                "vpxord zmm20, zmm20, zmm20",
                "vpxord zmm21, zmm21, zmm21",
                "vpxord zmm22, zmm22, zmm22",
                "vpxord zmm23, zmm23, zmm23",
                "vpxord zmm24, zmm24, zmm24",
                "vpxord zmm25, zmm25, zmm25",
                "vpxord zmm26, zmm26, zmm26",
                "vpxord zmm27, zmm27, zmm27",
                "vpxord zmm28, zmm28, zmm28",
                "vpxord zmm29, zmm29, zmm29",
                "vpxord zmm30, zmm30, zmm30",
                "vpxord zmm31, zmm31, zmm31",
                clobber_abi("sysv64"),
                options(nomem, nostack, preserves_flags),
            );
        }
    } else if std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: as above.
        unsafe {
            std::arch::asm!(
                "vzeroall",
                clobber_abi("sysv64"),
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}

/// Elsewhere the registers that a call may change are left to what runs next.
#[cfg(not(target_arch = "x86_64"))]
fn clear_registers() {}

/// How deep the ciphers, the hashes, HPKE and Argon2id reach: a third more than was measured where
/// they reach deepest (x86-64 with AVX-512: 9.3 KiB, with AWS-LC 5.2, then 1.2, 12.0 and 11.8). Unoptimised
/// code reaches deeper.
pub(crate) const CIPHER_DEPTH: usize =
    if cfg!(feature = "aws-lc") { 7 } else { 12 } * KIB * UNOPTIMISED;
pub(crate) const HASH_DEPTH: usize = 2 * KIB * UNOPTIMISED;
pub(crate) const CURVE_DEPTH: usize = 16 * KIB * UNOPTIMISED;
pub(crate) const KDF_DEPTH: usize = 16 * KIB * UNOPTIMISED;

const KIB: usize = 1024;
const UNOPTIMISED: usize = if cfg!(debug_assertions) { 4 } else { 1 };
const CELL: usize = 32;
const CELLS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_cell_is_wiped_before_it_is_handed_out_again() {
        let mut cell = Cell::take().expect("the region has room");
        let address = cell.bytes().as_ptr();
        cell.bytes_mut().fill(0xA5);
        drop(cell);
        let again = Cell::take().expect("the region has room");
        if again.bytes().as_ptr() == address {
            assert_eq!(again.bytes(), &[0; CELL]);
        }
    }
}
