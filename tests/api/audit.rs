//! The audit trail: what is in it, that nobody writes it anew, and what
//! verifying finds beside it. Emergency access is told there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use sha2::{Digest, Sha256};
use vitalock::{
    Actor, AuditAction, AuditEntry, AuditQuery, Class, Credentials, EmergencyCode, ErrorKind,
    Fault, FaultKind, LockReason, Passphrase, Query, Record, RecordChange, Session, SessionPolicy,
    SlotChange, SlotKind, Stage, Timestamp, Vault, Verification,
};

use crate::support::anchors::Memory;
use crate::support::fixture::{Twin, copy, keys, make_quick_vault, step_up, unlock, unsealed};
use crate::support::spec::audit::{Entry, Insider};
use crate::support::{Keystore, Scratch, make_vault, make_vault_with, options, words};

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn entries(session: &Session, query: &AuditQuery) -> Vec<AuditEntry> {
    let entries = session.audit_trail(query).map(|entry| entry.unwrap());
    entries.collect()
}

fn of(session: &Session, class: Class) -> Vec<AuditEntry> {
    entries(session, &AuditQuery::new().class(class))
}

/// What happened, in short, leaving out what every session begins and ends with.
fn told(entries: &[AuditEntry]) -> Vec<(AuditAction, Stage)> {
    entries
        .iter()
        .map(|entry| (entry.action(), entry.stage()))
        .collect()
}

const DONE: Stage = Stage::Done;

#[test]
fn everything_that_is_done_stands_in_the_trail_with_who_did_it_and_what_for() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let ada = Actor::new("Practitioner/ada").purpose("TREAT");
    let factors = Credentials::passphrase(&words).and(&keystore).by(&ada);
    let before = Timestamp::now();
    let session = vault.unlock(&factors).unwrap();
    let first = session.put(Record::new("Observation", "72")).unwrap().id;
    let read = session.get(first).unwrap().unwrap();
    session.put(read.with_body("73")).unwrap();
    session
        .put(Record::new("Note", "a note").subject("Patient/1"))
        .unwrap();
    assert_eq!(session.query(&Query::new().kind("Note")).count(), 1);
    assert_eq!(session.count(&Query::new()).unwrap(), 2);
    assert!(session.erase(first).unwrap());
    session
        .put(Record::new("Note", "old").expires(Timestamp::from_micros(1)))
        .unwrap();
    assert_eq!(session.erase_expired().unwrap(), 1);
    let night = session
        .acting(&Actor::new("night service").purpose("ETREAT"))
        .unwrap();
    assert_eq!(night.query(&Query::new().kind("Note")).count(), 1);
    let lease = session.step_up(&factors).unwrap();
    lease.erase_subject("Patient/1").unwrap();
    let policy = SessionPolicy::new().idle(Duration::from_secs(60)).unwrap();
    lease.set_session_policy(policy).unwrap();
    let _code = lease.slots().add_emergency().unwrap();
    assert_eq!(lease.verify().unwrap().faults, []);
    drop(lease);
    session.lock();
    drop((session, night));

    let session = vault.unlock(&factors).unwrap();
    let standard = of(&session, Class::Standard);
    let begin = standard
        .iter()
        .position(|entry| entry.action() == AuditAction::Unlocked);
    let standard = &standard[begin.unwrap()..];
    assert_eq!(
        told(standard)
            .into_iter()
            .filter(|(action, _)| *action != AuditAction::Read)
            .collect::<Vec<_>>(),
        [
            (AuditAction::Unlocked, DONE),
            (AuditAction::Changed, DONE),
            (AuditAction::Access, DONE),
            (AuditAction::Changed, DONE),
            (AuditAction::Changed, DONE),
            (AuditAction::Access, DONE),
            (AuditAction::Access, DONE),
            (AuditAction::Changed, DONE),
            (AuditAction::Changed, DONE),
            (AuditAction::ExpiredErased, DONE),
            (AuditAction::Access, DONE),
            (AuditAction::StepUp, DONE),
            (AuditAction::SubjectErased, DONE),
            (AuditAction::PolicyChanged, Stage::Begun),
            (AuditAction::PolicyChanged, DONE),
            (AuditAction::SlotsChanged, Stage::Begun),
            (AuditAction::SlotsChanged, DONE),
            (AuditAction::Verified, DONE),
            (AuditAction::LeaseEnded, DONE),
            (AuditAction::Locked, DONE),
            (AuditAction::Unlocked, DONE),
        ]
    );
    let mut numbers = standard.iter().map(AuditEntry::number);
    let first_number = numbers.next().unwrap();
    assert!(numbers.eq(first_number + 1..first_number + standard.len() as u64));
    assert!(
        standard
            .iter()
            .all(|entry| entry.at() >= before && entry.failure().is_none())
    );
    // Who, and what for.
    let by_night = entries(&session, &AuditQuery::new().actor("night service"));
    assert!(
        by_night
            .iter()
            .all(|entry| entry.purpose() == Some("ETREAT"))
    );
    let access = |entry: &AuditEntry| entry.action() == AuditAction::Access;
    assert!(by_night.iter().any(access));
    let read: u64 = by_night.iter().filter_map(AuditEntry::count).sum();
    assert_eq!(read, 1);
    let others = standard
        .iter()
        .filter(|entry| entry.actor() != Some("night service"));
    for entry in others {
        assert_eq!(
            (entry.actor(), entry.purpose()),
            (Some("Practitioner/ada"), Some("TREAT"))
        );
    }
    // Which records, and what was done to them.
    let about = entries(&session, &AuditQuery::new().record(first));
    let mut changes = Vec::new();
    for entry in &about {
        for record in entry.records().iter().filter(|record| record.id == first) {
            changes.push((entry.action(), record.change, record.revision));
        }
    }
    // Readings are put together, and stand where they were written.
    let (read, changed): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .partition(|(action, ..)| *action == AuditAction::Read);
    assert!(!read.is_empty());
    let changed: Vec<_> = changed
        .iter()
        .map(|(_, change, revision)| (*change, *revision))
        .collect();
    assert_eq!(
        changed,
        [
            (Some(RecordChange::Created), Some(1)),
            (Some(RecordChange::Updated), Some(2)),
            (Some(RecordChange::Erased), None),
        ]
    );
    let kinds: BTreeSet<_> = standard.iter().flat_map(AuditEntry::kinds).collect();
    assert_eq!(kinds, ["Note", "Observation"].into());
    let slots = standard
        .iter()
        .rfind(|entry| entry.slot_change().is_some())
        .unwrap();
    assert_eq!(slots.slot_change(), Some(SlotChange::EmergencyAdded));
    assert!(
        vault
            .slots()
            .iter()
            .any(|slot| Some(slot.id) == slots.slot())
    );
    let limits = standard.iter().find_map(AuditEntry::limits);
    assert_eq!(limits, Some([60, 43_200, 0, 60, 0]));
    let locked = standard.iter().find_map(AuditEntry::lock_reason);
    assert_eq!(locked, Some(LockReason::Requested));
}

#[test]
fn what_was_refused_stands_in_the_trail_and_so_does_what_was_tried_while_it_was_locked() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let wrong_words = Passphrase::new(b"five loud herons wade here").unwrap();
    let wrong = Credentials::passphrase(&wrong_words).and(&keystore);
    for _ in 0..2 {
        assert_eq!(kind(vault.unlock(&wrong)), Some(ErrorKind::UnlockFailed));
    }
    let session = vault.unlock(&factors).unwrap();
    assert_eq!(kind(session.step_up(&wrong)), Some(ErrorKind::UnlockFailed));
    let secret = || Record::new("Note", "for few eyes").class(Class::Priority);
    assert_eq!(kind(session.put(secret())), Some(ErrorKind::LeaseRequired));
    let stored = session.put(Record::new("Note", "1")).unwrap().id;
    let stale = session.get(stored).unwrap().unwrap();
    let newer = session.get(stored).unwrap().unwrap();
    session.put(newer.with_body("2")).unwrap();
    assert_eq!(
        kind(session.put(stale.with_body("3"))),
        Some(ErrorKind::Conflict)
    );
    let trail = of(&session, Class::Standard);
    let unlocked = trail
        .iter()
        .find(|entry| entry.action() == AuditAction::Unlocked);
    let failed: Vec<u32> = unlocked
        .unwrap()
        .failed_attempts()
        .iter()
        .map(|(_, n)| *n)
        .collect();
    assert_eq!(failed, [2]);
    let failed = trail.iter().filter(|entry| entry.stage() == Stage::Failed);
    let failed: Vec<_> = failed
        .map(|entry| (entry.action(), entry.failure().unwrap()))
        .collect();
    assert_eq!(
        failed,
        [
            (AuditAction::UnlockFailed, ErrorKind::UnlockFailed.words()),
            (AuditAction::UnlockFailed, ErrorKind::UnlockFailed.words()),
            (AuditAction::StepUp, ErrorKind::UnlockFailed.words()),
            (AuditAction::Changed, ErrorKind::LeaseRequired.words()),
            (AuditAction::Changed, ErrorKind::Conflict.words()),
        ]
    );
}

/// What was tried in vain, in the trail of Standard.
fn tried(session: &Session) -> Vec<(Option<SlotKind>, Option<String>, String)> {
    let query = AuditQuery::new().action(AuditAction::UnlockFailed);
    let tried = entries(session, &query).into_iter().map(|entry| {
        assert_eq!(
            (entry.class(), entry.stage()),
            (Class::Standard, Stage::Failed)
        );
        let actor = entry.actor().map(str::to_owned);
        (
            entry.slot_kind(),
            actor,
            entry.failure().unwrap().to_owned(),
        )
    });
    tried.collect()
}

#[test]
fn what_failed_while_it_was_locked_comes_into_the_trail_in_order_and_once() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    lease.slots().add_emergency().unwrap();
    drop(lease);
    session.lock();
    drop(session);
    let before = Timestamp::now();
    let wrong_words = Passphrase::new(b"five loud herons wade here").unwrap();
    let child = Actor::new("canary-child").purpose("canary-play");
    let wrong = Credentials::passphrase(&wrong_words).and(&keystore);
    assert_eq!(kind(vault.unlock(&wrong)), Some(ErrorKind::UnlockFailed));
    let code = EmergencyCode::parse(b"0000-0000-0000-0000-0000-0000-0000");
    assert!(code.is_err(), "a code that is mistyped is never tried");
    assert_eq!(
        kind(vault.unlock(&wrong.by(&child))),
        Some(ErrorKind::UnlockFailed)
    );
    let alone = Credentials::share(&keystore);
    assert_eq!(kind(vault.unlock(&alone)), Some(ErrorKind::NoMatchingSlot));
    let empty = Keystore::new();
    let missing = Credentials::passphrase(&words).and(&empty);
    assert_eq!(kind(vault.unlock(&missing)), Some(ErrorKind::ShareMissing));
    let after = Timestamp::now();
    // Nobody without the key reads who it was.
    let file = scratch.vault().join("events");
    let locked = std::fs::read(&file).unwrap();
    assert!(!locked.windows(6).any(|window| window == b"canary"));
    assert!(locked.len() > 3 * 256);

    let primary = Some(SlotKind::Primary);
    let words_of = |kind: ErrorKind| kind.words().to_owned();
    let wanted = [
        (primary, None, words_of(ErrorKind::UnlockFailed)),
        (
            primary,
            Some("canary-child".to_owned()),
            words_of(ErrorKind::UnlockFailed),
        ),
        (primary, None, words_of(ErrorKind::ShareMissing)),
    ];
    let session = vault.unlock(&factors).unwrap();
    assert_eq!(tried(&session), wanted);
    let trail = of(&session, Class::Standard);
    let unlocked = trail
        .iter()
        .rposition(|entry| entry.action() == AuditAction::Unlocked);
    let unlocked = unlocked.unwrap();
    let of_them = &trail[unlocked - 3..unlocked];
    assert!(
        of_them
            .iter()
            .all(|entry| entry.action() == AuditAction::UnlockFailed)
    );
    assert!(
        of_them
            .iter()
            .all(|entry| before <= entry.at() && entry.at() <= after)
    );
    assert_eq!(
        trail[unlocked].failed_attempts().len(),
        1,
        "and how many there were"
    );
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0);
    session.lock();
    drop(session);
    // A crash, or somebody, leaves the file as it was: nothing is taken in twice.
    std::fs::write(&file, &locked).unwrap();
    let session = vault.unlock(&factors).unwrap();
    assert_eq!(tried(&session), wanted);
    session.lock();
    drop(session);
    // What comes after what was left is taken in.
    std::fs::write(&file, &locked).unwrap();
    assert_eq!(kind(vault.unlock(&missing)), Some(ErrorKind::ShareMissing));
    let session = vault.unlock(&factors).unwrap();
    assert_eq!(tried(&session).len(), 4);
    assert_eq!(session.verify().unwrap().faults, []);
}

#[test]
fn what_is_forged_or_damaged_among_the_events_is_told_and_keeps_nobody_out() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let empty = Keystore::new();
    let missing = Credentials::passphrase(&words).and(&empty);
    let file = scratch.vault().join("events");
    let tampered = |session: &Session| {
        let query = AuditQuery::new().action(AuditAction::Tampered);
        entries(session, &query).len()
    };
    let mut told = 0;
    let mut known = 0;
    for (name, change, tells) in [
        (
            "as it was",
            (|_: &mut Vec<u8>| {}) as fn(&mut Vec<u8>),
            false,
        ),
        ("torn", |bytes| bytes.truncate(bytes.len() - 1), false),
        ("empty", |bytes| bytes.clear(), false),
        (
            "no frame",
            |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1),
            false,
        ),
        (
            "a frame that does not open",
            |bytes| {
                let length = bytes.len();
                bytes[40] ^= 1;
                let hash = Sha256::digest(&bytes[4..length - 8]);
                bytes[length - 8..].copy_from_slice(&hash[..8]);
            },
            true,
        ),
        ("too long", |bytes| bytes.resize(200_000, 0), true),
    ] {
        assert_eq!(kind(vault.unlock(&missing)), Some(ErrorKind::ShareMissing));
        let mut bytes = std::fs::read(&file).unwrap();
        change(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        let session = vault.unlock(&factors).unwrap();
        told += usize::from(tells);
        known += usize::from(name == "as it was");
        assert_eq!(
            (tampered(&session), tried(&session).len()),
            (told, known),
            "{name}"
        );
        assert_eq!(session.verify().unwrap().faults, []);
        session.lock();
        drop(session);
        let _ = std::fs::remove_file(&file);
    }
}

#[test]
fn however_often_it_is_tried_the_events_take_little_room() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let empty = Keystore::new();
    let missing = Credentials::passphrase(&words).and(&empty);
    for _ in 0..500 {
        assert_eq!(kind(vault.unlock(&missing)), Some(ErrorKind::ShareMissing));
    }
    let length = std::fs::metadata(scratch.vault().join("events"))
        .unwrap()
        .len();
    assert!((100_000..=131_072).contains(&length), "{length}");
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    assert!((300..500).contains(&tried(&session).len()));
    session.lock();
}

#[test]
fn the_trail_of_priority_is_out_of_reach_without_a_lease() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let secret = Record::new("Psychotherapy", "for few eyes").class(Class::Priority);
    let id = {
        let lease = step_up(&session);
        let id = lease.put(secret).unwrap().id;
        lease.get(id).unwrap().unwrap();
        assert!(of(&lease, Class::Priority).len() >= 4);
        assert!(
            !entries(&lease, &AuditQuery::new().record(id)).is_empty(),
            "the control"
        );
        id
    };
    assert!(of(&session, Class::Priority).is_empty());
    assert!(entries(&session, &AuditQuery::new().record(id)).is_empty());
    let all = entries(&session, &AuditQuery::new());
    assert!(
        all.iter()
            .all(|entry| entry.kind() != Some("Psychotherapy"))
    );
    assert!(
        all.iter()
            .flat_map(AuditEntry::kinds)
            .all(|kind| kind != "Psychotherapy")
    );
}

/// A copy of the vault as the medium has it now, opened.
fn as_it_lies(vault: &Path, scratch: &Scratch, name: &str) -> Vec<AuditEntry> {
    let there = scratch.path().join(name);
    copy(vault, &there);
    let vault = Vault::open(&there).unwrap();
    let session = unlock(&vault);
    of(&session, Class::Standard)
}

#[test]
fn that_there_is_access_is_durable_before_anything_is_released_and_the_count_soon_after() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let ids: Vec<_> = (0..100)
        .map(|number: u8| session.put(Record::new("Note", vec![number])).unwrap().id)
        .collect();
    session.lock();
    let session = unlock(&vault);
    for id in &ids {
        session.get(*id).unwrap().unwrap();
    }
    let since = |entries: &[AuditEntry]| -> (usize, u64, usize) {
        let unlocked = entries
            .iter()
            .rposition(|entry| entry.action() == AuditAction::Unlocked);
        // The last is that of the copy.
        let before = entries[..unlocked.unwrap()].iter();
        let session = before
            .rev()
            .take_while(|entry| entry.action() != AuditAction::Unlocked);
        let session: Vec<_> = session.collect();
        let of = |action| session.iter().filter(move |entry| entry.action() == action);
        let read = of(AuditAction::Read);
        (
            of(AuditAction::Access).count(),
            read.clone().filter_map(|entry| entry.count()).sum(),
            read.map(|entry| entry.records().len()).sum(),
        )
    };
    let (access, ..) = since(&as_it_lies(&scratch.vault(), &scratch, "at once"));
    assert_eq!(access, 1);
    // Nobody calls any more.
    let mut read = 0;
    for turn in 0..50 {
        let (_, count, named) = since(&as_it_lies(&scratch.vault(), &scratch, &turn.to_string()));
        read = count;
        if count == 100 {
            assert!((64..=100).contains(&named), "{named}");
            break;
        }
    }
    assert_eq!(read, 100);
}

#[test]
fn an_emergency_access_has_a_reason_and_the_owner_is_told_of_it() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let allergy = Record::new("AllergyIntolerance", "penicillin").class(Class::Emergency);
    let id = session.put(allergy).unwrap().id;
    let code = step_up(&session).slots().add_emergency().unwrap();
    let code = EmergencyCode::parse(code.reveal(str::to_owned).as_bytes()).unwrap();
    assert_eq!(session.emergency_accesses().unwrap().len(), 0);
    session.lock();
    drop(session);
    for no_reason in ["", "  \n", &"x".repeat(257)] {
        let refused = kind(vault.unlock_emergency(&code, no_reason));
        assert_eq!(refused, Some(ErrorKind::InvalidActor));
    }
    for reason in ["found unconscious", "again"] {
        let emergency = vault.unlock_emergency(&code, reason).unwrap();
        emergency.get(id).unwrap().unwrap();
        emergency.lock();
    }
    let session = unlock(&vault);
    let told = session.emergency_accesses().unwrap();
    let reasons: Vec<_> = told.iter().map(|entry| entry.purpose().unwrap()).collect();
    assert_eq!(reasons, ["found unconscious", "again"]);
    let trail = of(&session, Class::Emergency);
    let begin = trail
        .iter()
        .position(|entry| entry.number() == told[0].number())
        .unwrap();
    let actions: Vec<_> = trail[begin..].iter().map(AuditEntry::action).collect();
    let once = [
        AuditAction::EmergencyAccess,
        AuditAction::Read,
        AuditAction::Locked,
    ];
    assert_eq!(actions, [once, once].concat());
    assert_eq!(trail[begin + 1].records()[0].id, id);
    // Told until the owner has taken notice, and kept for ever.
    session.lock();
    let session = unlock(&vault);
    assert_eq!(session.emergency_accesses().unwrap().len(), 2);
    session.acknowledge_emergency_accesses().unwrap();
    assert_eq!(session.emergency_accesses().unwrap().len(), 0);
    session.lock();
    let session = unlock(&vault);
    assert_eq!(session.emergency_accesses().unwrap().len(), 0);
    let all = AuditQuery::new().action(AuditAction::EmergencyAccess);
    assert_eq!(entries(&session, &all).len(), 2);
}

#[test]
fn the_export_is_fhir_and_holds_neither_content_nor_names_of_people() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let ada = Actor::new("Practitioner/ada").purpose("TREAT");
    let session = vault.unlock(&Credentials::share(&Twin).by(&ada)).unwrap();
    for class in [Class::Emergency, Class::Standard] {
        let record = Record::new("Condition", "canary-body")
            .class(class)
            .subject("Patient/canary-name")
            .client(&format!("canary-client {class:?}"), 1);
        let id = session.put(record).unwrap().id;
        let read = session.get(id).unwrap().unwrap();
        assert_eq!(
            (read.body(), read.subject_name()),
            (&b"canary-body"[..], Some("Patient/canary-name"))
        );
    }
    let lease = step_up(&session);
    lease.erase_subject("Patient/canary-name").unwrap();
    let mut out = Vec::new();
    let written = lease
        .export_audit_trail(&AuditQuery::new(), &mut out)
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("canary"));
    assert_eq!(text.lines().count() as u64, written);
    let mut ids = BTreeSet::new();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["resourceType"], "AuditEvent");
        // What R4 requires of it.
        assert!(event["type"]["code"].is_string());
        assert!(event["recorded"].as_str().unwrap().ends_with('Z'));
        assert!(event["agent"][0]["requestor"].is_boolean());
        assert!(event["source"]["observer"].is_object());
        assert!("CRUDE".contains(event["action"].as_str().unwrap()));
        assert!(["0", "4", "8", "12"].contains(&event["outcome"].as_str().unwrap()));
        ids.insert(event["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len() as u64, written);
    assert!(text.contains("Practitioner/ada") && text.contains("TREAT"));
    // The store's own reader takes it, too.
    let reader = vitalock::fhir::Reader::new();
    let read = reader.ndjson(text.as_bytes());
    assert_eq!(
        read.filter(|resource| resource.is_ok()).count() as u64,
        written
    );
    let exports = entries(&lease, &AuditQuery::new().action(AuditAction::Exported));
    let stages: Vec<_> = exports
        .iter()
        .map(|entry| (entry.stage(), entry.count()))
        .collect();
    assert_eq!(stages, [(Stage::Begun, Some(0)), (DONE, Some(written))]);
}

#[test]
fn an_export_that_fails_says_so_and_is_in_the_trail() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let failed = lease.export_audit_trail(&AuditQuery::new(), &mut Full);
    assert_eq!(kind(failed), Some(ErrorKind::Io));
    let exports = entries(&lease, &AuditQuery::new().action(AuditAction::Exported));
    assert_eq!(
        exports.last().unwrap().failure(),
        Some(ErrorKind::Io.words())
    );
}

/// A vault with a life behind it, closed.
fn lived(scratch: &Scratch) {
    let vault = make_quick_vault(&scratch.vault(), true);
    for turn in 0..4_u8 {
        let session = unlock(&vault);
        let lease = step_up(&session);
        for class in Class::ALL {
            let id = lease
                .put(Record::new("Note", vec![turn; 40]).class(class))
                .unwrap()
                .id;
            let read = lease.get(id).unwrap().unwrap();
            lease.put(read.with_body(vec![turn; 50])).unwrap();
        }
        drop(lease);
        session.lock();
    }
}

/// What verifying finds, with a lease or without.
fn verified(vault: &Path, stepped_up: bool) -> Verification {
    let vault = Vault::open(vault).unwrap();
    let session = unlock(&vault);
    match stepped_up {
        true => step_up(&session).verify().unwrap(),
        false => session.verify().unwrap(),
    }
}

fn fault(kind: FaultKind, entry: Option<u64>) -> Vec<(FaultKind, Option<u64>)> {
    vec![(kind, entry)]
}

fn found(vault: &Path, stepped_up: bool) -> Vec<(FaultKind, Option<u64>)> {
    let found = verified(vault, stepped_up).faults.into_iter();
    found
        .map(|fault: Fault| (fault.kind, fault.entry))
        .collect()
}

/// Edits, removals, exchanges and cuts of whoever can unseal the pages, and no more: each entry is an
/// envelope of its own.
#[test]
fn verifying_names_the_first_entry_that_was_changed_removed_moved_or_cut_off() {
    let (start, scratch) = (Scratch::new(), Scratch::in_memory());
    lived(&start);
    assert_eq!(found(&start.vault(), false), []);
    assert_eq!(found(&start.vault(), true), []);
    let count = {
        let rows = unsealed(&start.vault(), Class::Standard);
        let count: u64 = rows
            .query_row("SELECT count(*) FROM audit", [], |row| {
                row.get(0).map(i64::cast_unsigned)
            })
            .unwrap();
        count
    };
    assert!(count > 40, "{count}");
    let mut looked = 0;
    let mut attack =
        |what: &str, entry: u64, expected: Vec<(FaultKind, Option<u64>)>, sql: &[&str]| {
            let there = scratch.path().join(format!("{what} {entry}"));
            copy(&start.vault(), &there);
            let rows = unsealed(&there, Class::Standard);
            for sql in sql {
                assert!(
                    rows.execute(sql, params![entry.cast_signed()]).unwrap() > 0,
                    "{what} {entry}"
                );
            }
            drop(rows);
            assert_eq!(found(&there, false), expected, "{what} {entry}");
            if entry.is_multiple_of(5) {
                assert_eq!(
                    found(&there, true),
                    expected,
                    "{what} {entry}, with the MACs"
                );
            }
            std::fs::remove_dir_all(there).unwrap();
            looked += 1;
        };
    for entry in 1..=count {
        let named = || fault(FaultKind::Entry, Some(entry));
        let edit = "UPDATE audit SET body = CAST(substr(body, 1, 60)
                    || iif(substr(body, 61, 1) = x'00', x'01', x'00') || substr(body, 62) AS BLOB)
                    WHERE entry = ?1";
        attack("edited", entry, named(), &[edit]);
        if entry < count {
            attack(
                "removed",
                entry,
                named(),
                &["DELETE FROM audit WHERE entry = ?1"],
            );
            let exchange = [
                "UPDATE audit SET entry = -1 WHERE entry = ?1",
                "UPDATE audit SET entry = ?1 WHERE entry = ?1 + 1",
                "UPDATE audit SET entry = ?1 + 1 WHERE entry = -1",
            ];
            attack("exchanged", entry, named(), &exchange);
            let doubled = "UPDATE audit SET body = (SELECT body FROM audit WHERE entry = ?1)
                           WHERE entry = ?1 + 1";
            attack(
                "doubled",
                entry,
                fault(FaultKind::Entry, Some(entry + 1)),
                &[doubled],
            );
        }
    }
    assert!(looked > 150, "{looked}");
}

#[test]
fn a_trail_whose_newest_entries_are_gone_is_noticed_by_the_entries_written_after() {
    let scratch = Scratch::new();
    lived(&scratch);
    for class in [Class::Emergency, Class::Standard] {
        let there = scratch.path().join(format!("{class:?}"));
        copy(&scratch.vault(), &there);
        let rows = unsealed(&there, class);
        let last: i64 = rows
            .query_row("SELECT max(entry) FROM audit", [], |row| row.get(0))
            .unwrap();
        rows.execute("DELETE FROM audit WHERE entry > ?1", [last - 3])
            .unwrap();
        drop(rows);
        let first = (last - 2).cast_unsigned();
        let expected = match class {
            // Nothing was added since, so that the trail just ends too early.
            Class::Emergency => fault(FaultKind::TrailEnd, Some(first)),
            // Unlocking has added an entry behind the gap.
            _ => fault(FaultKind::Entry, Some(first)),
        };
        assert_eq!(found(&there, false), expected, "{class:?}");
    }
}

/// How many entries of a class are packed, by the last of each segment.
fn packed(vault: &Path, class: Class) -> Vec<i64> {
    let rows = unsealed(vault, class);
    let mut statement = rows
        .prepare("SELECT last FROM segments ORDER BY last")
        .unwrap();
    let lasts = statement.query_map([], |row| row.get(0)).unwrap();
    lasts.map(Result::unwrap).collect()
}

/// A trail of Standard with segments, and what it said before there were any.
fn long_lived(scratch: &Scratch) -> Vec<AuditEntry> {
    let vault = make_quick_vault(&scratch.vault(), false);
    let ada = Actor::new("Practitioner/ada").purpose("TREAT");
    let session = vault.unlock(&Credentials::share(&Twin).by(&ada)).unwrap();
    for number in 0..2700_u32 {
        session
            .put(Record::new("Note", number.to_be_bytes().to_vec()))
            .unwrap();
    }
    let before = of(&session, Class::Standard);
    session.lock();
    drop((session, vault));
    // It is done while a session is open, without a word from anybody.
    while packed(&scratch.vault(), Class::Standard).len() < 4 {
        let vault = Vault::open(scratch.vault()).unwrap();
        let session = unlock(&vault);
        std::thread::yield_now();
        session.lock();
    }
    before
}

fn same(one: &AuditEntry, other: &AuditEntry) -> bool {
    let told = |entry: &AuditEntry| {
        (
            (entry.number(), entry.at(), entry.action(), entry.stage()),
            (
                entry.actor().map(str::to_owned),
                entry.purpose().map(str::to_owned),
            ),
            entry.records(),
        )
    };
    told(one) == told(other)
}

#[test]
fn older_entries_are_packed_and_are_read_verified_and_exported_as_before() {
    let scratch = Scratch::new();
    let before = long_lived(&scratch);
    let lasts = packed(&scratch.vault(), Class::Standard);
    assert_eq!(lasts[..4], [512, 1024, 1536, 2048]);
    // Nothing is packed where there is little, and nothing twice.
    for class in [Class::Emergency, Class::Priority] {
        assert_eq!(packed(&scratch.vault(), class), [0; 0]);
    }
    let rows = unsealed(&scratch.vault(), Class::Standard);
    let stays: i64 = rows
        .query_row("SELECT min(entry) FROM audit", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stays, lasts.last().unwrap() + 1);
    let length = |sql: &str| rows.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let in_segments = length("SELECT sum(length(body)) FROM segments") / lasts.last().unwrap();
    let in_rows = length("SELECT sum(length(body)) / count(*) FROM audit");
    assert!(in_segments * 10 < in_rows * 7, "{in_segments} {in_rows}");
    drop(rows);
    assert_eq!(found(&scratch.vault(), false), []);
    assert_eq!(found(&scratch.vault(), true), []);
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = unlock(&vault);
    let after = of(&session, Class::Standard);
    assert!(after.len() > before.len());
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(one, other)| same(one, other))
    );
    let backwards = AuditQuery::new().class(Class::Standard).newest_first();
    let mut backwards = entries(&session, &backwards);
    backwards.reverse();
    assert_eq!(backwards.len(), after.len());
    assert!(
        backwards
            .iter()
            .zip(&after)
            .all(|(one, other)| same(one, other))
    );
    let mut out = Vec::new();
    let lease = step_up(&session);
    let of_standard = AuditQuery::new().class(Class::Standard);
    let written = lease.export_audit_trail(&of_standard, &mut out).unwrap();
    assert!(written as usize > after.len());
    assert_eq!(
        out.iter().filter(|byte| **byte == b'\n').count(),
        written as usize
    );
}

#[test]
fn what_is_done_to_a_segment_is_named_and_who_holds_todays_keys_does_not_forge_one() {
    let (start, scratch) = (Scratch::new(), Scratch::in_memory());
    drop(long_lived(&start));
    let attack = |sql: &[&str], expected: u64| {
        let there = scratch.path().join("attacked");
        copy(&start.vault(), &there);
        let rows = unsealed(&there, Class::Standard);
        for sql in sql {
            assert!(rows.execute(sql, []).unwrap() > 0, "{sql}");
        }
        drop(rows);
        for stepped_up in [false, true] {
            let named = fault(FaultKind::Entry, Some(expected));
            assert_eq!(found(&there, stepped_up), named, "{sql:?}");
        }
        std::fs::remove_dir_all(there).unwrap();
    };
    let edit = "UPDATE segments SET body = CAST(substr(body, 1, 9000)
                || iif(substr(body, 9001, 1) = x'00', x'01', x'00') || substr(body, 9002) AS BLOB)
                WHERE last = 1024";
    attack(&[edit], 513);
    attack(&["DELETE FROM segments WHERE last = 512"], 1);
    attack(&["DELETE FROM segments WHERE last = 1536"], 1025);
    attack(&["UPDATE segments SET first = 514 WHERE last = 1024"], 513);
    let moved = [
        "UPDATE segments SET last = -1 WHERE last = 1024",
        "UPDATE segments SET last = 1024 WHERE last = 1536",
        "UPDATE segments SET last = 1536 WHERE last = -1",
    ];
    attack(&moved, 513);
    let doubled = "UPDATE segments SET body = (SELECT body FROM segments WHERE last = 512)
                   WHERE last = 1024";
    attack(&[doubled], 513);

    // An insider packs another story, and has nothing but the keys of today.
    let there = scratch.path().join("forged");
    copy(&start.vault(), &there);
    forge_segment(&there, 1024, 600);
    assert_eq!(
        found(&there, true),
        fault(FaultKind::EntryForged, Some(600))
    );
    // Without the MACs it is found where the next segment goes on from the link of before.
    assert_eq!(found(&there, false), fault(FaultKind::Entry, Some(1025)));
}

/// Changes an entry in a segment as somebody can who holds the keys of Standard.
fn forge_segment(vault: &Path, last: i64, entry: u64) {
    let (header, keys) = keys(vault, Class::Standard);
    let insider = Insider::new(&header.vault, &keys);
    let rows = unsealed(vault, Class::Standard);
    let sql = "SELECT body FROM segments WHERE last = ?1";
    let body: Vec<u8> = rows.query_row(sql, [last], |row| row.get(0)).unwrap();
    let body = insider.repack(last.cast_unsigned(), &body, entry);
    let put = "UPDATE segments SET body = ?2 WHERE last = ?1";
    assert_eq!(rows.execute(put, params![last, body]).unwrap(), 1);
}

/// Who holds today's keys of Standard, and no more, writes an old entry anew and everything after it,
/// links, envelopes and state.
fn written_anew(vault: &Path, entry: u64) {
    let (header, keys) = keys(vault, Class::Standard);
    let rows = unsealed(vault, Class::Standard);
    let insider = Insider::new(&header.vault, &keys);
    let stored = |sql: &str, number: i64| -> Vec<u8> {
        rows.query_row(sql, [number], |row| row.get(0)).unwrap()
    };
    let last: i64 = rows
        .query_row("SELECT max(entry) FROM audit", [], |row| row.get(0))
        .unwrap();
    let state = stored("SELECT body FROM settings WHERE number = ?1", 2);
    let mut forged = insider.begin(&state);
    for number in 1..=last {
        let body = stored("SELECT body FROM audit WHERE entry = ?1", number);
        let mut old: Entry = insider.entry(number.cast_unsigned(), &body);
        if number.cast_unsigned() < entry {
            forged.keep(&old);
            continue;
        }
        if number.cast_unsigned() == entry {
            old.actor = "somebody else".to_owned();
        }
        let body = forged.write(&insider, &old);
        rows.execute(
            "UPDATE audit SET body = ?2 WHERE entry = ?1",
            params![number, body],
        )
        .unwrap();
    }
    let state = forged.state(&insider);
    rows.execute("UPDATE settings SET body = ?1 WHERE number = 2", [state])
        .unwrap();
}

#[test]
fn who_holds_the_keys_of_today_cannot_write_the_entries_of_yesterday() {
    let start = Scratch::new();
    lived(&start);
    for entry in [1, 7, 20, 33] {
        let there = start.path().join(entry.to_string());
        copy(&start.vault(), &there);
        written_anew(&there, entry);
        // The links are whole: without fresh factors that is all there is to be seen.
        assert_eq!(found(&there, false), []);
        assert_eq!(
            found(&there, true),
            fault(FaultKind::EntryForged, Some(entry))
        );
    }
}

#[test]
fn what_was_anchored_cannot_be_written_anew_even_where_the_links_are_whole() {
    let (scratch, anchor) = (Scratch::new(), Arc::new(Memory::default()));
    let keystore = Keystore::new();
    let (vault, _) = make_vault_with(
        &scratch.vault(),
        &keystore,
        options().anchor(anchor.clone()),
    );
    let words = words();
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    lease
        .slots()
        .dangerous_add_biometric_for_priority(&Twin)
        .unwrap();
    for _ in 0..5 {
        lease.put(Record::new("Note", "body")).unwrap();
    }
    drop(lease);
    session.lock();
    drop((session, vault));
    let open = || {
        Vault::open(scratch.vault())
            .unwrap()
            .anchored(anchor.clone())
    };
    let vault = open();
    let session = unlock(&vault);
    assert_eq!(session.verify().unwrap().faults, [], "the control");
    session.lock();
    drop((session, vault));
    written_anew(&scratch.vault(), 5);
    assert_eq!(
        kind(open().unlock(&factors)),
        Some(ErrorKind::RollbackDetected)
    );
}

#[test]
fn records_that_are_taken_out_put_back_or_older_than_they_were_are_found() {
    let scratch = Scratch::new();
    lived(&scratch);
    let (ids, original): (Vec<Vec<u8>>, Vec<u8>) = {
        let rows = unsealed(&scratch.vault(), Class::Standard);
        let mut statement = rows.prepare("SELECT id FROM records").unwrap();
        let ids = statement.query_map([], |row| row.get(0)).unwrap();
        let ids = ids.map(|id| id.unwrap()).collect();
        let body = rows
            .query_row("SELECT body FROM records", [], |row| row.get(0))
            .unwrap();
        drop(statement);
        (ids, body)
    };
    assert!(ids.len() >= 4 && !original.is_empty());
    let attack = |name: &str, change: &dyn Fn(&rusqlite::Connection)| {
        let there = scratch.path().join(name);
        copy(&scratch.vault(), &there);
        change(&unsealed(&there, Class::Standard));
        let found = verified(&there, false).faults;
        found
            .into_iter()
            .map(|fault| (fault.kind, fault.record.map(|id| id.to_bytes().to_vec())))
            .collect::<Vec<_>>()
    };
    for (at, id) in ids.iter().enumerate() {
        let gone = attack(&format!("gone {at}"), &|rows| {
            assert_eq!(
                rows.execute("DELETE FROM records WHERE id = ?1", [id])
                    .unwrap(),
                1
            );
        });
        assert_eq!(gone, [(FaultKind::Records, None)]);
        let gone = attack(&format!("earlier gone {at}"), &|rows| {
            assert_eq!(
                rows.execute("DELETE FROM revisions WHERE id = ?1", [id])
                    .unwrap(),
                1
            );
        });
        assert_eq!(gone, [(FaultKind::Records, None)]);
        let moved = attack(&format!("moved {at}"), &|rows| {
            assert_eq!(
                rows.execute("UPDATE records SET start = 5 WHERE id = ?1", [id])
                    .unwrap(),
                1
            );
        });
        assert_eq!(moved, [(FaultKind::Record, Some(id.clone()))]);
        let other = attack(&format!("other {at}"), &|rows| {
            let other = &ids[(at + 1) % ids.len()];
            let sql =
                "UPDATE records SET body = (SELECT body FROM records WHERE id = ?2) WHERE id = ?1";
            assert_eq!(rows.execute(sql, params![id, other]).unwrap(), 1);
        });
        assert_eq!(
            other,
            [
                (FaultKind::Record, Some(id.clone())),
                (FaultKind::Records, None)
            ]
        );
    }
    // An index that has lost an entry answers a query wrongly, whatever the rows are.
    let index = attack("index", &|rows| {
        let sql = "UPDATE sqlite_schema SET sql = ?1 WHERE name = 'records_by_kind'";
        let of = |sql: &str| -> String { rows.query_row(sql, [], |row| row.get(0)).unwrap() };
        let right = of("SELECT sql FROM sqlite_schema WHERE name = 'records_by_kind'");
        rows.execute_batch("PRAGMA writable_schema = ON").unwrap();
        // A moment in which it leaves records out of the index.
        rows.execute(
            sql,
            ["CREATE INDEX records_by_kind ON records (kind, start) WHERE kind < 0"],
        )
        .unwrap();
        rows.execute_batch(
            "PRAGMA writable_schema = RESET; REINDEX records_by_kind; PRAGMA writable_schema = ON",
        )
        .unwrap();
        rows.execute(sql, [right]).unwrap();
        rows.execute_batch("PRAGMA writable_schema = RESET")
            .unwrap();
    });
    assert_eq!(index, [(FaultKind::Pages, None)]);
    assert_eq!(attack("nothing", &|_| ()), [], "the control");
}
