//! Vitalock: an embeddable, encrypted, on-device store for health data.
//!
//! An app opens a [`Vault`] and gets a database whose content is readable to nobody else. It is
//! unlocked by two factors that are combined by cryptography: what a person knows and a share that
//! only the device, or a server after its own check, releases ([`Credentials`], [`KeyShare`]). An
//! unlocked vault is a [`Session`]: it puts, gets, finds and erases [`Record`]s. Documents of
//! [`Class::Priority`] open only to a [`Lease`], which takes fresh factors. Locking destroys keys.
//!
//! Start with [`Vault`]. How it is built is in `docs/architecture.md`, what it defends in
//! `docs/threat-model.md`, and the bytes in `docs/spec`.

mod actor;
mod anchor;
mod audit;
mod class;
mod error;
pub mod fhir;
mod fs;
mod id;
mod keys;
mod memory;
mod posture;
mod random;
mod records;
mod sealing;
mod secret;
mod session;
mod storage;
mod time;
mod vault;

pub use actor::Actor;
pub use anchor::{Anchor, AnchorError};
pub use audit::{
    AuditAction, AuditEntry, AuditQuery, AuditedRecord, Examined, LockReason, RecordChange, Seen,
    SlotChange, Stage,
};
pub use class::Class;
pub use error::{Error, ErrorKind, InvalidationReason, Result};
pub use fs::{FileSize, VaultSize};
pub use id::{RecordId, SlotId, VaultId};
pub use keys::{
    AuditorKey, ContactKey, Credentials, EmergencyCode, EmergencyQuestion, EmergencyRequest,
    Footprint, Kdf, KdfParameters, KeyShare, Passphrase, Purpose, RecoveryCode, SessionPolicy,
    ShareError, ShareSink, SlotKind,
};
pub use memory::MemoryProtection;
pub use posture::{Finding, FindingState, Posture};
pub use records::{Batch, Body, Cursor, Outcome, Query, Quota, Record, Stored};
pub use session::{
    AddedParameter, AuditTrail, Deposit, DepositState, EmergencySession, EntryAnswer, Everything,
    ExportFormat, Fault, FaultKind, FhirStore, Imported, Indexing, KindSize, Lease, Matches,
    Precondition, Progress, RecoveryRenewal, SavedResource, Session, SlotInfo, Slots, Usage,
    Verification,
};
pub use time::Timestamp;
pub use vault::{Options, Recovery, Setup, Vault};
