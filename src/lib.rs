//! Vitalock: an embeddable, encrypted, on-device store for health data.

mod class;
mod error;
#[cfg_attr(not(test), expect(dead_code, unused_imports))]
mod fs;
mod id;
mod keys;
mod memory;
mod random;
mod records;
mod sealing;
mod secret;
mod storage;
mod time;

pub use class::Class;
pub use error::{Error, ErrorKind, InvalidationReason, Result};
pub use id::{KeyId, RecordId, SlotId, VaultId};
pub use keys::{
    Credentials, EmergencyCode, Kdf, KdfParameters, KeyShare, Passphrase, Purpose, RecoveryCode,
    ShareError, ShareSink, SlotKind,
};
pub use memory::MemoryProtection;
pub use time::Timestamp;
