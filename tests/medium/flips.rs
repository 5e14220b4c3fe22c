//! One bit flipped, in every file but the headers: those have rules of their own, which the test
//! binary `tamper` holds.

use std::collections::BTreeSet;

use vitalock::fhir::Reader;
use vitalock::{Batch, Class, ErrorKind, Record, Session, Vault};

use crate::answers::Verdict;
use crate::populated::{Place, populated};
use crate::soak;
use crate::support::fixture::{DATABASES, step_up, unlock};
use crate::trees::{PAGE, Trees, is_read};

/// Where a unit is changed: at one place that moves through it from unit to unit, or at every 64th
/// byte.
pub(crate) fn places(unit: usize, length: usize) -> Vec<(usize, u8)> {
    let bit = |at: usize| (at, 1 << ((unit + at / 64) % 8));
    if soak() {
        (0..length)
            .step_by(64)
            .chain([length - 1])
            .map(bit)
            .collect()
    } else {
        vec![bit(unit * 397 % length)]
    }
}

#[test]
fn a_bit_of_a_closed_database_is_tampering_wherever_it_is_read_and_changes_no_answer() {
    let made = populated();
    let place = Place::new(&made.closed);
    let mut unread = BTreeSet::new();
    let mut flips = 0;
    for (class, name) in Class::ALL.into_iter().zip(DATABASES) {
        let trees = Trees::of(&place.dir(), class);
        for page in 0..trees.owners.len() {
            for (at, bit) in places(page, PAGE) {
                let mut changed = made.closed[name].clone();
                changed[page * PAGE + at] ^= bit;
                place.write(name, &changed);
                let what = format!("{name}, page {}, byte {at}", page + 1);
                let owner = &trees.owners[page];
                let verdict = made.verdict(&place, &what);
                if is_read(class, owner) {
                    assert_eq!(verdict, tampering(), "{what}, {owner}");
                } else if ["(free)", "(map)"].contains(&owner.as_str()) && verdict == tampering() {
                    // The trail has grown by a page, which is taken from there.
                    unread.insert(owner.clone());
                } else {
                    assert_eq!(verdict, Verdict::Right, "{what}, {owner}");
                    unread.insert(owner.clone());
                }
                assert!(!trees.opens(&changed, page), "{what}: reading it notices");
                flips += 1;
                if flips % 50 == 0 {
                    let now = &place.now()[name];
                    assert!(!trees.opens(now, page), "{what}: it is not healed");
                }
            }
        }
        place.put(&made.closed);
    }
    assert_eq!(
        unread.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "(free)",
            "(map)",
            "amounts",
            "deposits",
            "intents",
            "records_by_client",
            "resources",
            "resources_by_end",
            "resources_by_name",
            "revisions_by_subject",
            "sqlite_autoindex_deposits_1",
            "sqlite_autoindex_subjects_1",
            "sqlite_autoindex_terms_1",
            "sqlite_sequence",
            "stretches",
            "tokens",
            "words",
        ],
        "what nothing that was read is made of"
    );
    assert!(made.questions.ask(&place.dir()) == made.answers);
}

fn tampering() -> Verdict {
    Verdict::Refused(vec![ErrorKind::TamperDetected])
}

/// Puts and erases in every class, with names that are new; what failed.
fn change_everything(session: &Session) -> Vec<ErrorKind> {
    let mut failures = Vec::new();
    let mut note = |done: vitalock::Result<()>| failures.extend(done.err().map(|e| e.kind()));
    let all = |kind: &str, subject: &str, client: &str| -> Batch {
        let each = Class::ALL.map(|class| {
            Record::new(kind, vec![3; 9000])
                .class(class)
                .subject(subject)
                .client(&format!("{class:?}/{client}"), 1)
        });
        let mut batch: Batch = each.into_iter().collect();
        for class in Class::ALL {
            // Something for every table of the search index.
            for json in [
                r#"{"resourceType":"Patient","id":"n","name":[{"family":"N"}],"birthDate":"1950"}"#,
                r#"{"resourceType":"Observation","status":"final","valueQuantity":{"value":1}}"#,
                r#"{"resourceType":"Encounter","period":{"start":"2024-01-01","end":"2024-02-01"}}"#,
            ] {
                let resource = Reader::new().resource(json.as_bytes()).unwrap();
                batch.put(resource.to_record().class(class));
            }
        }
        batch
    };
    note(session.commit(&all("New", "Patient/9", "9000")).map(drop));
    for subject in 1..4 {
        note(session.erase_subject(&format!("Patient/{subject}")));
    }
    note(session.erase_expired().map(drop));
    failures
}

#[test]
fn a_bit_where_nothing_is_read_is_tampering_to_the_change_that_needs_it() {
    let made = populated();
    let place = Place::new(&made.closed);
    let vault = Vault::open(place.dir()).unwrap();
    let session = unlock(&vault);
    assert_eq!(change_everything(&step_up(&session)), []);
    drop((session, vault));
    let mut seen = BTreeSet::new();
    for (class, name) in Class::ALL.into_iter().zip(DATABASES) {
        place.put(&made.closed);
        let trees = Trees::of(&place.dir(), class);
        let owners = trees.owners.iter().enumerate();
        for (page, owner) in owners.filter(|(_, owner)| !is_read(class, owner)) {
            let mut changed = made.closed[name].clone();
            changed[page * PAGE + 99] ^= 8;
            place.put(&made.closed);
            place.write(name, &changed);
            let vault = Vault::open(place.dir()).unwrap();
            let session = unlock(&vault);
            let mut failures = change_everything(&step_up(&session));
            failures.dedup();
            let what = format!("{name}, page {}, {owner}", page + 1);
            assert_eq!(failures, [ErrorKind::TamperDetected], "{what}");
            seen.insert(owner.clone());
        }
    }
    assert_eq!(seen.len(), 17);
}

#[test]
fn a_bit_under_a_log_is_tampering_unless_the_log_brings_the_page() {
    let made = populated();
    let place = Place::new(&made.open);
    let (mut noticed, mut healed) = (0, 0);
    for (at, (class, name)) in Class::ALL.into_iter().zip(DATABASES).enumerate() {
        // What the pages are is known of the database as it is with its log in it.
        let trees = Trees::of(&Place::new(&made.closed).dir(), class);
        let in_log = made.pages_in_log(at);
        for page in 0..made.open[name].len() / PAGE {
            for (byte, bit) in places(page, PAGE) {
                let mut changed = made.open[name].clone();
                changed[page * PAGE + byte] ^= bit;
                place.put(&made.open);
                place.write(name, &changed);
                let what = format!("{name}, page {}, byte {byte}", page + 1);
                let verdict = made.verdict(&place, &what);
                if is_read(class, &trees.owners[page]) && !in_log.contains(&(page + 1)) {
                    assert_eq!(verdict, tampering(), "{what}");
                    noticed += 1;
                } else {
                    assert_eq!(verdict, Verdict::Right, "{what}");
                    healed += 1;
                }
            }
        }
    }
    assert!(
        noticed > 100 && healed > 20,
        "{noticed} noticed, {healed} not"
    );
}

#[test]
fn what_stands_in_the_lock_counts_for_nothing() {
    let made = populated();
    assert!(made.open["lock"].is_empty());
    let place = Place::new(&made.open);
    for bytes in [b"\0".as_slice(), &[0xFF; 5000]] {
        place.put(&made.open);
        place.write("lock", bytes);
        assert_eq!(made.verdict(&place, "lock"), Verdict::Right);
    }
}
