//! Real FHIR data through real vaults: every byte comes back, and everything is found.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use support::{Keystore, Scratch, data, make_vault, words};
use vitalock::fhir::{CONTENT_TYPE, Reader, Resource};
use vitalock::{
    Batch, Class, Credentials, Outcome, Query, Record, RecordId, Session, Stored, Timestamp, Vault,
};

/// Every how many bundles one is imported again.
const AGAIN: usize = 10;

#[test]
fn every_official_example_comes_back_byte_for_byte() {
    let Some(folder) = data::unpacked("fhir/hl7-r4-examples-4.0.1.tar.xz") else {
        return;
    };
    let files = data::json_files(&folder);
    let files = files.iter().filter(|file| !file.ends_with("package.json"));
    let texts: Vec<_> = files.map(|file| fs::read(file).unwrap()).collect();
    let reader = Reader::new();
    let resources: Vec<_> = texts
        .iter()
        .map(|json| reader.resource(json).unwrap())
        .collect();
    assert_eq!(resources.len(), 5298);

    let home = Home::new();
    let watch = Watch::start();
    let (vault, session) = home.unlock();
    let mut stored = Vec::new();
    for part in resources.chunks(200) {
        // The examples use the same ids for different resources.
        let records = part.iter().map(|resource| resource.to_record());
        stored.extend(session.commit(&records.collect()).unwrap());
    }
    assert!(
        stored
            .iter()
            .all(|stored| stored.outcome == Outcome::Created)
    );
    watch.tell("HL7 examples put", resources.len());
    session.lock();
    drop((session, vault));
    let (vault, session) = home.unlock();

    let watch = Watch::start();
    let expected: Vec<_> = ids(&stored).zip(&resources).collect();
    check_people(&session, &expected);
    for (id, resource) in &expected {
        let record = session.get(*id).unwrap().unwrap();
        check(&record, resource);
        assert_eq!(record.client_identity(), None);
    }
    watch.tell("HL7 examples found and read twice", resources.len());
    let mut by_kind: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (id, resource) in &expected {
        by_kind
            .entry(resource.kind())
            .or_default()
            .push((*id, *resource));
    }
    assert_eq!(by_kind.len(), 140);
    for (kind, expected) in by_kind {
        check_times(&session, &Query::new().kind(kind), &expected);
    }
    drop((session, vault));
}

#[test]
fn every_synthea_bundle_comes_back_byte_for_byte_and_is_imported_once() {
    let Some(folder) = data::unpacked("fhir/synthea-r4-500-patients.tar.xz") else {
        return;
    };
    let files = data::json_files(&folder);
    assert_eq!(files.len(), 500);
    let home = Home::new();
    let (vault, session) = home.unlock();
    let watch = Watch::start();
    let mut imported: Vec<(PathBuf, Vec<Stored>)> = Vec::new();
    for file in &files {
        imported.push((file.clone(), import(&session, file)));
    }
    let all = imported.iter().map(|(_, stored)| stored.len()).sum();
    watch.tell(&format!("Synthea: {} bundles put", files.len()), all);
    let outcomes = imported.iter().flat_map(|(_, stored)| stored);
    // Bundles share their hospitals and doctors; each is stored once.
    let created = outcomes
        .clone()
        .filter(|stored| stored.outcome == Outcome::Created)
        .count();
    let shared = outcomes
        .filter(|stored| stored.outcome == Outcome::Unchanged)
        .count();
    assert_eq!((all, created, shared), (154_188, 152_764, 1_424));
    session.lock();
    drop((session, vault));
    let (vault, session) = home.unlock();

    let watch = Watch::start();
    assert_eq!(session.count(&Query::new()).unwrap(), count(created));
    for (file, stored) in &imported {
        let json = fs::read(file).unwrap();
        let resources = Reader::new().bundle(&json).unwrap();
        let expected: Vec<_> = ids(stored).zip(&resources).collect();
        check_people(&session, &expected);
    }
    watch.tell("Synthea: found and read", all);

    let watch = Watch::start();
    let mut again = 0;
    for (file, stored) in imported.iter().step_by(AGAIN) {
        let second = import(&session, file);
        assert!(
            second
                .iter()
                .all(|stored| stored.outcome == Outcome::Unchanged)
        );
        assert!(ids(&second).eq(ids(stored)));
        again += second.len();
    }
    watch.tell("Synthea: put again, unchanged", again);
    assert_eq!(session.count(&Query::new()).unwrap(), count(created));
    drop((session, vault));
}

/// Puts a bundle as one batch, allergies into Emergency.
fn import(session: &Session, file: &Path) -> Vec<Stored> {
    let json = fs::read(file).unwrap();
    let resources = Reader::new().bundle(&json).unwrap();
    let records = resources.iter().map(|resource| match resource.kind() {
        "AllergyIntolerance" => resource.to_record_from("synthea").class(Class::Emergency),
        _ => resource.to_record_from("synthea"),
    });
    session.commit(&Batch::from_iter(records)).unwrap()
}

type Expected<'a> = [(RecordId, &'a Resource<'a>)];

/// Checks that each of the resources is found by whom it is about and what it is, and nothing else
/// is; those about nobody by their id.
fn check_people(session: &Session, expected: &Expected<'_>) {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (id, resource) in expected {
        match resource.subject() {
            Some(subject) => {
                let group = groups.entry((subject, resource.kind())).or_default();
                group.push((*id, *resource));
            }
            None => check(&session.get(*id).unwrap().unwrap(), resource),
        }
    }
    for ((subject, kind), group) in groups {
        let query = Query::new().subject(subject).kind(kind);
        let by_id: HashMap<_, _> = group.iter().copied().collect();
        let mut last = None;
        let mut found = 0;
        for record in session.query(&query) {
            let record = record.unwrap();
            check(&record, by_id[&record.id().unwrap()]);
            let start = record.effective_time().map(|(start, _)| start);
            assert!(found == 0 || start <= last, "newest first");
            last = start;
            found += 1;
        }
        assert_eq!(found, by_id.len());
        check_times(session, &query, &group);
    }
}

/// Checks that windows of time hold what starts in them, and nothing that has no time: the instant
/// of one of the resources, all before it, and all from it on.
fn check_times(session: &Session, query: &Query, expected: &Expected<'_>) {
    let starts = expected
        .iter()
        .filter_map(|(_, resource)| resource.effective());
    let mut starts: Vec<_> = starts.map(|(start, _)| start).collect();
    starts.sort();
    let Some(&middle) = starts.get(starts.len() / 2) else {
        return;
    };
    let next = Timestamp::from_micros(middle.to_micros() + 1);
    let at = query.clone().effective_from(middle).effective_until(next);
    let mut found: Vec<_> = session
        .query(&at)
        .map(|record| record.unwrap().id().unwrap())
        .collect();
    let there = |resource: &Resource<'_>| {
        resource
            .effective()
            .is_some_and(|(start, _)| start == middle)
    };
    let mut there: Vec<_> = expected
        .iter()
        .filter_map(|(id, resource)| there(resource).then_some(*id))
        .collect();
    found.sort_by_key(|id| id.to_bytes());
    there.sort_by_key(|id| id.to_bytes());
    assert_eq!(found, there);
    let from = session
        .count(&query.clone().effective_from(middle))
        .unwrap();
    assert_eq!(
        from,
        count(starts.iter().filter(|start| **start >= middle).count())
    );
    let before = session
        .count(&query.clone().effective_until(middle))
        .unwrap();
    assert_eq!(
        before,
        count(starts.iter().filter(|start| **start < middle).count())
    );
}

fn check(record: &Record, resource: &Resource<'_>) {
    assert!(record.body() == resource.json(), "{}", resource.kind());
    assert_eq!(record.kind(), resource.kind());
    assert_eq!(record.subject_name(), resource.subject());
    assert_eq!(record.effective_time(), resource.effective());
    assert_eq!(record.body_type(), CONTENT_TYPE);
}

fn ids(stored: &[Stored]) -> impl Iterator<Item = RecordId> {
    stored.iter().map(|stored| stored.id)
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

/// A vault, and what opens it.
struct Home {
    scratch: Scratch,
    keystore: Keystore,
}

impl Home {
    fn new() -> Self {
        let (scratch, keystore) = (Scratch::new(), Keystore::new());
        drop(make_vault(&scratch.vault(), &keystore));
        Self { scratch, keystore }
    }

    fn unlock(&self) -> (Vault, Session) {
        let vault = Vault::open(self.scratch.vault()).unwrap();
        let words = words();
        let factors = Credentials::passphrase(&words).and(&self.keystore);
        let session = vault.unlock(&factors).unwrap();
        (vault, session)
    }
}

/// How long things take on this machine: told, never judged.
struct Watch {
    #[expect(
        clippy::disallowed_types,
        reason = "a test measures while the machine is awake"
    )]
    start: std::time::Instant,
}

impl Watch {
    #[expect(
        clippy::disallowed_types,
        reason = "a test measures while the machine is awake"
    )]
    fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }

    fn tell(&self, what: &str, resources: usize) {
        let seconds = self.start.elapsed().as_secs_f64();
        let resources = u32::try_from(resources).unwrap();
        let rate = f64::from(resources) / seconds;
        data::tell(&format!(
            "{what}: {resources} resources in {seconds:.1} s, {rate:.0} a second"
        ));
    }
}
