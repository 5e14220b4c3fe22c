//! The ways in which an app uses a vault. Each stops where its memory is to be searched: `held`
//! where everything may be there, `open`, `lease` and `emergency` where keys may be and nothing
//! else, `locked` where nothing may.

use std::sync::{Arc, Barrier};
use std::{panic, thread};

use unicode_normalization::UnicodeNormalization as _;
use vitalock::{
    Batch, Class, Credentials, EmergencyCode, ErrorKind, Kdf, KdfParameters, Options, Outcome,
    Passphrase, Query, Record, RecordId, RecoveryCode, Session, Timestamp, Vault, fhir,
};

use crate::canary::{Field, Wiped};
use crate::child::Child;

const CLASSES: [Class; 3] = [Class::Emergency, Class::Standard, Class::Priority];

/// Unlocks with the everyday passphrase and the phone's share, and wipes the passphrase.
fn unlock(child: &Child, vault: &Vault) -> Session {
    let words = child.words("everyday words");
    let phone = child.host("phone");
    vault
        .unlock(&Credentials::passphrase(&words).and(&phone))
        .unwrap()
}

fn step_up(child: &Child, session: &Session) -> vitalock::Lease {
    let words = child.words("everyday words");
    let phone = child.host("phone");
    session
        .step_up(&Credentials::passphrase(&words).and(&phone))
        .unwrap()
}

/// Puts a few records, reads them back, and says whether they are what was put.
fn put_and_read(child: &Child, session: &Session) -> RecordId {
    let id = session
        .put(child.record(Class::Standard, 1001, 100))
        .unwrap()
        .id;
    session
        .put(child.record(Class::Emergency, 1002, 4000))
        .unwrap();
    check(child, session, id);
    id
}

fn check(child: &Child, session: &Session, id: RecordId) {
    let record = session.get(id).unwrap().expect("it was put");
    assert!(child.is_body(record.protection_class(), record.body()));
}

/// Locks with every handle still alive, and again after they are gone.
fn lock(child: &Child, vault: Vault, session: Session) {
    child.stop("open");
    session.lock();
    child.stop("locked");
    drop((session, vault));
    child.stop("locked");
}

/// Everything alive at once, in every class, so that the search is seen to find it.
pub(crate) fn control(child: &Child) {
    let vault = child.open();
    let typed = child.typed("everyday words");
    let words = Passphrase::new(typed.bytes()).unwrap();
    let phone = child.host("phone");
    let factors = Credentials::passphrase(&words).and(&phone);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let mut held = Vec::new();
    for class in CLASSES {
        let other = child.record_about(class, Field::OtherSubject, 1, 10);
        let ids = [other, child.record(class, 2, 4000)].map(|record| lease.put(record).unwrap().id);
        held.push(ids.map(|id| lease.get(id).unwrap().unwrap()));
    }
    child.stop("held");
    drop((held, words, typed));
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn primary(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn biometric(child: &Child) {
    let vault = child.open();
    let session = vault
        .unlock(&Credentials::share(&child.host("finger")))
        .unwrap();
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn passphrase(child: &Child) {
    let vault = child.open();
    let words = child.words("long words");
    let session = vault.unlock(&Credentials::passphrase(&words)).unwrap();
    drop(words);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn emergency(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let id = session
        .put(child.record(Class::Emergency, 1, 500))
        .unwrap()
        .id;
    session.lock();
    let code = EmergencyCode::parse(child.typed("emergency code").bytes()).unwrap();
    let emergency = vault.unlock_emergency(&code).unwrap();
    drop(code);
    let record = emergency.get(id).unwrap().expect("it was put");
    assert!(child.is_body(Class::Emergency, record.body()));
    drop(record);
    assert_eq!(emergency.query(&Query::new()).count(), 1);
    child.stop("emergency");
    emergency.lock();
    child.stop("locked");
    drop((emergency, session, vault));
    child.stop("locked");
}

fn recover(child: &Child, old: impl FnOnce(&Vault, &RecoveryCode, Credentials<'_>) -> Session) {
    let vault = child.open();
    let code = RecoveryCode::parse(child.typed("recovery code").bytes()).unwrap();
    let words = child.words("new words");
    let phone = child.host("phone");
    let session = old(&vault, &code, Credentials::passphrase(&words).and(&phone));
    drop((code, words));
    put_and_read(child, &session);
    lock(child, vault, session);
}

/// Goes through a recovery with its new code, once mistyped.
fn confirm(child: &Child, vault: &Vault, old: Credentials<'_>, new: Credentials<'_>) -> Session {
    let mut recovery = vault.recover(&old, new).unwrap();
    recovery
        .code()
        .reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    let typed = child.typed("new code");
    assert!(recovery.confirm(&typed.bytes()[1..]).is_err());
    recovery.confirm(typed.bytes()).unwrap()
}

pub(crate) fn recovery_by_passphrase(child: &Child) {
    recover(child, |vault, code, new| {
        let words = child.words("everyday words");
        confirm(
            child,
            vault,
            Credentials::recovery(code).and_passphrase(&words),
            new,
        )
    });
}

pub(crate) fn recovery_by_share(child: &Child) {
    recover(child, |vault, code, new| {
        let phone = child.host("phone");
        confirm(child, vault, Credentials::recovery(code).and(&phone), new)
    });
}

pub(crate) fn recovery_by_code(child: &Child) {
    recover(child, |vault, code, new| {
        confirm(child, vault, Credentials::recovery(code), new)
    });
}

pub(crate) fn wrong_factors(child: &Child) {
    let vault = child.open();
    let phone = child.host("phone");
    for _ in 0..3 {
        let words = child.words("wrong words");
        let wrong = vault.unlock(&Credentials::passphrase(&words).and(&phone));
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::UnlockFailed);
    }
    let words = child.words("everyday words");
    let factors = Credentials::passphrase(&words).and(&phone);
    child.link.ask("refuse on", &mut [0]);
    assert_eq!(
        vault.unlock(&factors).unwrap_err().kind(),
        ErrorKind::ShareCancelled
    );
    child.link.ask("refuse off", &mut [0]);
    let code = child.typed("recovery code");
    assert!(RecoveryCode::parse(&code.bytes()[1..]).is_err());
    // One in 4,096 codes for the other use has the right checksum.
    drop(RecoveryCode::parse(child.typed("emergency code").bytes()));
    let mut typed = child.typed("everyday words");
    typed.bytes_mut()[3] = 7;
    let control = Passphrase::new(typed.bytes()).unwrap_err();
    assert_eq!(control.kind(), ErrorKind::PassphraseNotText);
    drop((words, code, typed));
    child.stop("locked");
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn many_unlocks(child: &Child) {
    let vault = child.open();
    for _ in 0..20 {
        let session = vault
            .unlock(&Credentials::share(&child.host("finger")))
            .unwrap();
        session.put(child.record(Class::Standard, 1, 100)).unwrap();
        session.lock();
    }
    for _ in 0..3 {
        unlock(child, &vault).lock();
    }
    child.stop("locked");
}

fn make(child: &Child, kdf: KdfParameters) {
    let words = child.words("new words");
    let phone = child.host("phone");
    let path = child.vault();
    std::fs::remove_dir_all(&path).unwrap();
    let factors = Credentials::passphrase(&words).and(&phone);
    let options = Options::new().kdf(Kdf::Fixed(kdf));
    let setup = Vault::create(&path, options, factors).unwrap();
    setup
        .recovery_code()
        .reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    let typed = child.typed("new code");
    assert!(setup.confirm_recovery(&typed.bytes()[1..]).is_err());
    let vault = setup.confirm_recovery(typed.bytes()).unwrap();
    drop((typed, setup));
    let session = vault.unlock(&factors).unwrap();
    drop(words);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn setup(child: &Child) {
    make(child, KdfParameters::FLOOR);
}

pub(crate) fn setup_with_lanes(child: &Child) {
    make(child, KdfParameters::new(19 * 1024, 2, 4).unwrap());
}

pub(crate) fn sizes(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    for (number, length) in (0..).zip([0, 1, 31, 100, 4096, 100_000, 3_000_000]) {
        let id = session
            .put(child.record(Class::Standard, number, length))
            .unwrap()
            .id;
        check(child, &session, id);
        child.stop("open");
    }
    lock(child, vault, session);
}

pub(crate) fn batch(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let mut batch = Batch::new();
    for number in 0..30 {
        for class in CLASSES {
            batch.put(child.record(class, number, 300));
        }
    }
    let stored = lease.commit(&batch).unwrap();
    drop(batch);
    for stored in stored {
        check(child, &lease, stored.id);
    }
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn rollback(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    lease.put(child.record(Class::Standard, 1, 100)).unwrap();
    let mut batch = Batch::new();
    for class in CLASSES {
        batch.put(child.record_about(class, Field::OtherSubject, 7, 1000));
    }
    // The same version with another body cannot be put.
    batch.put(child.record(Class::Standard, 1, 101));
    assert_eq!(
        lease.commit(&batch).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    drop(batch);
    assert_eq!(lease.count(&Query::new()).unwrap(), 1);
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn refused_writes(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let refused = |record: Record| session.put(record).unwrap_err().kind();
    let priority = child.record(Class::Priority, 1, 5000);
    assert_eq!(refused(priority), ErrorKind::LeaseRequired);
    let reversed = (Timestamp::from_micros(2), Timestamp::from_micros(1));
    let record = child.record(Class::Standard, 1, 5000);
    let record = record.effective_during(reversed.0, reversed.1);
    assert_eq!(refused(record), ErrorKind::InvalidRecord);
    let id = session
        .put(child.record(Class::Standard, 1, 5000))
        .unwrap()
        .id;
    let (first, second) = (
        session.get(id).unwrap().unwrap(),
        session.get(id).unwrap().unwrap(),
    );
    session
        .put(first.with_body(child.body(Class::Standard, 900)))
        .unwrap();
    let stale = second.with_body(child.body(Class::Standard, 800));
    assert_eq!(refused(stale), ErrorKind::Conflict);
    assert_eq!(
        session
            .put(child.record(Class::Standard, 1, 5000))
            .unwrap_err()
            .kind(),
        ErrorKind::Conflict
    );
    lock(child, vault, session);
}

pub(crate) fn history(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let id = session
        .put(child.record(Class::Standard, 1, 2000))
        .unwrap()
        .id;
    for length in 1..20 {
        let record = session.get(id).unwrap().unwrap();
        session
            .put(record.with_body(child.body(Class::Standard, 100 * length)))
            .unwrap();
    }
    assert_eq!(session.history(id).unwrap().len(), 19);
    lock(child, vault, session);
}

pub(crate) fn move_between_classes(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    // Everything about it belongs to Priority from the start, as far as its names go.
    let id = lease
        .put(child.record(Class::Priority, 1, 2000))
        .unwrap()
        .id;
    let record = lease.get(id).unwrap().unwrap();
    lease
        .put(record.with_body(child.body(Class::Priority, 100)))
        .unwrap();
    for class in [Class::Standard, Class::Emergency, Class::Priority] {
        lease
            .put(lease.get(id).unwrap().unwrap().class(class))
            .unwrap();
    }
    assert_eq!(lease.history(id).unwrap().len(), 4);
    child.stop("lease");
    session.lock();
    child.stop("locked");
    drop((lease, session, vault));
    child.stop("locked");
}

/// Forty records of the open classes, about two people.
fn fill(child: &Child, session: &Session) -> Vec<RecordId> {
    let mut batch = Batch::new();
    for number in 0..20 {
        for class in [Class::Emergency, Class::Standard] {
            let subject = if number % 2 == 0 {
                Field::Subject
            } else {
                Field::OtherSubject
            };
            batch.put(child.record_about(class, subject, number, 700));
        }
    }
    session
        .commit(&batch)
        .unwrap()
        .iter()
        .map(|stored| stored.id)
        .collect()
}

pub(crate) fn full_reads(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    let many = session.get_many(&ids).unwrap();
    assert!(many.iter().all(Option::is_some));
    drop(many);
    for class in [Class::Emergency, Class::Standard] {
        let kind = child.kind(class);
        for query in [
            Query::new(),
            Query::new().kind(kind.text()),
            Query::new()
                .subject(child.subject(class).text())
                .oldest_first(),
            Query::new().content_type(child.canary(class, Field::ContentType).text()),
            Query::new()
                .subject(child.subject(class).text())
                .kind(kind.text()),
            Query::new().updated_since(Timestamp::from_micros(0)),
            Query::new().kind("nothing is of this kind"),
        ] {
            let count = session.count(&query).unwrap();
            assert_eq!(
                session.query(&query).map(Result::unwrap).count() as u64,
                count
            );
        }
    }
    lock(child, vault, session);
}

pub(crate) fn abandoned_iterator(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    let kind = child.kind(Class::Standard);
    let person = child.subject(Class::Standard);
    let query = Query::new().kind(kind.text()).subject(person.text());
    let mut matches = session.query(&query);
    let mut all = session.query(&Query::new());
    let mut never_started = session.query(&query);
    drop((query, kind, person));
    for found in [matches.next(), matches.next(), all.next()] {
        assert!(child.is_body(Class::Standard, found.unwrap().unwrap().body()));
    }
    child.stop("open");
    session.lock();
    child.stop("locked");
    for matches in [&mut matches, &mut all, &mut never_started] {
        let error = matches.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(matches.next().is_none());
    }
    child.stop("locked");
    drop((matches, all, never_started, session, vault));
}

pub(crate) fn abandoned_lease_iterator(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let mut batch = Batch::new();
    for number in 0..40 {
        batch.put(child.record(Class::Priority, number, 700));
    }
    lease.commit(&batch).unwrap();
    drop(batch);
    let kind = child.kind(Class::Priority);
    let mut matches = lease.query(&Query::new().kind(kind.text()));
    drop(kind);
    assert!(child.is_body(Class::Priority, matches.next().unwrap().unwrap().body()));
    child.stop("lease");
    drop(lease);
    child.stop("open");
    assert_eq!(
        matches.next().unwrap().unwrap_err().kind(),
        ErrorKind::LeaseRequired
    );
    drop(matches);
    lock(child, vault, session);
}

pub(crate) fn cursors(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    let kind = child.kind(Class::Standard);
    let query = Query::new().kind(kind.text()).newest_first();
    let mut seen = 0;
    let mut page = session.query(&query);
    loop {
        seen += page.by_ref().take(7).map(Result::unwrap).count();
        let Some(cursor) = page.cursor().unwrap().filter(|_| seen < 20) else {
            break;
        };
        page = session.query_after(&query, &cursor).unwrap();
    }
    assert_eq!(seen, 20);
    let cursor = page.cursor().unwrap().unwrap();
    drop((query, kind));
    child.stop("open");
    session.lock();
    child.stop("locked");
    drop((page, cursor, session, vault));
    child.stop("locked");
}

pub(crate) fn erase(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    for id in &ids[..5] {
        assert!(session.erase(*id).unwrap());
        assert!(!session.erase(*id).unwrap());
    }
    lock(child, vault, session);
}

pub(crate) fn erase_subject(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    let lease = step_up(child, &session);
    let stored = lease.put(child.record_about(Class::Priority, Field::OtherSubject, 1, 900));
    check(child, &lease, stored.unwrap().id);
    // One iterator that has met the person's records, and one that is about to.
    let mut met = session.query(&Query::new().oldest_first());
    assert!(met.by_ref().take(3).all(|found| found.is_ok()));
    let mut kept = met;
    child.stop("lease");
    for class in CLASSES {
        lease
            .erase_subject(child.canary(class, Field::OtherSubject).text())
            .unwrap();
    }
    child.link.ask("erased", &mut [0]);
    child.stop("lease");
    // What is left is handed out; what was erased is passed over.
    let left = kept.by_ref().map(Result::unwrap).count();
    assert_eq!(
        left, 18,
        "twenty of the other person's, and two were met before"
    );
    child.stop("lease");
    drop((kept, lease));
    lock(child, vault, session);
}

pub(crate) fn expiry(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    for number in 100..110 {
        let record = child.record(Class::Standard, number, 300);
        session
            .put(record.expires(Timestamp::from_micros(1)))
            .unwrap();
    }
    assert_eq!(session.count(&Query::new()).unwrap(), 40);
    assert_eq!(session.erase_expired().unwrap(), 10);
    lock(child, vault, session);
}

pub(crate) fn lease(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    for number in 0..3 {
        let lease = step_up(child, &session);
        let id = lease
            .put(child.record(Class::Priority, number, 900))
            .unwrap()
            .id;
        check(child, &lease, id);
        assert_eq!(lease.query(&Query::new()).count(), 3 + number as usize);
        let escaped = (*lease).clone();
        child.stop("lease");
        drop(lease);
        child.stop("open");
        assert!(escaped.get(id).unwrap().is_none());
    }
    lock(child, vault, session);
}

pub(crate) fn lock_under_lease(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let id = lease.put(child.record(Class::Priority, 1, 900)).unwrap().id;
    check(child, &lease, id);
    child.stop("lease");
    session.lock();
    child.stop("locked");
    assert_eq!(lease.get(id).unwrap_err().kind(), ErrorKind::Locked);
    drop((lease, session, vault));
    child.stop("locked");
}

/// A Bundle whose every text is a canary, some of it written with escapes.
fn bundle(child: &Child) -> Wiped {
    let [person, client, body, name] = [Field::Subject, Field::Client, Field::Body, Field::Device]
        .map(|field| child.canary(Class::Standard, field));
    joined(&[
        br#"{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:"#,
        name.bytes(),
        br#"","resource":{"resourceType":"Patient","id":""#,
        person.bytes(),
        br#"","name":[{"family":""#,
        body.bytes(),
        br#""}]}},{"resource":{"resourceType":"Observation","id":"\u0041"#,
        &client.bytes()[1..],
        br#"","subject":{"reference":"urn:uuid:"#,
        name.bytes(),
        br#""},"note":[{"text":""#,
        body.bytes(),
        br#""}]}},{"resource":{"resourceType":"Condition","id":"c","subject":{"reference":"Patient\/"#,
        person.bytes(),
        br#"/_history/2"}}}]}"#,
    ])
}

fn joined(parts: &[&[u8]]) -> Wiped {
    let mut whole = Wiped::zeroed(parts.iter().map(|part| part.len()).sum());
    let mut rest = whole.bytes_mut();
    for part in parts {
        let (here, after) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = after;
    }
    whole
}

pub(crate) fn fhir(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let document = bundle(child);
    let reader = fhir::Reader::new();
    let resources = reader.bundle(document.bytes()).unwrap();
    let batch: Batch = resources.iter().map(fhir::Resource::to_record).collect();
    let stored = session.commit(&batch).unwrap();
    assert!(
        stored
            .iter()
            .all(|stored| stored.outcome == Outcome::Created)
    );
    let subjects: Vec<_> = resources
        .iter()
        .map(|resource| resource.subject())
        .collect();
    assert!(subjects[0].is_some() && subjects[1] == subjects[0] && subjects[2] == subjects[0]);
    drop((subjects, batch));
    // One resource alone, and documents that are refused: near the end, or for a text where none
    // belongs.
    for resource in &resources {
        let record = reader
            .resource(resource.json())
            .unwrap()
            .to_record_from("a server");
        assert_eq!(record.body(), resource.json());
    }
    let cut = &document.bytes()[..document.bytes().len() - 3];
    assert!(reader.bundle(cut).is_err());
    let text = child.canary(Class::Standard, Field::App);
    for (before, after) in [
        (r#"""#, r#"""#),
        (r#"{"resourceType":"Bundle","entry":""#, r#""}"#),
        (r#"{"resourceType":"Bundle","entry":[""#, r#""]}"#),
        (
            r#"{"resourceType":"Bundle","entry":[{"resource":""#,
            r#""}]}"#,
        ),
        (r#"{"resourceType":""#, r#""}"#),
    ] {
        let wrong = joined(&[before.as_bytes(), text.bytes(), after.as_bytes()]);
        assert!(reader.bundle(wrong.bytes()).is_err());
        drop(reader.resource(wrong.bytes()));
    }
    drop(text);
    drop(resources);
    drop(document);
    lock(child, vault, session);
}

pub(crate) fn threads(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    let (done, park) = (Barrier::new(5), Barrier::new(5));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for id in &ids {
                    check(child, &session, *id);
                }
                let all = session.query(&Query::new());
                // The one that the others put may be there already.
                assert!(all.map(Result::unwrap).count() >= 40);
                session
                    .put(child.record(Class::Standard, 500, 700))
                    .unwrap();
                done.wait();
                park.wait();
            });
        }
        done.wait();
        child.stop("open");
        session.lock();
        child.stop("locked");
        park.wait();
    });
    drop((session, vault));
    child.stop("locked");
}

pub(crate) fn ended_threads(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ids.iter().for_each(|id| check(child, &session, *id)));
        }
        let panicking = scope.spawn(|| {
            let mut matches = session.query(&Query::new());
            let held = (session.get(ids[0]).unwrap(), matches.next());
            // Past the panic hook, so that the test's output stays quiet.
            panic::resume_unwind(Box::new(held.0.is_some()));
        });
        assert!(panicking.join().is_err());
    });
    lock(child, vault, session);
}

pub(crate) fn lock_under_load(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    let (begun, park) = (Barrier::new(4), Barrier::new(4));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                begun.wait();
                let read = || ids.iter().all(|id| session.get(*id).is_ok());
                while read() {
                    session.query(&Query::new()).for_each(drop);
                    let _ = session.put(child.record(Class::Standard, 600, 9000));
                }
                park.wait();
                park.wait();
            });
        }
        begun.wait();
        check(child, &session, ids[0]);
        session.lock();
        park.wait();
        child.stop("locked");
        park.wait();
    });
    drop((session, vault));
    child.stop("locked");
}

pub(crate) fn new_passphrase(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let words = child.words("new words");
    let phone = child.host("phone");
    let factors = Credentials::passphrase(&words).and(&phone);
    lease.slots().replace(session.slot(), &factors).unwrap();
    let short = Passphrase::new(b"short").unwrap();
    let refused = lease
        .slots()
        .replace(session.slot(), &Credentials::passphrase(&short));
    assert!(refused.is_err());
    drop((words, lease));
    child.stop("open");
    session.lock();
    child.stop("locked");
    drop(session);
    let words = child.words("new words");
    let session = vault
        .unlock(&Credentials::passphrase(&words).and(&phone))
        .unwrap();
    drop(words);
    lock(child, vault, session);
}

pub(crate) fn slots(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let (finger, words) = (child.host("finger"), child.words("new words"));
    let slots = lease.slots();
    let biometric = slots.dangerous_add_biometric_for_priority(&finger).unwrap();
    let passphrase = slots.add(&Credentials::passphrase(&words)).unwrap();
    drop(words);
    let emergency = slots.add_emergency().unwrap();
    emergency.reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    drop(emergency);
    slots.remove(passphrase, None).unwrap();
    slots.remove(biometric, Some(&finger)).unwrap();
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn new_code(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let (words, phone) = (child.words("everyday words"), child.host("phone"));
    let slots = lease.slots();
    let factors = Credentials::passphrase(&words).and(&phone);
    let renewal = slots.renew_recovery(&factors).unwrap();
    renewal
        .code()
        .reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    let typed = child.typed("new code");
    renewal.confirm(typed.bytes()).unwrap();
    drop(renewal);
    drop((typed, words));
    child.stop("lease");
    drop(lease);
    lock(child, vault, session);
}

pub(crate) fn tampered(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    session.lock();
    drop((session, vault));
    child.stop("locked");
    child.link.ask("tamper", &mut [0]);
    let vault = child.open();
    let session = unlock(child, &vault);
    let refused = ids.iter().filter(|id| session.get(**id).is_err()).count();
    assert_eq!(refused, 20, "half of the records are in Standard");
    let query = Query::new().class(Class::Standard);
    let error = session.query(&query).next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TamperDetected);
    let mut batch = Batch::new();
    batch.put(child.record(Class::Emergency, 300, 700));
    // Met by its client identity, the row that was changed stops the batch.
    batch.put(child.record_about(Class::Standard, Field::OtherSubject, 1, 701));
    assert_eq!(
        session.commit(&batch).unwrap_err().kind(),
        ErrorKind::TamperDetected
    );
    drop(batch);
    lock(child, vault, session);
}

pub(crate) fn dropped(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    put_and_read(child, &session);
    let lease = step_up(child, &session);
    lease.put(child.record(Class::Priority, 1, 900)).unwrap();
    child.stop("lease");
    drop(session);
    child.stop("lease");
    drop(lease);
    child.stop("locked");
    drop(vault);
    child.stop("locked");
}

pub(crate) fn clones(child: &Child) {
    let vault = child.open();
    let session = Arc::new(unlock(child, &vault));
    let clones: Vec<_> = (0..10).map(|_| Session::clone(&session)).collect();
    let ids = clones.iter().map(|clone| put_and_read(child, clone));
    let ids: Vec<_> = ids.collect();
    child.stop("open");
    clones[3].lock();
    child.stop("locked");
    assert_eq!(session.get(ids[0]).unwrap_err().kind(), ErrorKind::Locked);
    child.stop("locked");
    drop((clones, session, vault));
    child.stop("locked");
}

/// Keeps what it should not, in ways that an app or this crate might: the test must see each.
pub(crate) fn leak(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let typed = child.typed("everyday words");
    let copy = typed.bytes().to_vec();
    let points: Vec<char> = typed.text().nfc().collect();
    drop(typed);
    let name = child.subject(Class::Priority).text().to_owned();
    let share = child.share_of_primary();
    session.lock();
    // A vector that is given back without being wiped.
    drop(child.body(Class::Emergency, 5000));
    child.stop("locked");
    assert!(
        !copy.is_empty() && !points.is_empty() && !name.is_empty() && !share.bytes().is_empty()
    );
}

pub(crate) fn protection(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let protection = Vault::memory_protection();
    for (name, value) in [
        ("locked", protection.keys_locked),
        ("undumpable", protection.keys_undumpable),
        ("wiped", protection.sqlite_heap_wiped),
    ] {
        child.link.ask(&format!("says {name} {value}"), &mut [0]);
    }
    fill(child, &session);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn sqlite_first(child: &Child) {
    let other = rusqlite::Connection::open_in_memory().unwrap();
    other.execute_batch("CREATE TABLE host (own)").unwrap();
    protection(child);
}
