//! An open vault: the one place where the rooms meet.
//!
//! **Does** check that the session is open, encode, seal, store, and the same way back; hold the
//! keys of the open classes, and destroy them when a limit is reached.
//! **Never** lets a call through once locking has begun, or hands out a record whose envelope did
//! not open in its own place.
//! **Format** none of its own; intents are in docs/spec/05-schema-and-pragmas.md.

mod asked;
mod audit_trail;
mod chain;
mod classes;
mod commit;
mod copies;
mod deposits;
mod draft;
mod emergency;
mod evidence;
mod expiry;
mod fhir;
mod found_by;
mod generation;
mod handle;
mod including;
mod indexing;
mod intent;
mod lease;
mod leases;
mod lifecycle;
mod live;
mod located;
mod matches;
mod names;
mod noted;
mod open_class;
mod opening;
mod outlook;
mod outside;
mod put;
mod reads;
mod recovery;
mod removal;
mod room;
mod row;
mod search;
mod segments;
mod set_aside;
mod shrink;
mod slots;
mod sorting;
mod source;
#[cfg(test)]
mod spec_vectors;
mod state;
mod step_up;
mod throttle;
mod timer;
mod trail;
mod transaction;
mod usage;
mod verify;
mod watch;
#[cfg(test)]
mod watch_tests;

pub use audit_trail::AuditTrail;
pub use emergency::EmergencySession;
pub use fhir::{
    AddedParameter, EntryAnswer, Everything, ExportFormat, FhirStore, Imported, Indexing,
    Precondition, Progress, SavedResource,
};
pub use handle::Session;
pub use lease::Lease;
pub use matches::Matches;
pub use recovery::RecoveryRenewal;
pub use set_aside::{Deposit, DepositState};
pub use slots::{SlotInfo, Slots};
pub use usage::{KindSize, Usage};
pub use verify::{Fault, FaultKind, Verification};

pub(crate) use classes::{ClassSettings, create_database};
pub(crate) use draft::{NewSlot, check_passphrase, recovery_slots};
pub(crate) use generation::Accept;
pub(crate) use opening::{Opening, Unlocked};
pub(crate) use recovery::renew_everything;
pub(crate) use throttle::Table as Attempts;
