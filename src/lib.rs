//! Vitalock: an embeddable, encrypted, on-device store for health data.

mod error;
pub mod fhir;
mod id;
mod memory;
mod random;
mod secret;
mod time;

pub use error::{Error, ErrorKind, InvalidationReason, Result};
pub use id::{KeyId, RecordId, SlotId, VaultId};
pub use memory::MemoryProtection;
pub use time::Timestamp;
