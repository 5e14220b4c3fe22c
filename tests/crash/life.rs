//! A life of a vault in numbered steps: what each does follows from its number and from what is
//! there, so any process can go on with it and any other knows what has to be there.

use std::collections::BTreeMap;
use std::path::Path;

use vitalock::{
    Batch, Class, Credentials, Lease, Passphrase, Query, Record, RecordId, Result, Session,
    SlotKind, Timestamp, Vault,
};

use crate::change::{Seen, State, hash};
use crate::luck::Luck;
use crate::support::WORDS_TEXT;
use crate::support::fixture::{Twin, step_up, unlock};

/// What has come of the steps before one: the library has no part in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Life {
    seed: u64,
    /// The number of the next step.
    pub(crate) number: u64,
    seen: BTreeMap<String, Vec<Seen>>,
    /// Records whose time is over, by class and subject.
    expired: BTreeMap<(usize, u64), i64>,
    touches: usize,
    /// The number of its passphrase.
    pub(crate) words: u64,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Commit(Vec<Act>),
    /// A record of Priority that is deposited, and taken in.
    Deposit(Act),
    EraseSubject(u64),
    EraseExpired,
    AddTouch,
    RemoveTouch,
    ReplaceWords(u64),
    /// Gives back what nothing uses, which nobody sees.
    Shrink,
    /// Locks, which empties the logs and removes them, and opens again.
    Lock,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// A new record, or the next revision of the one of this kind.
    Put {
        kind: String,
        class: Class,
        subject: u64,
        body: Vec<u8>,
        expired: bool,
    },
    Erase(String),
}

/// What the steps are, over and over.
const ORDER: [&str; 21] = [
    "put", "batch", "deposit", "update", "large", "deposit", "move", "expired", "erase", "touch",
    "lock", "batch", "shrink", "subject", "put", "expire", "words", "mixed", "untouch", "update",
    "lock",
];

impl Life {
    /// A vault of [`make_quick_vault`](crate::support::fixture::make_quick_vault) with history.
    pub(crate) fn begin(seed: u64) -> Self {
        Self {
            seed,
            number: 0,
            seen: BTreeMap::new(),
            expired: BTreeMap::new(),
            touches: 1,
            words: 0,
        }
    }

    /// The life with this many steps behind it.
    pub(crate) fn at(seed: u64, number: u64) -> Self {
        let mut life = Self::begin(seed);
        while life.number < number {
            life.pass();
        }
        life
    }

    /// The next step.
    pub(crate) fn step(&self) -> Step {
        let mut luck = Luck::from(self.seed ^ self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let number = self.number;
        let place = usize::try_from(number % ORDER.len() as u64).unwrap();
        match ORDER[place] {
            "put" => Step::Commit(vec![self.new_record(&mut luck, 0, 3000, false)]),
            "deposit" => match self.new_record(&mut luck, 0, 9000, false) {
                Act::Put {
                    kind,
                    subject,
                    body,
                    expired,
                    ..
                } => Step::Deposit(Act::Put {
                    kind,
                    class: Class::Priority,
                    subject,
                    body,
                    expired,
                }),
                erase => Step::Deposit(erase),
            },
            "large" => Step::Commit(vec![self.new_record(&mut luck, 0, 150_000, false)]),
            "expired" => Step::Commit(vec![self.new_record(&mut luck, 0, 3000, true)]),
            "update" => Step::Commit(vec![self.next_revision(&mut luck, false)]),
            "move" => Step::Commit(vec![self.next_revision(&mut luck, true)]),
            "batch" => Step::Commit(
                (0..5)
                    .map(|at| self.new_record(&mut luck, at, 5000, false))
                    .collect(),
            ),
            "mixed" => {
                let mut acts = vec![
                    self.new_record(&mut luck, 0, 20_000, false),
                    self.new_record(&mut luck, 1, 500, false),
                ];
                acts.extend(self.any_kind(&mut luck).map(Act::Erase));
                Step::Commit(acts)
            }
            "erase" => match self.any_kind(&mut luck) {
                Some(kind) => Step::Commit(vec![Act::Erase(kind)]),
                None => Step::Commit(vec![self.new_record(&mut luck, 0, 3000, false)]),
            },
            "subject" => Step::EraseSubject(luck.below(SUBJECTS)),
            "expire" => Step::EraseExpired,
            "shrink" => Step::Shrink,
            "touch" => Step::AddTouch,
            "untouch" => Step::RemoveTouch,
            "words" => Step::ReplaceWords(number),
            _ => Step::Lock,
        }
    }

    /// Takes the next step, as far as what there has to be is concerned.
    pub(crate) fn pass(&mut self) {
        match self.step() {
            Step::Commit(acts) => acts.into_iter().for_each(|act| self.act(act)),
            Step::Deposit(act) => self.act(act),
            Step::EraseSubject(subject) => {
                let name = name_of(subject);
                self.seen
                    .retain(|_, seen| seen[0].subject.as_ref() != Some(&name));
                self.expired.retain(|(_, of), _| *of != subject);
            }
            Step::EraseExpired => self.expired.clear(),
            Step::AddTouch => self.touches += 1,
            Step::RemoveTouch => self.touches -= 1,
            Step::ReplaceWords(words) => self.words = words,
            Step::Lock | Step::Shrink => {}
        }
        self.number += 1;
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Erase(kind) => drop(self.seen.remove(&kind)),
            Act::Put {
                class,
                subject,
                expired: true,
                ..
            } => *self.expired.entry((place_of(class), subject)).or_default() += 1,
            Act::Put {
                kind,
                class,
                subject,
                body,
                ..
            } => {
                let mut next = Seen {
                    class,
                    revision: 1,
                    subject: Some(name_of(subject)),
                    body: hash(&body[..]),
                    earlier: Vec::new(),
                };
                if let Some(before) = self.seen.remove(&kind) {
                    let before = before.into_iter().next().unwrap();
                    next.revision = before.revision + 1;
                    next.earlier = before.earlier;
                    next.earlier.push((before.revision, before.body));
                }
                self.seen.insert(kind, vec![next]);
            }
        }
    }

    /// What has to be seen of the vault.
    pub(crate) fn state(&self) -> State {
        let mut rows = vec![0; 3];
        for seen in self.seen.values() {
            rows[place_of(seen[0].class)] += 1;
        }
        for ((class, _), count) in &self.expired {
            rows[*class] += count;
        }
        let mut slots = vec![SlotKind::Biometric; self.touches];
        slots.push(SlotKind::Primary);
        State::of(self.seen.clone(), rows, slots)
    }

    fn new_record(&self, luck: &mut Luck, at: u64, most: u64, expired: bool) -> Act {
        let class = Class::ALL[usize::try_from(luck.below(3)).unwrap()];
        Act::Put {
            kind: format!("step-{}-{at}", self.number),
            class,
            subject: luck.below(SUBJECTS),
            body: self.body(luck, at, most),
            expired,
        }
    }

    fn next_revision(&self, luck: &mut Luck, moves: bool) -> Act {
        let Some(kind) = self.any_kind(luck) else {
            return self.new_record(luck, 0, 3000, false);
        };
        let there = &self.seen[&kind][0];
        let subject = there.subject.as_ref().unwrap();
        let by = if moves { 1 + luck.below(2) } else { 0 };
        let class = (place_of(there.class) + usize::try_from(by).unwrap()) % 3;
        Act::Put {
            class: Class::ALL[class],
            subject: subject.rsplit('/').next().unwrap().parse().unwrap(),
            body: self.body(luck, 9, 6000),
            expired: false,
            kind,
        }
    }

    fn any_kind(&self, luck: &mut Luck) -> Option<String> {
        let count = u64::try_from(self.seen.len()).unwrap();
        let at = usize::try_from(luck.below(count.max(1))).unwrap();
        self.seen.keys().nth(at).cloned()
    }

    /// Text that no other step writes.
    fn body(&self, luck: &mut Luck, at: u64, most: u64) -> Vec<u8> {
        let length = usize::try_from(luck.below(most)).unwrap();
        let line = format!("step {} record {at} of life {} ", self.number, self.seed);
        line.repeat(length / line.len() + 1).into_bytes()
    }
}

const SUBJECTS: u64 = 4;

fn name_of(subject: u64) -> String {
    format!("Patient/{subject}")
}

fn place_of(class: Class) -> usize {
    Class::ALL.iter().position(|each| *each == class).unwrap()
}

/// The passphrase of this number; 0 is the one that a vault is made with.
pub(crate) fn passphrase(number: u64) -> Passphrase {
    let words = match number {
        0 => WORDS_TEXT.to_owned(),
        number => format!("{WORDS_TEXT}, die Nummer {number}"),
    };
    Passphrase::new(words.as_bytes()).unwrap()
}

/// An open vault that lives on.
pub(crate) struct Living {
    vault: Vault,
    session: Option<Session>,
    lease: Option<Lease>,
}

impl Living {
    pub(crate) fn open(dir: &Path) -> Self {
        let mut living = Self {
            vault: Vault::open(dir).unwrap(),
            session: None,
            lease: None,
        };
        living.unlock();
        living
    }

    fn unlock(&mut self) {
        let session = unlock(&self.vault);
        self.lease = Some(step_up(&session));
        self.session = Some(session);
    }

    pub(crate) fn lock(&mut self) {
        self.lease = None;
        if let Some(session) = self.session.take() {
            session.lock();
        }
    }

    pub(crate) fn lease(&self) -> &Lease {
        self.lease.as_ref().unwrap()
    }

    /// Takes the next step of a life.
    pub(crate) fn take(&mut self, life: &Life) -> Result<()> {
        let step = life.step();
        if step == Step::Lock {
            self.lock();
            self.unlock();
            return Ok(());
        }
        let lease = self.lease();
        match step {
            Step::Commit(acts) => commit(lease, &acts),
            Step::Deposit(act) => deposit(lease, &act),
            Step::EraseSubject(subject) => lease.erase_subject(&name_of(subject)),
            Step::EraseExpired => lease.erase_expired().map(drop),
            Step::Shrink => lease.shrink(u64::MAX).map(drop),
            Step::AddTouch => lease.slots().add(&Credentials::share(&Twin)).map(drop),
            Step::RemoveTouch => {
                let slots = lease.slots().list()?;
                let mut touches = slots.iter().filter(|slot| slot.kind == SlotKind::Biometric);
                let added = touches.rfind(|slot| !slot.opens_priority);
                lease.slots().remove(added.unwrap().id, Some(&Twin))
            }
            Step::ReplaceWords(number) => {
                let slots = lease.slots().list()?;
                let mut slots = slots.iter();
                let primary = slots.find(|slot| slot.kind == SlotKind::Primary);
                let words = passphrase(number);
                let factors = Credentials::passphrase(&words).and(&Twin);
                lease
                    .slots()
                    .replace(primary.unwrap().id, &factors)
                    .map(drop)
            }
            Step::Lock => Ok(()),
        }
    }
}

fn deposit(lease: &Lease, act: &Act) -> Result<()> {
    let Act::Put {
        kind,
        class,
        subject,
        body,
        ..
    } = act
    else {
        return Ok(());
    };
    let record = Record::new(kind, body.clone())
        .class(*class)
        .subject(&name_of(*subject))
        .client(kind, 1);
    lease.deposit(&record)?;
    assert_eq!(lease.take_in_deposits()?, 1);
    Ok(())
}

fn commit(lease: &Session, acts: &[Act]) -> Result<()> {
    let mut batch = Batch::new();
    for act in acts {
        match act {
            Act::Erase(kind) => {
                batch.erase(found(lease, kind)?.and_then(|record| record.id()).unwrap());
            }
            Act::Put {
                kind,
                class,
                subject,
                body,
                expired,
            } => {
                let record = match found(lease, kind)? {
                    Some(record) => record.class(*class).with_body(body.clone()),
                    None => Record::new(kind, body.clone())
                        .class(*class)
                        .subject(&name_of(*subject))
                        .client(kind, 1),
                };
                batch.put(match expired {
                    true => record.expires(Timestamp::from_micros(1)),
                    false => record,
                });
            }
        }
    }
    match acts {
        [Act::Erase(kind)] => {
            let id: Option<RecordId> = found(lease, kind)?.and_then(|record| record.id());
            lease.erase(id.unwrap()).map(drop)
        }
        _ => lease.commit(&batch).map(drop),
    }
}

fn found(lease: &Session, kind: &str) -> Result<Option<Record>> {
    lease.query(&Query::new().kind(kind)).next().transpose()
}
