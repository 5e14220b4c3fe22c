//! Who has read what in this session, until the audit trail says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Event, MOST_IDS};
use crate::class::Class;
use crate::id::RecordId;
use crate::secret::SecretText;

/// An actor's reading of one kind in one class; the empty text stands for any kind.
type Who = (Class, usize, SecretText);

#[derive(Default)]
pub(super) struct Reads {
    /// For whom the trail says that there is access.
    opened: BTreeSet<Who>,
    /// What the trail does not say yet.
    tallies: BTreeMap<Who, Tally>,
    /// It could not be written when it was time: nothing more is read before it is.
    pub(super) owing: bool,
}

#[derive(Clone, Default)]
pub(super) struct Tally {
    queries: u32,
    records: u64,
    ids: Vec<RecordId>,
}

/// What one actor has read of one kind.
pub(super) type Counted = (usize, SecretText, Tally);

impl Reads {
    pub(super) fn has_access(&self, class: Class, by: usize, kind: &SecretText) -> bool {
        let opened = |kind: SecretText| self.opened.contains(&(class, by, kind));
        opened(kind.clone()) || opened(SecretText::copy_of(""))
    }

    pub(super) fn open(&mut self, class: Class, by: usize, kind: &SecretText) {
        self.opened.insert((class, by, kind.clone()));
    }

    pub(super) fn query(&mut self, class: Class, by: usize, kind: &SecretText) {
        let tally = self.tally(class, by, kind);
        tally.queries = tally.queries.saturating_add(1);
    }

    pub(super) fn record(&mut self, class: Class, by: usize, kind: &SecretText, id: RecordId) {
        let tally = self.tally(class, by, kind);
        tally.records += 1;
        if tally.ids.len() < MOST_IDS {
            tally.ids.push(id);
        }
    }

    fn tally(&mut self, class: Class, by: usize, kind: &SecretText) -> &mut Tally {
        let who = (class, by, kind.clone());
        self.tallies.entry(who).or_default()
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.tallies.is_empty()
    }

    /// Takes what the trail of a class does not say yet.
    pub(super) fn take(&mut self, class: Class) -> Vec<Counted> {
        let mut counted = Vec::new();
        for (who, tally) in std::mem::take(&mut self.tallies) {
            match who {
                (of, by, kind) if of == class => counted.push((by, kind, tally)),
                who => drop(self.tallies.insert(who, tally)),
            }
        }
        counted
    }

    /// Takes it back: it could not be written.
    pub(super) fn put_back(&mut self, class: Class, counted: Vec<Counted>) {
        for (by, kind, tally) in counted {
            let now = self.tally(class, by, &kind);
            now.queries = now.queries.saturating_add(tally.queries);
            now.records += tally.records;
            let room = MOST_IDS.saturating_sub(now.ids.len());
            now.ids.extend(tally.ids.into_iter().take(room));
        }
        self.owing = true;
    }

    /// Everything was closed. What could not be written until now is lost.
    pub(super) fn forget_all(&mut self) {
        self.opened.clear();
        self.tallies.clear();
    }

    /// A class was closed: what an actor may read there is asked anew.
    pub(super) fn forget(&mut self, class: Class) {
        self.opened.retain(|(of, ..)| *of != class);
        self.tallies.retain(|(of, ..), _| *of != class);
    }
}

impl Tally {
    pub(super) fn event(&self, kind: &SecretText) -> Event {
        Event::Read {
            kind: kind.clone(),
            queries: self.queries,
            records: self.records,
            ids: self.ids.clone(),
        }
    }
}
