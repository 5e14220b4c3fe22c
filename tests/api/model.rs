//! Random changes, beside a map in memory that does the same.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use vitalock::{
    Batch, Class, ErrorKind, Footprint, Lease, Outcome, Query, Record, RecordId, Session,
    Timestamp, Vault,
};

use crate::support::fixture::{make_quick_vault_with, step_up, unlock};
use crate::support::{Scratch, options};

/// One record as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    class: Class,
    subject: Option<u8>,
    client: Option<(u8, u64)>,
    start: Option<i64>,
    /// Of the body, so that a failure can be read.
    body: u64,
    revision: u64,
    earlier: Vec<(Option<u8>, u64)>,
}

#[derive(Clone, Debug)]
enum Step {
    Put(New),
    Batch(Vec<New>),
    /// Puts the record with this number (modulo how many there are) again, elsewhere perhaps.
    Again(usize, Class, usize),
    Stale(usize),
    Erase(usize),
    EraseSubject(u8),
    Lock,
    EndLease,
    Reopen,
}

#[derive(Clone, Debug)]
struct New {
    class: Class,
    subject: Option<u8>,
    client: Option<(u8, u64)>,
    start: Option<i64>,
    length: usize,
}

impl New {
    fn body(&self) -> Vec<u8> {
        let seed = self.length * 31 + self.client.map_or(0, |(_, version)| version as usize);
        (0..self.length).map(|at| (at * 7 + seed) as u8).collect()
    }

    fn record(&self) -> Record {
        let mut record = Record::new("Note", self.body()).class(self.class);
        if let Some(subject) = self.subject {
            record = record.subject(&format!("Patient/{subject}"));
        }
        if let Some((id, version)) = self.client {
            record = record.client(&format!("c{id}"), version);
        }
        if let Some(start) = self.start {
            record = record.effective(Timestamp::from_micros(start));
        }
        record
    }
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::Emergency),
        Just(Class::Standard),
        Just(Class::Priority)
    ]
}

/// Lengths on both sides of where a row no longer fits in its page.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0..60_usize, 3800..4200_usize, 9000..20_000_usize]
}

fn new() -> impl Strategy<Value = New> {
    (
        class(),
        proptest::option::of(0..3_u8),
        proptest::option::of((0..6_u8, 0..4_u64)),
        proptest::option::of(-3..3_i64),
        length(),
    )
        .prop_map(|(class, subject, client, start, length)| New {
            class,
            subject,
            client,
            start,
            length,
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => new().prop_map(Step::Put),
        3 => proptest::collection::vec(new(), 0..6).prop_map(Step::Batch),
        6 => (any::<usize>(), class(), length()).prop_map(|(at, class, length)| Step::Again(at, class, length)),
        1 => any::<usize>().prop_map(Step::Stale),
        3 => any::<usize>().prop_map(Step::Erase),
        1 => (0..3_u8).prop_map(Step::EraseSubject),
        1 => Just(Step::Lock),
        1 => Just(Step::EndLease),
        1 => Just(Step::Reopen),
    ]
}

type Model = BTreeMap<[u8; 16], Known>;

/// What putting a new record comes to in the model.
fn put(model: &mut Model, new: &New, id: Option<RecordId>) -> Result<Outcome, ErrorKind> {
    let client = |known: &Known| known.client.map(|(id, _)| id);
    let same = new.client.and_then(|(offered, _)| {
        model
            .iter_mut()
            .find(|(_, known)| client(known) == Some(offered))
    });
    let fresh = Known {
        class: new.class,
        subject: new.subject,
        client: new.client,
        start: new.start,
        body: hash(&new.body()),
        revision: 1,
        earlier: vec![],
    };
    let Some((_, known)) = same else {
        if let Some(id) = id {
            model.insert(id.to_bytes(), fresh);
        }
        return Ok(Outcome::Created);
    };
    let (offered, held) = (new.client.unwrap().1, known.client.unwrap().1);
    if offered < held {
        return Ok(Outcome::Unchanged);
    }
    if offered == held {
        let content = |known: &Known| (known.class, known.subject, known.start, known.body);
        let same = content(&fresh) == content(known);
        return if same {
            Ok(Outcome::Unchanged)
        } else {
            Err(ErrorKind::Conflict)
        };
    }
    let mut earlier = known.earlier.clone();
    earlier.push((known.subject, known.body));
    *known = Known {
        revision: known.revision + 1,
        earlier,
        ..fresh
    };
    Ok(Outcome::Updated)
}

/// A vault, open as far as it goes.
struct Open {
    scratch: Scratch,
    vault: Option<Vault>,
    session: Option<Session>,
    lease: Option<Lease>,
}

impl Open {
    fn make(footprint: Footprint) -> Self {
        let scratch = Scratch::new();
        let options = options().keep_history(true).footprint(footprint);
        let vault = make_quick_vault_with(&scratch.vault(), options);
        let mut open = Self {
            scratch,
            vault: Some(vault),
            session: None,
            lease: None,
        };
        open.up();
        open
    }

    fn up(&mut self) {
        let path = self.scratch.vault();
        let vault = self.vault.get_or_insert_with(|| Vault::open(path).unwrap());
        let session = self.session.get_or_insert_with(|| unlock(vault));
        self.lease.get_or_insert_with(|| step_up(session));
    }

    fn lease(&self) -> &Lease {
        self.lease.as_ref().unwrap()
    }
}

fn follow(open: &mut Open, model: &mut Model, step: &Step) {
    let at = |model: &Model, number: usize| {
        let ids: Vec<_> = model.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[number % ids.len()])
    };
    match step {
        Step::Put(new) => {
            let mut after = model.clone();
            let outcome = open.lease().put(new.record());
            let id = outcome.as_ref().ok().map(|stored| stored.id);
            let expected = put(&mut after, new, id);
            let outcome = outcome
                .map(|stored| stored.outcome)
                .map_err(|error| error.kind());
            assert_eq!(outcome, expected);
            *model = after;
        }
        Step::Batch(news) => {
            let batch: Batch = news.iter().map(New::record).collect();
            let mut after = model.clone();
            let outcome = open.lease().commit(&batch);
            let mut stored = outcome.iter().flatten();
            let mut made = 0_u8;
            let expected: Result<Vec<_>, _> = news
                .iter()
                .map(|new| {
                    // Where the batch fails as a whole its records need some identity meanwhile.
                    made += 1;
                    let id = stored
                        .next()
                        .map_or_else(|| RecordId::from_bytes([made; 16]), |one| one.id);
                    put(&mut after, new, Some(id))
                })
                .collect();
            let outcomes = outcome
                .map(|all| all.iter().map(|one| one.outcome).collect::<Vec<_>>())
                .map_err(|error| error.kind());
            assert_eq!(outcomes, expected);
            if expected.is_ok() {
                *model = after;
            }
        }
        Step::Again(number, class, length) => {
            if let Some(id) = at(model, *number) {
                let record = open.lease().get(RecordId::from_bytes(id)).unwrap().unwrap();
                let body = vec![*length as u8; *length];
                open.lease()
                    .put(record.class(*class).with_body(body.clone()))
                    .unwrap();
                let known = model.get_mut(&id).unwrap();
                known.earlier.push((known.subject, known.body));
                known.body = hash(&body);
                known.revision += 1;
                known.class = *class;
            }
        }
        Step::Stale(number) => {
            if let Some(id) = at(model, *number) {
                let id = RecordId::from_bytes(id);
                let (stale, next) = (open.lease().get(id).unwrap(), open.lease().get(id).unwrap());
                open.lease().put(next.unwrap()).unwrap();
                let refused = open.lease().put(stale.unwrap()).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Conflict);
                let known = model.get_mut(&id.to_bytes()).unwrap();
                known.earlier.push((known.subject, known.body));
                known.revision += 1;
            }
        }
        Step::Erase(number) => {
            if let Some(id) = at(model, *number) {
                assert!(open.lease().erase(RecordId::from_bytes(id)).unwrap());
                model.remove(&id);
            }
        }
        Step::EraseSubject(subject) => {
            open.lease()
                .erase_subject(&format!("Patient/{subject}"))
                .unwrap();
            model.retain(|_, known| known.subject != Some(*subject));
            for known in model.values_mut() {
                known.earlier.retain(|(about, _)| *about != Some(*subject));
            }
        }
        Step::Lock => {
            open.lease = None;
            open.session.take().unwrap().lock();
        }
        Step::EndLease => open.lease = None,
        Step::Reopen => {
            open.lease = None;
            open.session = None;
            let vault = open.vault.take().unwrap();
            if vault.footprint() == Footprint::MemoryOnly {
                // It is nowhere else: its files are closed and opened again.
                vault.pause();
                vault.resume().unwrap();
                open.vault = Some(vault);
            }
        }
    }
    open.up();
}

fn same(open: &Open, model: &Model) {
    let mut found = Model::new();
    for record in open.lease().query(&Query::new()) {
        let record = record.unwrap();
        let id = record.id().unwrap();
        let earlier = open.lease().history(id).unwrap();
        let client = record.client_identity();
        let known = Known {
            class: record.protection_class(),
            subject: about(&record),
            client: client
                .map(|(id, version)| (id.strip_prefix('c').unwrap().parse().unwrap(), version)),
            start: record.effective_time().map(|(start, _)| start.to_micros()),
            body: hash(record.body()),
            revision: record.revision().unwrap(),
            earlier: earlier
                .iter()
                .map(|each| (about(each), hash(each.body())))
                .collect(),
        };
        assert!(found.insert(id.to_bytes(), known).is_none(), "met twice");
    }
    assert!(found == *model, "{found:?}\n{model:?}");
    for class in Class::ALL {
        let count = open.lease().count(&Query::new().class(class)).unwrap();
        let known = model.values().filter(|known| known.class == class).count();
        assert_eq!(count, known as u64);
    }
}

fn about(record: &Record) -> Option<u8> {
    let name = record.subject_name()?;
    Some(name.strip_prefix("Patient/").unwrap().parse().unwrap())
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_vault_does_what_a_map_in_memory_does() {
    does_what_a_map_does(Footprint::Full);
}

#[test]
fn a_vault_in_memory_does_the_same() {
    does_what_a_map_does(Footprint::MemoryOnly);
}

fn does_what_a_map_does(footprint: Footprint) {
    let soak = std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let config = Config {
        cases: if soak { 200 } else { 12 },
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let steps = proptest::collection::vec(step(), 1..60);
    TestRunner::new(config)
        .run(&steps, |steps| {
            let (mut open, mut model) = (Open::make(footprint), Model::new());
            for step in &steps {
                follow(&mut open, &mut model, step);
            }
            same(&open, &model);
            follow(&mut open, &mut model, &Step::Reopen);
            same(&open, &model);
            Ok(())
        })
        .unwrap();
}
