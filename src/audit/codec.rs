//! An entry's event as bytes, and back (spec 09).

use super::event::{ChangedRecord, Entry, Event, LockReason, RecordChange, SlotChange, Stage};
use crate::actor::Actor;
use crate::error::{ErrorKind, Result};
use crate::id::{KeyId, RecordId, SlotId};
use crate::keys::SlotKind;
use crate::sealing::Reader;
use crate::secret::{SecretBytes, SecretText};
use crate::time::Timestamp;

const NO_KIND: u16 = u16::MAX;
const NO_SLOT: [u8; 8] = [0; 8];

/// Writes each value of an enumeration as a number, and finds it again by that.
macro_rules! numbered {
    ($type:ty: $($value:path = $number:literal,)+) => {
        impl $type {
            const fn code(self) -> u8 {
                match self {
                    $($value => $number,)+
                }
            }

            fn from_code(code: u8) -> Result<Self> {
                match code {
                    $($number => Ok($value),)+
                    _ => Err(ErrorKind::TamperDetected.into()),
                }
            }
        }
    };
}

numbered! {
    LockReason:
    LockReason::Requested = 1,
    LockReason::Idle = 2,
    LockReason::Absolute = 3,
    LockReason::Background = 4,
    LockReason::DeviceLocked = 5,
    LockReason::ClockChanged = 6,
    LockReason::HeaderChanged = 7,
}
numbered! {
    Stage:
    Stage::Begun = 1,
    Stage::Done = 2,
    Stage::Failed = 3,
}
numbered! {
    RecordChange:
    RecordChange::Created = 1,
    RecordChange::Updated = 2,
    RecordChange::Erased = 3,
    RecordChange::Moved = 4,
}
numbered! {
    SlotChange:
    SlotChange::Added = 1,
    SlotChange::Replaced = 2,
    SlotChange::Removed = 3,
    SlotChange::EmergencyAdded = 4,
    SlotChange::RecoveryRenewed = 5,
    SlotChange::Recovered = 6,
}

/// The kinds of slot are numbered in the order of the header's page, from 1.
fn kind_code(kind: SlotKind) -> u8 {
    let at = SlotKind::ALL.iter().position(|known| *known == kind);
    at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0)
}

fn kind_of(code: u8) -> Result<SlotKind> {
    let at = usize::from(code).checked_sub(1);
    let kind = at.and_then(|at| SlotKind::ALL.get(at));
    kind.copied()
        .ok_or_else(|| ErrorKind::TamperDetected.into())
}

/// The bytes under construction: measured first and then written in place, since what is secret in
/// them may not be left behind by a vector that grows.
enum Writer<'a> {
    Measure(usize),
    Write(&'a mut [u8], usize),
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        match self {
            Self::Measure(length) => *length += bytes.len(),
            Self::Write(buffer, at) => {
                let end = *at + bytes.len();
                let place = buffer.get_mut(*at..end).expect("it was measured");
                place.copy_from_slice(bytes);
                *at = end;
            }
        }
    }

    fn count(&mut self, count: usize) {
        let count = u32::try_from(count).expect("what an entry holds is bounded");
        self.bytes(&count.to_le_bytes());
    }

    fn text(&mut self, text: &SecretText) {
        self.count(text.expose().len());
        self.bytes(text.expose().as_bytes());
    }

    fn slot(&mut self, slot: Option<SlotId>) {
        self.bytes(&slot.map_or(NO_SLOT, SlotId::to_bytes));
    }
}

/// The bytes of an event.
pub(crate) fn encode(entry: &Entry) -> SecretBytes {
    let mut measure = Writer::Measure(0);
    write(entry, &mut measure);
    let length = match measure {
        Writer::Measure(length) | Writer::Write(_, length) => length,
    };
    let mut bytes = SecretBytes::zeroed(length);
    write(entry, &mut Writer::Write(bytes.expose_mut(), 0));
    bytes
}

fn write(entry: &Entry, out: &mut Writer<'_>) {
    out.bytes(&entry.at.to_micros().to_le_bytes());
    out.text(entry.by.name());
    out.text(entry.by.reason());
    out.bytes(&[entry.stage.code()]);
    out.text(&entry.failure);
    out.bytes(&[code(&entry.event)]);
    match &entry.event {
        Event::VaultMade
        | Event::LeaseEnded
        | Event::EmergencyNoticed
        | Event::Restored
        | Event::Tampered => {}
        Event::Unlocked { slot, failed } => {
            out.slot(Some(*slot));
            let count = u8::try_from(failed.len()).expect("a vault has at most 16 slots");
            out.bytes(&[count]);
            for (slot, attempts) in failed {
                out.slot(Some(*slot));
                out.bytes(&attempts.to_le_bytes());
            }
        }
        Event::Locked(reason) => out.bytes(&[reason.code()]),
        Event::StepUp(slot) => out.slot(*slot),
        Event::EmergencyAccess(slot) => out.slot(Some(*slot)),
        Event::Access { kind } => out.text(kind),
        Event::Read {
            kind,
            queries,
            records,
            ids,
        } => {
            out.text(kind);
            out.bytes(&queries.to_le_bytes());
            out.bytes(&records.to_le_bytes());
            let count = u16::try_from(ids.len()).expect("what an entry names is bounded");
            out.bytes(&count.to_le_bytes());
            ids.iter().for_each(|id| out.bytes(&id.to_bytes()));
        }
        Event::Changed { kinds, records } => {
            let count = u16::try_from(kinds.len()).expect("fewer kinds than records");
            out.bytes(&count.to_le_bytes());
            kinds.iter().for_each(|kind| out.text(kind));
            out.count(records.len());
            for record in records {
                out.bytes(&[record.change.code()]);
                out.bytes(&record.id.to_bytes());
                out.bytes(&record.revision.to_le_bytes());
                out.bytes(&record.kind.unwrap_or(NO_KIND).to_le_bytes());
            }
        }
        Event::SubjectErased(key) => out.bytes(&key.to_bytes()),
        Event::ExpiredErased(count) | Event::Exported(count) | Event::Verified(count) => {
            out.bytes(&count.to_le_bytes());
        }
        Event::SlotsChanged(change, slot) => {
            out.bytes(&[change.code()]);
            out.slot(*slot);
        }
        Event::Deposited(id) | Event::AsideRemoved(id) => out.bytes(&id.to_bytes()),
        Event::UnlockFailed(kind) => out.bytes(&[kind_code(*kind)]),
        Event::SetAside(id, why) => {
            out.bytes(&id.to_bytes());
            out.bytes(&[*why]);
        }
        Event::PolicyChanged(limits) => {
            limits
                .iter()
                .for_each(|limit| out.bytes(&limit.to_le_bytes()));
        }
    }
}

const fn code(event: &Event) -> u8 {
    match event {
        Event::VaultMade => 1,
        Event::Unlocked { .. } => 2,
        Event::Locked(_) => 3,
        Event::StepUp(_) => 4,
        Event::LeaseEnded => 5,
        Event::EmergencyAccess(_) => 6,
        Event::EmergencyNoticed => 7,
        Event::Access { .. } => 8,
        Event::Read { .. } => 9,
        Event::Changed { .. } => 10,
        Event::SubjectErased(_) => 11,
        Event::ExpiredErased(_) => 12,
        Event::SlotsChanged(..) => 13,
        Event::PolicyChanged(_) => 14,
        Event::Restored => 15,
        Event::Tampered => 16,
        Event::Exported(_) => 17,
        Event::Verified(_) => 18,
        Event::Deposited(_) => 19,
        Event::UnlockFailed(_) => 20,
        Event::SetAside(..) => 21,
        Event::AsideRemoved(_) => 22,
    }
}

/// The entry that these bytes are.
///
/// # Errors
///
/// [`ErrorKind::TamperDetected`] where no vault wrote them.
pub(crate) fn decode(bytes: &[u8]) -> Result<Entry> {
    let mut reader = Reader::over(bytes);
    let reader = &mut reader;
    let at = Timestamp::from_micros(i64::from_le_bytes(reader.array()?));
    let (name, purpose) = (reader.text()?, reader.text()?);
    let by = Actor::of(name, purpose);
    let stage = Stage::from_code(byte(reader)?)?;
    let failure = reader.text()?;
    let event = event(reader)?;
    if reader.left() > 0 {
        return Err(ErrorKind::TamperDetected.into());
    }
    Ok(Entry {
        at,
        by,
        stage,
        failure,
        event,
    })
}

fn event(reader: &mut Reader<'_>) -> Result<Event> {
    Ok(match byte(reader)? {
        1 => Event::VaultMade,
        2 => {
            let slot = SlotId::from_bytes(reader.array()?);
            let mut failed = Vec::new();
            for _ in 0..byte(reader)? {
                let slot = SlotId::from_bytes(reader.array()?);
                failed.push((slot, u32::from_le_bytes(reader.array()?)));
            }
            Event::Unlocked { slot, failed }
        }
        3 => Event::Locked(LockReason::from_code(byte(reader)?)?),
        4 => Event::StepUp(slot(reader)?),
        5 => Event::LeaseEnded,
        6 => Event::EmergencyAccess(SlotId::from_bytes(reader.array()?)),
        7 => Event::EmergencyNoticed,
        8 => Event::Access {
            kind: reader.text()?,
        },
        9 => Event::Read {
            kind: reader.text()?,
            queries: u32::from_le_bytes(reader.array()?),
            records: number(reader)?,
            ids: {
                let count = u16::from_le_bytes(reader.array()?);
                let ids = (0..count).map(|_| reader.array().map(RecordId::from_bytes));
                ids.collect::<Result<_>>()?
            },
        },
        10 => changed(reader)?,
        11 => Event::SubjectErased(KeyId::from_bytes(reader.array()?)),
        12 => Event::ExpiredErased(number(reader)?),
        13 => Event::SlotsChanged(SlotChange::from_code(byte(reader)?)?, slot(reader)?),
        14 => {
            let mut limits = [0; 5];
            for limit in &mut limits {
                *limit = u32::from_le_bytes(reader.array()?);
            }
            Event::PolicyChanged(limits)
        }
        15 => Event::Restored,
        16 => Event::Tampered,
        17 => Event::Exported(number(reader)?),
        18 => Event::Verified(number(reader)?),
        19 => Event::Deposited(RecordId::from_bytes(reader.array()?)),
        20 => Event::UnlockFailed(kind_of(byte(reader)?)?),
        21 => Event::SetAside(RecordId::from_bytes(reader.array()?), byte(reader)?),
        22 => Event::AsideRemoved(RecordId::from_bytes(reader.array()?)),
        _ => return Err(ErrorKind::UnsupportedFormat.into()),
    })
}

fn changed(reader: &mut Reader<'_>) -> Result<Event> {
    let count = u16::from_le_bytes(reader.array()?);
    let kinds = (0..count).map(|_| reader.text());
    let kinds = kinds.collect::<Result<Vec<_>>>()?;
    let count = u32::from_le_bytes(reader.array()?);
    let mut records = Vec::new();
    for _ in 0..count {
        let change = RecordChange::from_code(byte(reader)?)?;
        let id = RecordId::from_bytes(reader.array()?);
        let revision = number(reader)?;
        let kind = match u16::from_le_bytes(reader.array()?) {
            NO_KIND => None,
            kind if usize::from(kind) < kinds.len() => Some(kind),
            _ => return Err(ErrorKind::TamperDetected.into()),
        };
        records.push(ChangedRecord {
            change,
            id,
            revision,
            kind,
        });
    }
    Ok(Event::Changed { kinds, records })
}

fn byte(reader: &mut Reader<'_>) -> Result<u8> {
    reader.array().map(|[byte]| byte)
}

fn number(reader: &mut Reader<'_>) -> Result<u64> {
    reader.array().map(u64::from_le_bytes)
}

fn slot(reader: &mut Reader<'_>) -> Result<Option<SlotId>> {
    let slot = reader.array()?;
    Ok((slot != NO_SLOT).then(|| SlotId::from_bytes(slot)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> SecretText {
        SecretText::copy_of(text)
    }

    fn events() -> Vec<Event> {
        let slot = SlotId::from_bytes([3; 8]);
        let id = RecordId::from_bytes([4; 16]);
        let changes = [
            (RecordChange::Created, 1, Some(0)),
            (RecordChange::Updated, 2, Some(1)),
            (RecordChange::Erased, 0, None),
            (RecordChange::Moved, 0, None),
        ];
        let records = changes.map(|(change, revision, kind)| ChangedRecord {
            change,
            id,
            revision,
            kind,
        });
        vec![
            Event::VaultMade,
            Event::Unlocked {
                slot,
                failed: vec![(slot, 4)],
            },
            Event::Locked(LockReason::Idle),
            Event::StepUp(Some(slot)),
            Event::StepUp(None),
            Event::LeaseEnded,
            Event::EmergencyAccess(slot),
            Event::EmergencyNoticed,
            Event::Access { kind: text("Note") },
            Event::Read {
                kind: text("Note"),
                queries: 2,
                records: 70_000,
                ids: vec![id; MOST],
            },
            Event::Changed {
                kinds: vec![text("Note"), text("Observation")],
                records: records.to_vec(),
            },
            Event::SubjectErased(KeyId::from_bytes([5; 16])),
            Event::ExpiredErased(6),
            Event::SlotsChanged(SlotChange::Replaced, Some(slot)),
            Event::SlotsChanged(SlotChange::EmergencyAdded, None),
            Event::PolicyChanged([120, 43_200, 0, 60, 0]),
            Event::Restored,
            Event::Tampered,
            Event::Exported(7),
            Event::Verified(0),
            Event::Deposited(id),
            Event::UnlockFailed(SlotKind::Emergency),
            Event::SetAside(id, 2),
            Event::AsideRemoved(id),
        ]
    }

    const MOST: usize = super::super::MOST_IDS;

    fn entry(event: Event) -> Entry {
        let by = Actor::new("ada").purpose("TREAT");
        Entry::failed(&by, event, "the record was changed by someone else")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut codes = Vec::new();
        for event in events() {
            codes.push(code(&event));
            let entry = entry(event);
            let read = decode(encode(&entry).expose()).unwrap();
            assert!(read.event == entry.event && read.by == entry.by);
            assert!(read.at == entry.at && read.stage == entry.stage);
            assert!(read.failure == entry.failure);
        }
        codes.dedup();
        assert_eq!(codes, (1..=22).collect::<Vec<u8>>());
    }

    #[test]
    fn an_entry_that_is_cut_or_has_more_at_its_end_is_refused() {
        for event in events() {
            let bytes = encode(&entry(event)).expose().to_vec();
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err());
            }
            assert!(decode(&[&*bytes, &[0]].concat()).is_err());
        }
    }

    proptest! {
        #[test]
        fn bytes_that_nobody_wrote_are_refused_or_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = decode(&bytes);
        }
    }
}
