//! The part of the storage room that the VFS needs, and the VFS in front of it.

#[path = "../../../src/storage/failure.rs"]
mod failure;
#[path = "../../../src/storage/heap.rs"]
mod heap;
#[path = "../../../src/storage/vfs/mod.rs"]
mod vfs;

mod shim;
