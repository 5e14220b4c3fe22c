//! An entry, as it is shown.

use std::fmt;

use super::event::{Entry, Event, LockReason, RecordChange, SlotChange, Stage};
use crate::class::Class;
use crate::id::{RecordId, SlotId};
use crate::keys::SlotKind;
use crate::secret::SecretText;
use crate::time::Timestamp;

/// What an entry of the audit trail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AuditAction {
    /// The vault was made.
    VaultMade,
    /// The vault was unlocked. [`AuditEntry::failed_attempts`] says what was tried in vain before.
    Unlocked,
    /// The session ended. [`AuditEntry::lock_reason`] says why.
    Locked,
    /// Priority was opened with fresh factors, or was to be.
    StepUp,
    /// Priority was closed.
    LeaseEnded,
    /// Emergency was opened with the emergency code; the purpose is the reason that was given.
    EmergencyAccess,
    /// The owner took notice of the emergency accesses so far.
    EmergencyNoticed,
    /// Records of a kind, or of any, were made accessible to the actor for this session.
    Access,
    /// Records were read. [`AuditEntry::records`] has the first 64 of them.
    Read,
    /// Records were put or erased. [`AuditEntry::records`] has all of them.
    Changed,
    /// Everything about a subject was erased.
    SubjectErased,
    /// What had expired was erased.
    ExpiredErased,
    /// The key slots were changed. [`AuditEntry::slot_change`] says how.
    SlotsChanged,
    /// The session policy was changed.
    PolicyChanged,
    /// A vault that is older than its anchor says, or whose anchor was lost, was accepted.
    Restored,
    /// Something was met that this vault did not write.
    Tampered,
    /// The audit trail was exported.
    Exported,
    /// The vault was verified; the count is that of the faults.
    Verified,
    /// A record was deposited for Priority. Neither its kind nor its subject is named.
    Deposited,
    /// An attempt to unlock failed while the vault was locked. [`AuditEntry::slot_kind`] says with
    /// which factors. Nothing vouches for such an entry but who could write to the directory: see
    /// [`Session::audit_trail`](crate::Session::audit_trail).
    UnlockFailed,
    /// A deposit could not be taken in.
    SetAside,
    /// A deposit that had been set aside was removed.
    AsideRemoved,
}

/// A record that an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditedRecord {
    /// The record's identity.
    pub id: RecordId,
    /// What was done to it; `None` where it was read, or is a deposit.
    pub change: Option<RecordChange>,
    /// The revision that was put.
    pub revision: Option<u64>,
}

/// An entry of a class's audit trail.
///
/// # Security
///
/// It holds identities, kinds and the app's words about who acts, and no clinical value. Where an app
/// keeps kinds or names that say something about a person, so does the trail.
pub struct AuditEntry {
    class: Class,
    number: u64,
    entry: Entry,
}

impl AuditEntry {
    pub(crate) fn new(class: Class, number: u64, entry: Entry) -> Self {
        Self {
            class,
            number,
            entry,
        }
    }

    /// The class whose trail it is in.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its number in that trail, from 1 on without a gap.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was written, by the wall clock.
    pub fn at(&self) -> Timestamp {
        self.entry.at
    }

    /// Who acted, where the app has said so.
    pub fn actor(&self) -> Option<&str> {
        given(self.entry.by.name())
    }

    /// What for, where the app has said so.
    pub fn purpose(&self) -> Option<&str> {
        given(self.entry.by.reason())
    }

    /// How far it had come.
    pub fn stage(&self) -> Stage {
        self.entry.stage
    }

    /// Why it failed: the fixed sentence of an [`ErrorKind`](crate::ErrorKind).
    pub fn failure(&self) -> Option<&str> {
        given(&self.entry.failure)
    }

    /// What it is about.
    pub fn action(&self) -> AuditAction {
        match self.entry.event {
            Event::VaultMade => AuditAction::VaultMade,
            Event::Unlocked { .. } => AuditAction::Unlocked,
            Event::Locked(_) => AuditAction::Locked,
            Event::StepUp(_) => AuditAction::StepUp,
            Event::LeaseEnded => AuditAction::LeaseEnded,
            Event::EmergencyAccess(_) => AuditAction::EmergencyAccess,
            Event::EmergencyNoticed => AuditAction::EmergencyNoticed,
            Event::Access { .. } => AuditAction::Access,
            Event::Read { .. } => AuditAction::Read,
            Event::Changed { .. } => AuditAction::Changed,
            Event::SubjectErased(_) => AuditAction::SubjectErased,
            Event::ExpiredErased(_) => AuditAction::ExpiredErased,
            Event::SlotsChanged(..) => AuditAction::SlotsChanged,
            Event::PolicyChanged(_) => AuditAction::PolicyChanged,
            Event::Restored => AuditAction::Restored,
            Event::Tampered => AuditAction::Tampered,
            Event::Exported(_) => AuditAction::Exported,
            Event::Deposited(_) => AuditAction::Deposited,
            Event::UnlockFailed(_) => AuditAction::UnlockFailed,
            Event::SetAside(..) => AuditAction::SetAside,
            Event::AsideRemoved(_) => AuditAction::AsideRemoved,
            Event::Verified(_) => AuditAction::Verified,
        }
    }

    /// The kind of record that was asked for or read; `None` for any.
    pub fn kind(&self) -> Option<&str> {
        match &self.entry.event {
            Event::Access { kind } | Event::Read { kind, .. } => given(kind),
            _ => None,
        }
    }

    /// The kinds of the records that were changed.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        let kinds = match &self.entry.event {
            Event::Changed { kinds, .. } => kinds.as_slice(),
            _ => &[],
        };
        kinds.iter().map(SecretText::expose)
    }

    /// The records that the entry names.
    pub fn records(&self) -> Vec<AuditedRecord> {
        match &self.entry.event {
            Event::Read { ids, .. } => {
                let read = |id: &RecordId| AuditedRecord {
                    id: *id,
                    change: None,
                    revision: None,
                };
                ids.iter().map(read).collect()
            }
            Event::Changed { records, .. } => {
                let records = records.iter().map(|record| AuditedRecord {
                    id: record.id,
                    change: Some(record.change),
                    revision: (record.revision > 0).then_some(record.revision),
                });
                records.collect()
            }
            Event::Deposited(id) | Event::SetAside(id, _) | Event::AsideRemoved(id) => {
                vec![AuditedRecord {
                    id: *id,
                    change: None,
                    revision: None,
                }]
            }
            _ => Vec::new(),
        }
    }

    /// How many records were read, changed or erased, entries exported, or faults found.
    pub fn count(&self) -> Option<u64> {
        match &self.entry.event {
            Event::Read { records, .. } => Some(*records),
            Event::Changed { records, .. } => u64::try_from(records.len()).ok(),
            Event::ExpiredErased(count) | Event::Exported(count) | Event::Verified(count) => {
                Some(*count)
            }
            _ => None,
        }
    }

    /// How many queries and counts were made.
    pub fn queries(&self) -> Option<u32> {
        match &self.entry.event {
            Event::Read { queries, .. } => Some(*queries),
            _ => None,
        }
    }

    /// The key slot that it is about.
    pub fn slot(&self) -> Option<SlotId> {
        match &self.entry.event {
            Event::Unlocked { slot, .. } | Event::EmergencyAccess(slot) => Some(*slot),
            Event::StepUp(slot) | Event::SlotsChanged(_, slot) => *slot,
            _ => None,
        }
    }

    /// With which factors it was tried to unlock.
    pub fn slot_kind(&self) -> Option<SlotKind> {
        match &self.entry.event {
            Event::UnlockFailed(kind) => Some(*kind),
            _ => None,
        }
    }

    /// How often each key slot had failed since it last opened, at an unlocking.
    pub fn failed_attempts(&self) -> &[(SlotId, u32)] {
        match &self.entry.event {
            Event::Unlocked { failed, .. } => failed,
            _ => &[],
        }
    }

    /// Why the session ended.
    pub fn lock_reason(&self) -> Option<LockReason> {
        match &self.entry.event {
            Event::Locked(reason) => Some(*reason),
            _ => None,
        }
    }

    /// What was done to the key slots.
    pub fn slot_change(&self) -> Option<SlotChange> {
        match &self.entry.event {
            Event::SlotsChanged(change, _) => Some(*change),
            _ => None,
        }
    }

    /// The limits that were set: idle, absolute, background and lease in seconds, and reads (0 for
    /// unlimited).
    pub fn limits(&self) -> Option<[u32; 5]> {
        match &self.entry.event {
            Event::PolicyChanged(limits) => Some(*limits),
            _ => None,
        }
    }
}

impl fmt::Debug for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditEntry")
            .field("class", &self.class)
            .field("number", &self.number)
            .field("action", &self.action())
            .field("stage", &self.stage())
            .finish_non_exhaustive()
    }
}

fn given(text: &SecretText) -> Option<&str> {
    Some(text.expose()).filter(|text| !text.is_empty())
}
