//! What an entry can be about.

use crate::actor::Actor;
use crate::id::{KeyId, RecordId, SlotId};
use crate::keys::SlotKind;
use crate::secret::SecretText;
use crate::time::Timestamp;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockReason {
    /// The host locked it, or dropped its last handle.
    Requested,
    /// Nobody used it for as long as the policy allows.
    Idle,
    /// It was open for as long as the policy allows.
    Absolute,
    /// The app was in the background for longer than the policy allows.
    Background,
    /// The device was locked.
    DeviceLocked,
    /// The wall clock and the clock that never stops came apart by more than a minute: somebody
    /// turned the clock, or the device was stopped without the other clock's knowledge.
    ClockChanged,
    /// The vault's header was changed by another process while the vault was paused.
    HeaderChanged,
}

/// How far what an entry is about had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It was about to be done; another entry says what became of it, unless the process died.
    Begun,
    /// It was done.
    Done,
    /// It failed: [`AuditEntry::failure`](crate::AuditEntry::failure) says why.
    Failed,
}

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordChange {
    /// It was put for the first time, or came from another class.
    Created,
    /// A later revision took its place.
    Updated,
    /// It was erased.
    Erased,
    /// It went to another class.
    Moved,
}

/// What was done to the key slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlotChange {
    /// One was added.
    Added,
    /// One took the place of another.
    Replaced,
    /// One was removed.
    Removed,
    /// An emergency code was made.
    EmergencyAdded,
    /// The recovery code was renewed.
    RecoveryRenewed,
    /// The recovery code was used: new factors and a new code took the place of the old.
    Recovered,
}

/// An entry about to be written, or read back.
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) by: Actor,
    pub(crate) stage: Stage,
    /// The error's fixed sentence.
    pub(crate) failure: SecretText,
    pub(crate) event: Event,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Event {
    VaultMade,
    Unlocked {
        slot: SlotId,
        failed: Vec<(SlotId, u32)>,
    },
    Locked(LockReason),
    StepUp(Option<SlotId>),
    LeaseEnded,
    EmergencyAccess(SlotId),
    EmergencyNoticed,
    Access {
        kind: SecretText,
    },
    Read {
        kind: SecretText,
        queries: u32,
        records: u64,
        ids: Vec<RecordId>,
    },
    Changed {
        kinds: Vec<SecretText>,
        records: Vec<ChangedRecord>,
    },
    SubjectErased(KeyId),
    ExpiredErased(u64),
    SlotsChanged(SlotChange, Option<SlotId>),
    PolicyChanged([u32; 5]),
    Restored,
    Tampered,
    Exported(u64),
    Verified(u64),
    Deposited(RecordId),
    UnlockFailed(SlotKind),
    SetAside(RecordId, u8),
    AsideRemoved(RecordId),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangedRecord {
    pub(crate) change: RecordChange,
    pub(crate) id: RecordId,
    /// 0 where the record was taken out.
    pub(crate) revision: u64,
    /// Which of the kinds; nothing where the record was taken out.
    pub(crate) kind: Option<u16>,
}

/// How many records one entry says were changed.
pub(crate) const MOST_CHANGES: usize = 4096;
/// How many records one entry names that were read.
pub(crate) const MOST_IDS: usize = 64;

impl Entry {
    /// What was done, now.
    pub(crate) fn done(by: &Actor, event: Event) -> Self {
        Self::at_stage(by, event, Stage::Done)
    }

    pub(crate) fn at_stage(by: &Actor, event: Event, stage: Stage) -> Self {
        Self {
            at: Timestamp::now(),
            by: by.clone(),
            stage,
            failure: SecretText::copy_of(""),
            event,
        }
    }

    /// What failed, now, and the error's fixed sentence.
    pub(crate) fn failed(by: &Actor, event: Event, words: &'static str) -> Self {
        Self {
            failure: SecretText::copy_of(words),
            ..Self::at_stage(by, event, Stage::Failed)
        }
    }
}
