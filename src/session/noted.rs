//! What a transaction does in one class, for the class's audit trail.

use crate::actor::Actor;
use crate::audit::{ChangedRecord, Entry, Event, MOST_CHANGES, RecordChange};
use crate::id::{KeyId, RecordId};
use crate::secret::SecretText;

/// What was done so far.
#[derive(Default)]
pub(super) struct Noted {
    records: Vec<(RecordChange, RecordId, u64, Option<SecretText>)>,
    others: Vec<Event>,
}

impl Noted {
    /// A record was put.
    pub(super) fn put(
        &mut self,
        change: RecordChange,
        id: RecordId,
        revision: u64,
        kind: &SecretText,
    ) {
        self.records
            .push((change, id, revision, Some(kind.clone())));
    }

    /// A record was taken out.
    pub(super) fn taken(&mut self, change: RecordChange, id: RecordId) {
        self.records.push((change, id, 0, None));
    }

    pub(super) fn subject_erased(&mut self, key: KeyId) {
        self.others.push(Event::SubjectErased(key));
    }

    pub(super) fn set_aside(&mut self, id: RecordId, why: u8) {
        self.others.push(Event::SetAside(id, why));
    }

    pub(super) fn expired_erased(&mut self, records: u64) {
        if records > 0 {
            self.others.push(Event::ExpiredErased(records));
        }
    }

    /// The entries that say so.
    pub(super) fn entries(self, by: &Actor) -> Vec<Entry> {
        let changes = self.records.chunks(MOST_CHANGES).map(|records| {
            let mut kinds: Vec<SecretText> = Vec::new();
            let mut changed = Vec::with_capacity(records.len());
            for (change, id, revision, kind) in records {
                let kind = kind.as_ref().map(|kind| number(&mut kinds, kind));
                changed.push(ChangedRecord {
                    change: *change,
                    id: *id,
                    revision: *revision,
                    kind,
                });
            }
            Event::Changed {
                kinds,
                records: changed,
            }
        });
        let changes: Vec<Event> = changes.collect();
        let events = changes.into_iter().chain(self.others);
        events.map(|event| Entry::done(by, event)).collect()
    }
}

/// Which of the kinds it is; it is added where it is none. The last is tried first, since what is put
/// together is mostly of one kind.
fn number(kinds: &mut Vec<SecretText>, kind: &SecretText) -> u16 {
    let at = kinds.iter().rposition(|known| known == kind);
    let at = at.unwrap_or_else(|| {
        kinds.push(kind.clone());
        kinds.len() - 1
    });
    u16::try_from(at).expect("an entry holds fewer records than that")
}
