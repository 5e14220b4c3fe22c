//! Vitalock: an embeddable, encrypted, on-device store for health data.

mod error;
#[cfg_attr(not(test), expect(dead_code, unused_imports))]
mod fs;
mod id;
mod memory;
mod random;
mod secret;
mod time;

pub use error::{Error, ErrorKind, InvalidationReason, Result};
pub use id::{KeyId, RecordId, SlotId, VaultId};
pub use memory::MemoryProtection;
pub use time::Timestamp;
