//! The changes that are cut short, the vault they start from, and what can be seen of it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use vitalock::{
    Batch, Class, Credentials, Lease, Passphrase, Query, Record, Result, Session, SlotKind,
    Timestamp, Vault,
};

use crate::below::rows_of;
use crate::support::Scratch;
use crate::support::fixture::{
    Needle, Twin, copy, make_quick_vault, sealed_parts_of, step_up, unlock,
};

/// One call that changes a vault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Put,
    PutLarge,
    PutInTwoClasses,
    PutInThreeClasses,
    Move(Class, Class),
    Erase(Class),
    EraseSubject,
    EraseExpired,
    AddTouch,
    ReplaceWords,
}

impl Change {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Put,
            Self::PutLarge,
            Self::PutInTwoClasses,
            Self::PutInThreeClasses,
            Self::EraseSubject,
            Self::EraseExpired,
            Self::AddTouch,
            Self::ReplaceWords,
        ];
        for from in Class::ALL {
            all.push(Self::Erase(from));
            let to = Class::ALL.into_iter().filter(|to| *to != from);
            all.extend(to.map(|to| Self::Move(from, to)));
        }
        all
    }

    /// The change with this place in [`all`](Self::all).
    pub(crate) fn numbered(at: usize) -> Self {
        Self::all()[at]
    }

    pub(crate) fn number(self) -> usize {
        Self::all().iter().position(|each| *each == self).unwrap()
    }

    pub(crate) fn run(self, session: &Lease) -> Result<()> {
        match self {
            Self::Put => session.put(about("new", Class::Standard, 2)).map(drop),
            Self::PutLarge => {
                let large = about("large", Class::Standard, 2).with_body(vec![7; 300_000]);
                session.put(large).map(drop)
            }
            Self::PutInTwoClasses => put_in(session, &[Class::Standard, Class::Emergency]),
            Self::PutInThreeClasses => put_in(session, &Class::ALL),
            Self::Move(from, to) => {
                let record = one(session, "mover", from)?.class(to);
                session.put(record.with_body("moved")).map(drop)
            }
            Self::Erase(class) => {
                let id = one(session, "goner", class)?.id().unwrap();
                session.erase(id).map(drop)
            }
            Self::EraseSubject => session.erase_subject("Patient/1"),
            Self::EraseExpired => session.erase_expired().map(drop),
            Self::AddTouch => {
                let touch = Credentials::share(&Twin);
                session.slots().add(&touch).map(drop)
            }
            Self::ReplaceWords => {
                let slots = session.slots().list()?;
                let primary = slots.iter().find(|slot| slot.kind == SlotKind::Primary);
                let words = Passphrase::new(NEW_WORDS).unwrap();
                let factors = Credentials::passphrase(&words).and(&Twin);
                session
                    .slots()
                    .replace(primary.unwrap().id, &factors)
                    .map(drop)
            }
        }
    }

    /// What of the start must not be found in any file once the change is done.
    pub(crate) fn traces(self, start: &Start) -> Vec<Needle> {
        start
            .records
            .iter()
            .filter(|each| match self {
                Self::Erase(class) => each.kind == "goner" && each.class == class,
                Self::EraseSubject => each.patient == 1,
                Self::EraseExpired => each.kind == "expired",
                _ => false,
            })
            .flat_map(|each| &each.sealed)
            .filter(|part| self == Self::EraseSubject || part.what.ends_with("body"))
            .cloned()
            .collect()
    }
}

/// The passphrase that [`Change::ReplaceWords`] puts in the place of the first.
pub(crate) const NEW_WORDS: &[u8] = b"funf stille Reiher waten";

/// A closed vault to copy: records of two people in three classes, each with an earlier revision.
pub(crate) struct Start {
    scratch: Scratch,
    pub(crate) records: Vec<Known>,
}

pub(crate) struct Known {
    pub(crate) kind: &'static str,
    pub(crate) class: Class,
    patient: u8,
    sealed: Vec<Needle>,
}

impl Start {
    pub(crate) fn make() -> Self {
        let scratch = Scratch::in_memory();
        let vault = make_quick_vault(&scratch.vault(), true);
        let session = unlock(&vault);
        let lease = step_up(&session);
        let mut ids = Vec::new();
        for class in Class::ALL {
            for (kind, patient) in [("mover", 1), ("stayer", 2), ("goner", 2), ("expired", 2)] {
                let stored = lease.put(about(kind, class, patient)).unwrap();
                let first = lease.get(stored.id).unwrap().unwrap();
                let body = format!("the second {kind} of {class:?}, {}", "long ".repeat(300));
                let mut second = first.with_body(body.as_str());
                if kind == "expired" {
                    second = second.expires(Timestamp::from_micros(1));
                }
                lease.put(second).unwrap();
                ids.push((kind, class, patient, stored.id));
            }
        }
        drop(lease);
        session.lock();
        drop((session, vault));
        let places: Vec<_> = ids.iter().map(|(_, class, _, id)| (*class, *id)).collect();
        let sealed = sealed_parts_of(&scratch.vault(), &places);
        let records = ids
            .into_iter()
            .zip(sealed)
            .map(|((kind, class, patient, _), sealed)| Known {
                kind,
                class,
                patient,
                sealed,
            })
            .collect();
        Self { scratch, records }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.vault()
    }

    /// A copy of the vault, in a directory that is removed with the value.
    pub(crate) fn copy(&self) -> Scratch {
        let scratch = Scratch::in_memory();
        copy(&self.path(), &scratch.vault());
        scratch
    }

    /// What is seen before and after a change that nothing disturbs.
    pub(crate) fn before_and_after(&self, change: Change) -> (State, State) {
        let scratch = self.copy();
        let before = reopen(&scratch.vault());
        {
            let vault = Vault::open(scratch.vault()).unwrap();
            let session = unlock(&vault);
            change.run(&step_up(&session)).unwrap();
        }
        (before, reopen(&scratch.vault()))
    }
}

/// Everything that a lease sees, by kind; doubled records stand twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) seen: BTreeMap<String, Vec<Seen>>,
    /// How many rows each class has, those that have expired as well.
    rows: Vec<i64>,
    /// The kinds of the slots.
    slots: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) class: Class,
    pub(crate) revision: u64,
    pub(crate) subject: Option<String>,
    pub(crate) body: u64,
    pub(crate) earlier: Vec<(u64, u64)>,
}

impl State {
    pub(crate) fn of(
        seen: BTreeMap<String, Vec<Seen>>,
        rows: Vec<i64>,
        slots: impl IntoIterator<Item = SlotKind>,
    ) -> Self {
        let mut slots: Vec<_> = slots.into_iter().map(|kind| format!("{kind:?}")).collect();
        slots.sort();
        Self { seen, rows, slots }
    }

    /// What a lease sees.
    pub(crate) fn seen_by(lease: &Lease) -> Result<Self> {
        let seen = look(lease)?.seen;
        let slots = lease.slots().list()?;
        Ok(Self::of(
            seen,
            Vec::new(),
            slots.iter().map(|slot| slot.kind),
        ))
    }

    /// Whether they are the same to a lease.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        self.seen == other.seen && self.slots == other.slots
    }

    pub(crate) fn digest(&self) -> u64 {
        hash(&self.seen)
    }

    /// Without the records of one kind.
    pub(crate) fn without(mut self, kind: &str) -> Self {
        let gone = self.seen.remove(kind).unwrap_or_default();
        for seen in gone {
            let at = Class::ALL.iter().position(|each| *each == seen.class);
            if let Some(rows) = self.rows.get_mut(at.unwrap()) {
                *rows -= 1;
            }
        }
        self
    }

    /// Expiry works through one class after the other.
    pub(crate) fn is_between(&self, before: &Self, after: &Self) -> bool {
        let rows = self.rows.iter().zip(&before.rows).zip(&after.rows);
        self.seen == before.seen
            && self.slots == before.slots
            && rows.into_iter().all(|((now, a), b)| now == a || now == b)
    }
}

/// Looks at everything twice: what a query finds is what its identity gives.
pub(crate) fn look(session: &Session) -> Result<State> {
    let mut state = State::default();
    for record in session.query(&Query::new()) {
        let record = record?;
        let id = record.id().unwrap();
        let again = session.get(id)?.expect("what a query finds is there");
        assert!(again.body() == record.body(), "a record is in one place");
        let earlier = session.history(id)?.into_iter();
        let seen = Seen {
            class: record.protection_class(),
            revision: record.revision().unwrap(),
            subject: record.subject_name().map(str::to_owned),
            body: hash(record.body()),
            earlier: earlier
                .map(|record| (record.revision().unwrap(), hash(record.body())))
                .collect(),
        };
        let kind = state.seen.entry(record.kind().to_owned()).or_default();
        kind.push(seen);
        kind.sort();
    }
    Ok(state)
}

/// Opens a vault as after a crash, looks, closes it, and checks what is on disk.
pub(crate) fn reopen(dir: &Path) -> State {
    let state = try_reopen(dir);
    state.unwrap_or_else(|error| panic!("{error}: {:?}", error.kind()))
}

/// The same where a vault may not open.
pub(crate) fn try_reopen(dir: &Path) -> Result<State> {
    let vault = Vault::open(dir)?;
    let session = vault.unlock(&Credentials::share(&Twin))?;
    let lease = session.step_up(&Credentials::share(&Twin))?;
    let mut state = State::seen_by(&lease)?;
    // Whatever the crash left, the rows add up and the audit trails are whole.
    assert_eq!(lease.verify()?.faults, []);
    drop(lease);
    session.lock();
    drop((session, vault));
    state.rows = rows_of(dir);
    Ok(state)
}

pub(crate) fn about(kind: &str, class: Class, patient: u8) -> Record {
    Record::new(kind, format!("the first {kind} of {class:?}").as_str())
        .class(class)
        .subject(&format!("Patient/{patient}"))
        .content_type("text/plain")
}

fn put_in(session: &Session, classes: &[Class]) -> Result<()> {
    let mut batch = Batch::new();
    for class in classes {
        for kind in ["new", "newer"] {
            batch.put(about(kind, *class, 3));
        }
    }
    session.commit(&batch).map(drop)
}

fn one(session: &Session, kind: &str, class: Class) -> Result<Record> {
    let mut found = session.query(&Query::new().kind(kind).class(class));
    found.next().expect("the start has one")
}

pub(crate) fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
