//! The vault's directory and files, and the only code that touches them.
//!
//! **Does** keep the directory 0700 and every file 0600 whatever the umask, refuse what other users
//! can reach, replace small files atomically, and keep two handles out of one vault (R-100 to
//!
//! **Never** sees a key, writes outside the directory, follows a link at its end, or takes a path
//! or a name from its caller other than the directory's own.
//! **Format** the names in [`FileName`]; what is in the files belongs to the rooms above.

mod atomic;
mod directory;
mod errno;
mod lock;
mod memory;
mod name;
mod outside;
mod place;
mod private;
mod reserve;
mod root;
#[cfg(test)]
mod scratch;
mod size;

pub(crate) use directory::{DatabaseFile, VaultDir};
pub(crate) use lock::VaultLock;
pub(crate) use memory::{MemoryDir, MemoryFile};
pub(crate) use name::FileName;
pub(crate) use reserve::RoomFor;
pub use size::{FileSize, VaultSize};
