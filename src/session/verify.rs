//! Verifying: every record, every index and every entry of the audit trail against what vouches for
//! them.

use super::classes::{OpenClasses, Reach};
use super::live::Inner;
use super::names::as_u64;
use super::open_class::OpenClass;
use super::segments::entries_from;
use super::state::{Rows, State, open_root};
use crate::anchor::ClassMark;
use crate::audit::{self, Entry, Event};
use crate::class::Class;
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordId;
use crate::keys::Chain;
use crate::records::Record;
use crate::sealing::{Sealed, Table};
use crate::secret::SecretKey;
use crate::storage::{Entered, Reading, Row};

/// What [`Session::verify`](crate::Session::verify) found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How many records, earlier revisions and deposits there are; the first two were opened.
    pub records: u64,
    /// How many entries of the audit trails were followed.
    pub entries: u64,
    /// The MACs of the entries were checked, which takes a lease. Without one an entry that was written
    /// anew by somebody who holds the keys of its class is not told from the one that was there. The MACs
    /// of Priority's own trail are left to the auditor where there is one.
    pub macs_checked: bool,
    /// What is wrong: at most 100 faults, and of each trail the first.
    pub faults: Vec<Fault>,
}

/// Something that this vault did not write, or that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// In which class.
    pub class: Class,
    /// What is wrong.
    pub kind: FaultKind,
    /// The record that it is about.
    pub record: Option<RecordId>,
    /// The first entry of the audit trail that is wrong.
    pub entry: Option<u64>,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The pages of the database do not fit together: one of them is older than the others, or
    /// damaged.
    Pages,
    /// A record does not open where it stands, or its columns are not those that were sealed.
    Record,
    /// The records are not those that there should be: one was taken out, put back, or is an earlier
    /// revision of itself.
    Records,
    /// What a FHIR resource is found by is not what it says.
    Index,
    /// An entry of the audit trail was changed, or is missing or not in its place.
    Entry,
    /// An entry was written anew with the keys of its class.
    EntryForged,
    /// The audit trail does not end where it should.
    TrailEnd,
    /// The audit trail is not the one that was anchored.
    NotAnchored,
}

const MOST_FAULTS: usize = 100;
const PAGE: usize = 256;

/// Verifies every class within reach, each in one snapshot, and says in the trail that it did.
///
/// # Errors
///
/// Those of the session, [`ErrorKind::Locked`] also where it ends meanwhile, and of the files.
pub(super) fn verify(inner: &Inner, reach: Reach) -> Result<Verification> {
    inner.with(reach, |open| {
        inner.write_reads(open)?;
        let mut found = Verification {
            records: 0,
            entries: 0,
            macs_checked: open.class(reach, Class::Priority).is_ok(),
            faults: Vec::new(),
        };
        for class in open.within(reach) {
            let check = Check {
                inner,
                class,
                root: root_of(open, reach, class),
                found: &mut found,
            };
            check.run()?;
        }
        let faults = u64::try_from(found.faults.len()).unwrap_or(u64::MAX);
        let entry = Entry::done(&inner.actor(reach), Event::Verified(faults));
        inner.note_or_owe(open, entry)?;
        Ok(found)
    })
}

/// The key that a class's trail began with, where Priority is open; an error where it was changed.
fn root_of(open: &OpenClasses, reach: Reach, class: &OpenClass) -> Option<Result<SecretKey>> {
    let priority = open.class(reach, Class::Priority).ok()?;
    if class.is_audited {
        return None;
    }
    let sealed = class.store.audit_root();
    Some(sealed.and_then(|sealed| open_root(&priority.keys, class.class(), sealed)))
}

struct Check<'a> {
    inner: &'a Inner,
    class: &'a OpenClass,
    root: Option<Result<SecretKey>>,
    found: &'a mut Verification,
}

impl Check<'_> {
    fn run(mut self) -> Result<()> {
        let class = self.class;
        class.store.read(|reading| {
            let state = State::open(&class.keys, reading.state()?)?;
            match reading.is_consistent() {
                Ok(true) => {}
                Ok(false) => self.fault(FaultKind::Pages),
                Err(error) => self.excuse(error, FaultKind::Pages)?,
            }
            let records = self.records(reading, &state);
            records.or_else(|error| self.excuse(error, FaultKind::Pages))?;
            let trail = self.trail(reading, &state);
            trail.or_else(|error| self.excuse(error, FaultKind::Pages))
        })
    }

    /// Every record and earlier revision, and the sum of them all.
    fn records(&mut self, reading: &Reading<'_>, state: &State) -> Result<()> {
        let mut rows = Rows::NONE;
        let mut entered = Entered::default();
        let mut last = i64::MIN;
        loop {
            self.inner.go_on()?;
            let page = reading.rows_beyond(last, PAGE)?;
            let Some(end) = page.last() else { break };
            last = end.place;
            for row in page {
                self.count(&mut rows, Table::Record, row.id, row.revision, &row.body);
                let (id, place, index) = (row.id, row.place, row.index);
                match self.open(reading, row) {
                    Ok(record) => {
                        let found = self.class.as_found(reading, place, &index, &record)?;
                        match found {
                            Some(found) => entered += found,
                            None => self.add(FaultKind::Index, Some(id), None),
                        }
                    }
                    Err(error) => self.judge(id, Err(error))?,
                }
            }
        }
        let mut last = (RecordId::from_bytes([0; 16]), i64::MIN);
        loop {
            self.inner.go_on()?;
            let page = reading.earlier_after(last.0, last.1, PAGE)?;
            let Some(end) = page.last() else { break };
            last = (end.id, end.revision);
            for row in page {
                let table = Table::EarlierRevision;
                self.count(&mut rows, table, row.id, row.revision, &row.body);
                let id = row.id;
                let opened = self.class.open_earlier(reading, row).map(drop);
                self.judge(id, opened)?;
            }
        }
        let mut last = i64::MIN;
        while let Some(row) = reading.deposit_beyond(last)? {
            self.inner.go_on()?;
            last = row.number;
            self.count(&mut rows, Table::Deposit, row.id, 0, &row.body);
        }
        if rows != state.rows {
            self.fault(FaultKind::Records);
        }
        if self.found.faults.is_empty() && reading.entered()? != entered {
            // Every record has its own, so there are some of none.
            self.fault(FaultKind::Index);
        }
        Ok(())
    }

    fn count(&mut self, rows: &mut Rows, table: Table, id: RecordId, revision: i64, body: &Sealed) {
        let hash = self
            .class
            .keys
            .row_hash(table, id, as_u64(revision), &body.tag());
        rows.add(&hash);
        self.found.records += 1;
    }

    fn open(&self, reading: &Reading<'_>, row: Row) -> Result<Record> {
        let located = self.class.name(reading, row)?;
        self.class.open_row(located)
    }

    fn judge(&mut self, id: RecordId, opened: Result<()>) -> Result<()> {
        match opened {
            Err(error) if is_fault(&error) => {
                self.add(FaultKind::Record, Some(id), None);
                Ok(())
            }
            other => other,
        }
    }

    /// Every entry of the trail, until one is wrong.
    fn trail(&mut self, reading: &Reading<'_>, state: &State) -> Result<()> {
        let keys = &self.class.keys;
        let macs = match self.root.take() {
            Some(Err(error)) => {
                self.excuse(error, FaultKind::TrailEnd)?;
                return Ok(());
            }
            Some(Ok(root)) => Some(root),
            None => None,
        };
        let with_macs = macs.is_some();
        let root = macs.unwrap_or_else(|| SecretKey::copy_of(&[0; 32]));
        let mut chain = Chain::begin(keys.vault(), keys.class(), root);
        let anchored = self.inner.opening.freshness.kept_of(keys.class());
        let mut next = 1_i64;
        loop {
            self.inner.go_on()?;
            let page = entries_from(keys, reading, next, PAGE)?;
            if page.is_empty() {
                break;
            }
            for (number, entry) in page {
                // Where one is missing, that is the one which is wrong.
                let wanted = as_u64(next);
                let entry = match number == next {
                    true => entry,
                    false => Err(ErrorKind::TamperDetected.into()),
                };
                let entry = match entry {
                    Err(error) if is_fault(&error) => {
                        self.add(FaultKind::Entry, None, Some(wanted));
                        return Ok(());
                    }
                    other => other?,
                };
                let fault = follow(&mut chain, &entry, with_macs);
                if let Some(kind) = fault.or_else(|| astray(&chain, anchored)) {
                    self.add(kind, None, Some(wanted));
                    return Ok(());
                }
                self.found.entries += 1;
                next += 1;
            }
        }
        let ends = chain.entries() == state.chain.entries()
            && chain.link() == state.chain.link()
            && (!with_macs || chain.key().matches(state.chain.key()));
        if !ends {
            self.add(FaultKind::TrailEnd, None, Some(chain.entries() + 1));
        }
        Ok(())
    }

    fn fault(&mut self, kind: FaultKind) {
        self.add(kind, None, None);
    }

    fn add(&mut self, kind: FaultKind, record: Option<RecordId>, entry: Option<u64>) {
        if self.found.faults.len() < MOST_FAULTS {
            self.found.faults.push(Fault {
                class: self.class.class(),
                kind,
                record,
                entry,
            });
        }
    }

    /// An error that says that something was changed is a fault that was found.
    fn excuse(&mut self, error: Error, kind: FaultKind) -> Result<()> {
        if !is_fault(&error) {
            return Err(error);
        }
        self.fault(kind);
        Ok(())
    }
}

/// Takes the next entry; what is wrong with it.
fn follow(chain: &mut Chain, entry: &super::state::Chained, macs: bool) -> Option<FaultKind> {
    let event = entry.event.expose();
    if audit::decode(event).is_err() {
        return Some(FaultKind::Entry);
    }
    if !macs {
        return (chain.follow(event) != entry.seal.link).then_some(FaultKind::Entry);
    }
    let seal = chain.append(event);
    match (seal.link == entry.seal.link, seal.matches(&entry.seal)) {
        (false, _) => Some(FaultKind::Entry),
        (true, false) => Some(FaultKind::EntryForged),
        (true, true) => None,
    }
}

/// Whether the chain has come to where it was anchored, and is another there.
fn astray(chain: &Chain, anchored: ClassMark) -> Option<FaultKind> {
    let there = chain.entries() == anchored.entries;
    let other = there && !chain.link().starts_with(&anchored.link);
    other.then_some(FaultKind::NotAnchored)
}

fn is_fault(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TamperDetected | ErrorKind::UnsupportedFormat | ErrorKind::DatabaseDamaged
    )
}
