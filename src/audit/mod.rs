//! Who did what with a class, and when: the entries of the audit trail.
//!
//! **Does** say what an entry can be about, encode it for sealing, pick entries, and write them as FHIR.
//! **Never** holds a clinical value or a subject's name, and stores or seals nothing itself.
//! **Format** docs/spec/09-audit.md.

mod codec;
mod entry;
mod event;
mod evidence;
mod fhir;
mod query;

pub use entry::{AuditAction, AuditEntry, AuditedRecord};
pub use event::{LockReason, RecordChange, SlotChange, Stage};
pub use evidence::{Examined, Seen};
pub use query::AuditQuery;

pub(crate) use codec::{decode, encode};
pub(crate) use event::{ChangedRecord, Entry, Event, MOST_CHANGES, MOST_IDS};
pub(crate) use evidence::evidence_head;
pub(crate) use fhir::write_line;
