//! Erasing: what is erased is in no file of the vault, and nothing else is touched.
//!
//! What is looked for is what stands on disk: sealed bodies of every revision, wrapped keys and
//! sealed names, read past the crate before anything is erased, and found then.

use std::fs;
use std::path::Path;

use vitalock::{Batch, Class, Query, Record, RecordId, Session, Timestamp, Vault};

use crate::support::Scratch;
use crate::support::fixture::{
    Needle, copy, database, found_in_files, make_quick_vault, sealed_parts_of, step_up, unlock,
    unsealed,
};

#[test]
fn an_erased_record_is_in_no_file_and_the_others_are_untouched() {
    let (scratch, ids) = populated(40);
    let parts = parts_of(&scratch.vault(), &ids, "body");
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    for (at, (class, id)) in ids.iter().enumerate() {
        if at % 2 == 0 {
            assert!(lease.erase(*id).unwrap());
            assert!(!lease.erase(*id).unwrap(), "it was there once");
            assert!(lease.get(*id).unwrap().is_none());
            assert!(lease.history(*id).unwrap().is_empty());
            let gone = &parts[at];
            assert_eq!(
                found_in_files(&scratch.vault(), gone),
                [""; 0],
                "of {class:?}"
            );
        }
    }
    for (at, (_, id)) in ids.iter().enumerate().filter(|(at, _)| at % 2 == 1) {
        let record = lease.get(*id).unwrap().expect("another record");
        assert_eq!(record.body(), body(at, LAST));
        assert_eq!(lease.history(*id).unwrap().len() as u64, LAST - 1);
    }
    drop(lease);
    drop((session, vault));
    let gone: Vec<Needle> = parts.iter().step_by(2).flatten().cloned().collect();
    assert_eq!(found_in_files(&scratch.vault(), &gone), [""; 0]);
}

#[test]
fn an_erased_subject_is_in_no_file_with_its_key_and_its_name() {
    let (scratch, ids) = populated(24);
    let of_ada: Vec<_> = by_patient(&ids, 0).collect();
    let parts: Vec<Needle> = parts_of(&scratch.vault(), &of_ada, "").concat();
    assert!(parts.iter().any(|part| part.what.ends_with("key")));
    let keys_before = key_ids(&scratch.vault());
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    lease.erase_subject(&patient(0)).unwrap();
    assert_eq!(found_in_files(&scratch.vault(), &parts), [""; 0]);
    assert_eq!(lease.count(&Query::new().subject(&patient(0))).unwrap(), 0);
    for (_, id) in &of_ada {
        assert!(lease.get(*id).unwrap().is_none() && lease.history(*id).unwrap().is_empty());
    }
    for at in (0..ids.len()).filter(|at| at % 3 != 0) {
        let record = lease.get(ids[at].1).unwrap().expect("another person's");
        assert_eq!(record.body(), body(at, LAST));
    }

    // The name means a new person with a new key, in this session and after it.
    let again = Record::new("Note", "someone else").subject(&patient(0));
    let again = lease.put(again).unwrap().id;
    drop(lease);
    drop((session, vault));
    assert_eq!(found_in_files(&scratch.vault(), &parts), [""; 0]);
    let keys_after = key_ids(&scratch.vault());
    let new: Vec<_> = keys_after
        .iter()
        .filter(|key| !keys_before.contains(key))
        .collect();
    assert_eq!(new.len(), 1, "one new key, in Standard");
    assert_eq!(
        keys_before.len() - 3 + 1,
        keys_after.len(),
        "one key less in each class"
    );
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let record = session.get(again).unwrap().unwrap();
    assert_eq!(
        (record.body(), record.subject_name()),
        (&b"someone else"[..], Some("Patient/0"))
    );
}

#[test]
fn expired_records_are_hidden_and_then_in_no_file() {
    let (scratch, ids) = populated(24);
    let past = Timestamp::from_micros(Timestamp::now().to_micros() - 1);
    {
        let vault = Vault::open(scratch.vault()).unwrap();
        let session = unlock(&vault);
        let lease = step_up(&session);
        for (_, id) in ids.iter().step_by(2) {
            let record = lease.get(*id).unwrap().unwrap();
            lease.put(record.expires(past)).unwrap();
        }
    }
    let expired: Vec<_> = ids.iter().copied().step_by(2).collect();
    let parts: Vec<Needle> = parts_of(&scratch.vault(), &expired, "body").concat();
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    for (_, id) in &expired {
        assert!(lease.get(*id).unwrap().is_none());
        assert!(lease.history(*id).unwrap().is_empty());
    }
    let left = (ids.len() - expired.len()) as u64;
    assert_eq!(lease.count(&Query::new()).unwrap(), left);
    assert_eq!(lease.erase_expired().unwrap(), expired.len() as u64);
    assert_eq!(lease.erase_expired().unwrap(), 0);
    assert_eq!(lease.count(&Query::new()).unwrap(), left);
    assert_eq!(found_in_files(&scratch.vault(), &parts), [""; 0]);
}

#[test]
fn a_record_that_moved_leaves_nothing_in_its_old_class() {
    let (scratch, ids) = populated(12);
    let parts = parts_of(&scratch.vault(), &ids, "body");
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    for (at, (class, id)) in ids.iter().enumerate() {
        let to = Class::ALL[(Class::ALL.iter().position(|each| each == class).unwrap() + 1) % 3];
        let record = lease.get(*id).unwrap().unwrap();
        lease.put(record.class(to)).unwrap();
        assert_eq!(found_in_files(&scratch.vault(), &parts[at]), [""; 0]);
        let record = lease.get(*id).unwrap().unwrap();
        assert_eq!(
            (record.protection_class(), record.body()),
            (to, &body(at, LAST)[..])
        );
        assert_eq!(lease.history(*id).unwrap().len() as u64, LAST);
    }
}

/// A batch over several classes waits in the lowest of them, sealed, while it is committed.
#[test]
fn what_waited_in_a_lower_class_is_erased_there_as_well() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let log = |name: &str| fs::metadata(scratch.vault().join(format!("{name}-wal")));
    let mut batch = Batch::new();
    batch.put(Record::new("Note", vec![1; 50_000]));
    batch.put(Record::new("Allergy", "nuts").class(Class::Emergency));
    let stored = session.commit(&batch).unwrap();
    assert!(
        log("emergency.db").unwrap().len() > 50_000,
        "it holds the intent"
    );
    assert!(session.erase(stored[0].id).unwrap());
    for name in ["emergency.db", "standard.db"] {
        assert_eq!(log(name).unwrap().len(), 0, "{name}");
    }
}

#[test]
fn erasing_a_subject_takes_the_earlier_revisions_of_its_records_along() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let id = lease
        .put(Record::new("Note", "hers").subject("Patient/1"))
        .unwrap()
        .id;
    let record = lease.get(id).unwrap().unwrap();
    lease
        .put(record.subject("Patient/2").with_body("his"))
        .unwrap();
    assert_eq!(lease.history(id).unwrap().len(), 1);
    lease.erase_subject("Patient/2").unwrap();
    assert!(lease.get(id).unwrap().is_none() && lease.history(id).unwrap().is_empty());
    drop(lease);
    drop((session, vault));
    let left: i64 = unsealed(&scratch.vault(), Class::Standard)
        .query_row("SELECT count(*) FROM revisions", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn an_iterator_does_not_hand_out_what_was_erased_after_it_began() {
    let (scratch, ids) = populated(30);
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    let mut matches = lease.query(&Query::new().first_updated_first());
    let first = matches.next().unwrap().unwrap().id().unwrap();
    lease.erase_subject(&patient(1)).unwrap();
    let last = lease.query(&Query::new().last_updated_first()).next();
    let last = last.unwrap().unwrap().id().unwrap();
    lease.erase(last).unwrap();
    let mut seen = vec![first];
    for record in matches {
        let record = record.unwrap();
        assert_ne!(record.subject_name(), Some("Patient/1"));
        seen.push(record.id().unwrap());
    }
    let others = ids.iter().enumerate().filter(|(at, _)| at % 3 != 1);
    let mut expected: Vec<_> = others
        .map(|(_, (_, id))| *id)
        .filter(|id| *id != last)
        .collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_file_gives_back_the_pages_of_what_was_erased() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let kept = session.put(Record::new("Note", "kept")).unwrap().id;
    let large = session
        .put(Record::new("Note", vec![9; 4_000_000]))
        .unwrap()
        .id;
    let standard = database(&scratch.vault(), Class::Standard);
    session.erase(large).unwrap();
    assert!(fs::metadata(standard).unwrap().len() < 200_000);
    assert!(session.get(kept).unwrap().is_some());
}

/// The number of the last revision that [`populated`] writes.
const LAST: u64 = 4;

/// A closed vault with history: records of three people over three classes, put and put again with
/// bodies of changing lengths, so that SQLite moves them about.
fn populated(count: usize) -> (Scratch, Vec<(Class, RecordId)>) {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), true);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let mut ids = Vec::new();
    for at in 0..count {
        let class = Class::ALL[at / 3 % 3];
        let record = Record::new("Note", body(at, 1)).class(class);
        let record = record.subject(&patient(at)).content_type("text/plain");
        ids.push((class, lease.put(record).unwrap().id));
    }
    for revision in 2..=LAST {
        revise(&lease, &ids, revision);
    }
    drop(lease);
    session.lock();
    (scratch, ids)
}

fn revise(session: &Session, ids: &[(Class, RecordId)], revision: u64) {
    for (at, (_, id)) in ids.iter().enumerate() {
        let record = session.get(*id).unwrap().unwrap();
        session.put(record.with_body(body(at, revision))).unwrap();
    }
}

fn body(at: usize, revision: u64) -> Vec<u8> {
    let lengths = [40, 700, 150, 2500, 90, 6000, 400];
    let length = lengths[(at * 5 + usize::try_from(revision).unwrap() * 3) % lengths.len()];
    format!("record {at} revision {revision}, ")
        .into_bytes()
        .into_iter()
        .cycle()
        .take(length)
        .collect()
}

fn patient(at: usize) -> String {
    format!("Patient/{}", at % 3)
}

fn by_patient(
    ids: &[(Class, RecordId)],
    patient: usize,
) -> impl Iterator<Item = (Class, RecordId)> {
    ids.iter().copied().skip(patient).step_by(3)
}

/// What stands on disk of each record, checked to be there.
fn parts_of(vault: &Path, ids: &[(Class, RecordId)], ending: &str) -> Vec<Vec<Needle>> {
    let mut all = sealed_parts_of(vault, ids);
    for parts in &mut all {
        parts.retain(|part| part.what.ends_with(ending));
        assert!(!parts.is_empty());
    }
    let together = all.concat();
    assert!(
        found_in_files(vault, &together).len() >= together.len(),
        "they are there at first"
    );
    all
}

fn key_ids(vault: &Path) -> Vec<Vec<u8>> {
    let scratch = Scratch::new();
    copy(vault, &scratch.vault());
    let mut keys = Vec::new();
    for class in Class::ALL {
        let connection = unsealed(&scratch.vault(), class);
        let mut statement = connection.prepare("SELECT key_id FROM subjects").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        keys.extend(rows.map(Result::unwrap));
    }
    keys
}
