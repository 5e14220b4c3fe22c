//! What the VFS asks of the room of files: a directory in memory, which is not used here.

#[path = "../../../src/fs/memory.rs"]
mod memory;

pub(crate) use memory::{MemoryDir, MemoryFile};
