//! What passes unnoticed, all of it sealed by this vault for the very place where it lies, and only
//! out of date. The table in docs/spec 06 lists it under the names of these tests: each is to be
//! turned round, into a refusal, by what compares the vault with an anchor.

use std::collections::BTreeSet;

use vitalock::{
    Batch, Class, Credentials, ErrorKind, Query, Record, RecordId, Session, SlotKind, Vault,
};

use crate::answers::{All, Answers, Verdict, compare};
use crate::populated::{Files, Place, files_of_open, overwrite, populated};
use crate::support::fixture::{DATABASES, Twin, make_quick_vault, step_up, unlock};
use crate::support::spec::pages::{FRAME, LOG_HEADER, TAIL};
use crate::support::{Scratch, files_of, words};
use crate::trees::{PAGE, Trees};

const PAGE_OF_SPEC: &str = include_str!("../../docs/spec/06-page-seal.md");

#[test]
fn the_specification_lists_what_these_tests_show() {
    let (_, section) = PAGE_OF_SPEC
        .split_once("## What only an anchor can notice")
        .unwrap();
    let rows = section.split("\n## ").next().unwrap().lines();
    let listed: Vec<_> = rows
        .filter_map(|row| row.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let tests: Vec<_> = include_str!("unnoticed.rs")
        .split("#[test]\nfn only_an_anchor_notices_")
        .skip(1)
        .map(|rest| rest.split_once('(').unwrap().0)
        .collect();
    assert_eq!(listed, tests);
    assert!(tests.len() >= 10);
}

/// A small vault, locked again after each of two steps, and its files at both times.
struct Twice {
    scratch: Scratch,
    before: Files,
    after: Files,
}

impl Twice {
    fn make(
        first: impl FnOnce(&Session) -> Vec<RecordId>,
        then: impl FnOnce(&Session, &[RecordId]),
    ) -> Self {
        let scratch = Scratch::new();
        let dir = scratch.vault();
        let vault = make_quick_vault(&dir, false);
        let run = |work: &mut dyn FnMut(&Session)| {
            let session = unlock(&vault);
            let lease = step_up(&session);
            work(&lease);
            drop((lease, session));
            files_of_open(&scratch, &dir)
        };
        let (mut first, mut then) = (Some(first), Some(then));
        let mut ids = Vec::new();
        let before = run(&mut |session| ids = first.take().unwrap()(session));
        let after = run(&mut |session| then.take().unwrap()(session, &ids));
        drop(vault);
        Self {
            scratch,
            before,
            after,
        }
    }

    /// The later files, but for this page of the Standard class's database.
    fn with_older_page(&self, owner: &str) -> Files {
        let trees = Trees::of(&self.scratch.vault(), Class::Standard);
        let page = trees.owners.iter().position(|each| each == owner).unwrap();
        let mut files = self.after.clone();
        let older = &self.before["standard.db"][page * PAGE..][..PAGE];
        let page = &mut files.get_mut("standard.db").unwrap()[page * PAGE..][..PAGE];
        assert_ne!(page, older);
        page.copy_from_slice(older);
        files
    }
}

/// Every record, in the order of its writing: class, revision and body.
fn told(place: &Place) -> Vec<(Class, u64, String)> {
    let vault = Vault::open(place.dir()).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    let found = lease.query(&Query::new().oldest_first());
    let mut told: Vec<_> = found
        .map(|record| {
            let record = record.unwrap();
            let body = String::from_utf8(record.body().to_vec()).unwrap();
            (record.protection_class(), record.revision().unwrap(), body)
        })
        .collect();
    told.sort_by_key(|(class, revision, body)| (body.clone(), *class, *revision));
    told
}

fn one(class: Class, revision: u64, body: &str) -> (Class, u64, String) {
    (class, revision, body.to_owned())
}

fn change(session: &Session, id: RecordId, body: &str) {
    let record = session.get(id).unwrap().unwrap();
    session.put(record.with_body(body)).unwrap();
}

/// What the populated vault answers with some of its files exchanged.
fn with(base: &Files, others: &[(&str, Option<&Files>)]) -> All {
    let mut files = base.clone();
    for (name, from) in others {
        match from {
            Some(from) => files.insert((*name).to_owned(), from[*name].clone()),
            None => files.remove(*name),
        };
    }
    populated().questions.ask(&Place::new(&files).dir())
}

/// That this class answers as it did then, and the others as they do now.
fn assert_one_is_of_then(all: &All, at: usize, then: &Answers) {
    for (class, (answers, now)) in all.iter().zip(&populated().answers).enumerate() {
        let right = if class == at { then } else { now };
        assert_eq!(compare(answers, right), Verdict::Right, "class {class}");
    }
}

#[test]
fn only_an_anchor_notices_an_older_copy_of_the_vault() {
    let made = populated();
    let all = with(&made.before, &[]);
    for (answers, states) in all.iter().zip(&made.states) {
        assert_eq!(compare(answers, &states[0]), Verdict::Right);
    }
    let mut pairs = all.iter().zip(&made.answers);
    assert!(pairs.all(|(then, now)| then != now));

    // The header is of then as well: a slot that was removed opens, where its key is not gone.
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let before = files_of(&scratch.vault());
    let session = unlock(&vault);
    let words = words();
    let everyday = Credentials::passphrase(&words).and(&Twin);
    let lease = session.step_up(&everyday).unwrap();
    let slots = lease.slots().list().unwrap();
    for slot in slots.iter().filter(|slot| slot.kind == SlotKind::Biometric) {
        lease.slots().remove(slot.id, Some(&Twin)).unwrap();
    }
    drop((lease, session));
    let touch = Credentials::share(&Twin);
    let refused = vault.unlock(&touch).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoMatchingSlot);
    drop(vault);
    let place = Place::new(&before);
    let vault = Vault::open(place.dir()).unwrap();
    assert!(vault.unlock(&touch).is_ok());
}

#[test]
fn only_an_anchor_notices_an_older_copy_of_a_database() {
    let made = populated();
    for (at, name) in DATABASES.iter().enumerate() {
        let all = with(&made.closed, &[(name, Some(&made.before))]);
        assert_one_is_of_then(&all, at, &made.states[at][0]);
    }
}

/// Removed, or cut or changed at its first frame; at which commit a log ends for a change of any
/// other byte is what the tests of logs show.
#[test]
fn only_an_anchor_notices_a_log_that_ends_early() {
    let made = populated();
    for (at, name) in DATABASES.iter().enumerate() {
        let log = format!("{name}-wal");
        let all = with(&made.open, &[(&log, None)]);
        assert_one_is_of_then(&all, at, &made.states[at][0]);
    }
}

#[test]
fn only_an_anchor_notices_an_older_log_beside_a_newer_database() {
    let made = populated();
    let then = made.questions.ask(&Place::new(&made.older).dir());
    let all = with(&made.closed, &[("emergency.db-wal", Some(&made.older))]);
    assert_ne!(then[0], made.answers[0]);
    assert_one_is_of_then(&all, 0, &then[0]);
}

/// Which trees this is true of, page by page, is what the tests of older pages show.
#[test]
fn only_an_anchor_notices_an_older_page() {
    let put = |session: &Session, body: &str| session.put(Record::new("Dose", body)).unwrap().id;
    let twice = Twice::make(
        |session| vec![put(session, "one")],
        |session, _| {
            put(session, "two");
        },
    );
    let place = Place::new(&twice.with_older_page("records_by_kind"));
    let [first, second] = ["one", "two"].map(|body| one(Class::Standard, 1, body));
    assert_eq!(told(&place), [first, second]);
    let vault = Vault::open(place.dir()).unwrap();
    let of_kind = unlock(&vault).count(&Query::new().kind("Dose")).unwrap();
    assert_eq!(of_kind, 1, "the newer is not among its kind");

    // A row is given away by its time of change, and only to who asks by that.
    let twice = Twice::make(
        |session| vec![put(session, "10 mg")],
        |session, ids| change(session, ids[0], "20 mg"),
    );
    let place = Place::new(&twice.with_older_page("records"));
    assert_eq!(told(&place), [one(Class::Standard, 1, "10 mg")]);
    let vault = Vault::open(place.dir()).unwrap();
    let session = unlock(&vault);
    let mut by_change = session.query(&Query::new().last_updated_first());
    let refused = by_change.next().unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TamperDetected);
}

#[test]
fn only_an_anchor_notices_an_older_page_that_reading_does_not_need() {
    let record = || Record::new("Dose", "one").client("dose", 1);
    let twice = Twice::make(
        |_| Vec::new(),
        |session, _| {
            session.put(record()).unwrap();
        },
    );
    let place = Place::new(&twice.with_older_page("records_by_client"));
    let vault = Vault::open(place.dir()).unwrap();
    let session = unlock(&vault);
    session.put(record()).unwrap();
    drop((session, vault));
    let twice = [
        one(Class::Standard, 1, "one"),
        one(Class::Standard, 1, "one"),
    ];
    assert_eq!(told(&place), twice, "one client's record, twice");
}

#[test]
fn only_an_anchor_notices_an_older_page_under_an_open_session() {
    let twice = Twice::make(
        |session| vec![session.put(Record::new("Dose", "one")).unwrap().id],
        |session, _| {
            session.put(Record::new("Dose", "two")).unwrap();
        },
    );
    let place = Place::new(&twice.after);
    let vault = Vault::open(place.dir()).unwrap();
    let session = unlock(&vault);
    let older = &twice.with_older_page("records_by_kind")["standard.db"];
    overwrite(&place.dir().join("standard.db"), older);
    assert_eq!(session.count(&Query::new().kind("Dose")).unwrap(), 1);
    assert_eq!(session.count(&Query::new()).unwrap(), 2);
}

#[test]
fn only_an_anchor_notices_classes_of_different_times() {
    let twice = Twice::make(
        |session| vec![session.put(Record::new("Dose", "moves")).unwrap().id],
        |session, ids| {
            let record = session.get(ids[0]).unwrap().unwrap();
            session.put(record.class(Class::Priority)).unwrap();
        },
    );
    let place = Place::new(&twice.after);
    let moved = one(Class::Priority, 2, "moves");
    assert_eq!(told(&place), std::slice::from_ref(&moved));
    place.write("standard.db", &twice.before["standard.db"]);
    assert_eq!(told(&place), [one(Class::Standard, 1, "moves"), moved]);
    place.put(&twice.after);
    place.write("priority.db", &twice.before["priority.db"]);
    assert_eq!(told(&place), []);
}

/// An older copy of a class that still holds work for a higher one: it is done once more.
#[test]
fn only_an_anchor_notices_an_intent_that_was_carried_out_before() {
    let scratch = Scratch::new();
    let dir = scratch.vault();
    let vault = make_quick_vault(&dir, false);
    let session = unlock(&vault);
    let both = [Class::Emergency, Class::Standard];
    let batch: Batch = both
        .map(|class| Record::new("Dose", "both").class(class))
        .into_iter()
        .collect();
    let stored = session.commit(&batch).unwrap();
    let then = files_of_open(&scratch, &dir);
    assert!(session.erase(stored[1].id).unwrap());
    drop((session, vault));
    let mut files = files_of(&dir);
    let place = Place::new(&files);
    let kept = one(Class::Emergency, 1, "both");
    assert_eq!(told(&place), std::slice::from_ref(&kept));
    // The last commit in the log of the lower class takes the intent away: it is left out.
    let mut log = then["emergency.db-wal"].clone();
    log.truncate(log.len() - FRAME);
    files.insert("emergency.db".to_owned(), then["emergency.db"].clone());
    files.insert("emergency.db-wal".to_owned(), log);
    place.put(&files);
    let back = one(Class::Standard, 1, "both");
    assert_eq!(told(&place), [kept, back], "what was erased is back");
}

/// Frames go to their places in the order of pages. One that is refused stops that half-way, and
/// ends the log for whoever recovers it, before the commit that is half in its place.
#[test]
fn only_an_anchor_notices_half_a_commit_after_a_frame_was_changed_under_an_open_session() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let put = |number: u8| {
        session
            .put(Record::new("Dose", vec![number; 3000]))
            .unwrap()
            .id
    };
    let ids: Vec<_> = (0..8).map(put).collect();
    drop((session, vault));
    let before = files_of(&scratch.vault());
    let mut states = BTreeSet::new();
    for number in 0.. {
        let place = Place::new(&before);
        let vault = Vault::open(place.dir()).unwrap();
        let session = unlock(&vault);
        let pair = [2, 6].map(|at| session.get(ids[at]).unwrap().unwrap());
        let batch: Batch = pair
            .into_iter()
            .map(|record| record.with_body(vec![9; 3000]))
            .collect();
        session.commit(&batch).unwrap();
        let mut log = files_of_open(&scratch, &place.dir())["standard.db-wal"].clone();
        let at = LOG_HEADER + TAIL + number * FRAME;
        if at >= log.len() {
            break;
        }
        log[at + 100] ^= 1;
        overwrite(&place.dir().join("standard.db-wal"), &log);
        drop((session, vault));
        let vault = Vault::open(place.dir()).unwrap();
        let session = unlock(&vault);
        let revisions: Vec<_> = ids
            .iter()
            .map(|id| session.get(*id).unwrap().unwrap().revision().unwrap())
            .collect();
        states.insert(revisions);
    }
    let none = vec![1; 8];
    let half = vec![1, 1, 2, 1, 1, 1, 1, 1];
    // Where the frame is of a page that a later one brings again, nothing is lost.
    let whole = vec![1, 1, 2, 1, 1, 1, 2, 1];
    assert_eq!(states, [none, half, whole].into());
}

/// Whether verifying finds anything wrong, as far as it comes; a vault that does not open is noticed,
/// too.
fn is_found(place: &Place) -> bool {
    let verified = || {
        let vault = Vault::open(place.dir())?;
        let session = vault.unlock(&Credentials::share(&Twin))?;
        session.verify()
    };
    verified().map_or(true, |verified| !verified.faults.is_empty())
}

/// Without an anchor: single pages that are older than the others are found by adding up.
#[test]
fn verifying_finds_every_page_that_is_older_than_the_others() {
    let twice = Twice::make(
        |session| {
            let put = |number: u8| {
                let body = vec![b'a' + number % 26; usize::from(number) * 40];
                let record = Record::new("Dose", body).subject(&format!("Patient/{}", number % 3));
                session
                    .put(record.client(&number.to_string(), 1))
                    .unwrap()
                    .id
            };
            (0..60).map(put).collect()
        },
        |session, ids| {
            for id in ids.iter().step_by(3) {
                change(session, *id, "another body");
            }
            for id in ids.iter().skip(1).step_by(5) {
                session.erase(*id).unwrap();
            }
            for number in 0..40 {
                let record = Record::new("Visit", vec![b'v'; 300]).subject("Patient/9");
                session
                    .put(record.client(&format!("visit {number}"), 1))
                    .unwrap();
            }
        },
    );
    assert!(!is_found(&Place::new(&twice.after)), "the control");
    let now = told(&Place::new(&twice.after));
    let (older, newer) = (&twice.before["standard.db"], &twice.after["standard.db"]);
    let trees = Trees::of(&twice.scratch.vault(), Class::Standard);
    let (mut found, mut whole) = (BTreeSet::new(), 0);
    for page in 0..older.len().min(newer.len()) / PAGE {
        let range = page * PAGE..(page + 1) * PAGE;
        if older[range.clone()] == newer[range.clone()] {
            continue;
        }
        let mut files = twice.after.clone();
        files.get_mut("standard.db").unwrap()[range.clone()].copy_from_slice(&older[range]);
        let owner = trees.owners[page].clone();
        if is_found(&Place::new(&files)) {
            found.insert(owner);
        } else {
            // What differs is in no row: a free page, the unused part of one, or the next number of a
            // subject.
            assert!(
                told(&Place::new(&files)) == now,
                "page {}, {owner}",
                page + 1
            );
        }
        whole += 1;
    }
    for tree in [
        "records",
        "records_by_kind",
        "records_by_client",
        "audit",
        "settings",
    ] {
        assert!(found.contains(tree), "{found:?}");
    }
    assert!(whole > 15, "{whole}");
}
