//! Every operation against the age of the authentication, and what a share that was captured at
//! unlock is good for (R-74).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::scene::{Recorder, SECOND, Scene};
use crate::actor::Actor;
use crate::audit::AuditQuery;
use crate::class::Class;
use crate::error::ErrorKind;
use crate::id::{RecordId, SlotId};
use crate::keys::{ContactKey, Credentials, Passphrase, SessionPolicy};
use crate::records::{Batch, Query, Quota, Record};
use crate::session::{ExportFormat, Lease, Precondition, Session};

type Call = (
    &'static str,
    fn(&Lease, &Credentials<'_>) -> crate::Result<()>,
);

const PARAMETER: &[u8] = br#"{"resourceType":"SearchParameter","url":"urn:suffix","code":"suffix",
    "base":["Patient"],"type":"string","expression":"Patient.name.suffix"}"#;
const PATIENT: &[u8] = br#"{"resourceType":"Patient","id":"1"}"#;

fn bundle(kind: &str) -> Vec<u8> {
    let request = r#"{"request":{"method":"DELETE","url":"Patient/1"}}"#;
    format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{request}]}}"#).into()
}

fn nobody() -> RecordId {
    RecordId::from_bytes([1; 16])
}

fn other() -> Passphrase {
    Passphrase::new(b"sieben junge Reiher schweigen").unwrap()
}

/// What is done on a lease, each by the name of its method. Whether it succeeds is not the question:
/// whether it is refused because the lease is over is.
const CALLS: &[Call] = &[
    ("anchor", |lease, _| lease.anchor()),
    ("touch", |lease, _| lease.touch()),
    ("put", |lease, _| lease.put(secret()).map(drop)),
    ("commit", |lease, _| {
        lease.commit(&Batch::from_iter([secret()])).map(drop)
    }),
    ("deposit", |lease, _| lease.deposit(&secret()).map(drop)),
    ("deposits", |lease, _| lease.deposits().map(drop)),
    ("take_in_deposits", |lease, _| {
        lease.take_in_deposits().map(drop)
    }),
    ("deposited", |lease, _| lease.deposited(nobody()).map(drop)),
    ("discard_deposit", |lease, _| {
        lease.discard_deposit(nobody()).map(drop)
    }),
    ("get", |lease, _| lease.get(nobody()).map(drop)),
    ("get_many", |lease, _| lease.get_many(&[nobody()]).map(drop)),
    ("history", |lease, _| lease.history(nobody()).map(drop)),
    ("pin", |lease, _| lease.pin(nobody())),
    ("unpin", |lease, _| lease.unpin(nobody())),
    ("set_quotas", |lease, _| {
        lease.set_quotas(&[Quota::new("Note")]).map(drop)
    }),
    ("erase", |lease, _| lease.erase(nobody()).map(drop)),
    ("erase_subject", |lease, _| lease.erase_subject("nobody")),
    ("erase_expired", |lease, _| lease.erase_expired().map(drop)),
    ("unused_bytes", |lease, _| lease.unused_bytes().map(drop)),
    ("shrink", |lease, _| lease.shrink(1).map(drop)),
    ("query", |lease, _| first(lease.query(&Query::new()))),
    ("query_after", |lease, _| {
        let mut matches = lease.query(&Query::new());
        let error = matches.next().map(|first| first.map(drop));
        error.unwrap_or(Ok(()))?;
        let cursor = matches.cursor()?.ok_or(ErrorKind::NotFound)?;
        lease.query_after(&Query::new(), &cursor).and_then(first)
    }),
    ("search", |lease, _| {
        lease.fhir().search("Patient?name=a").and_then(first)
    }),
    ("search_after", |lease, _| {
        let mut matches = lease.query(&Query::new());
        let error = matches.next().map(|first| first.map(drop));
        error.unwrap_or(Ok(()))?;
        let cursor = matches.cursor()?.ok_or(ErrorKind::NotFound)?;
        lease
            .fhir()
            .search_after("Patient", &cursor)
            .and_then(first)
    }),
    ("search_count", |lease, _| {
        lease.fhir().search_count("Patient?_sort=name").map(drop)
    }),
    ("read", |lease, _| lease.fhir().read("Patient/1").map(drop)),
    ("read_version", |lease, _| {
        lease.fhir().read_version("Patient/1", 1).map(drop)
    }),
    ("create", |lease, _| lease.fhir().create(PATIENT).map(drop)),
    ("create_unless", |lease, _| {
        let fhir = lease.fhir().class(Class::Priority);
        fhir.create_unless(PATIENT, "Patient?_id=1").map(drop)
    }),
    ("update", |lease, _| {
        lease.fhir().update(PATIENT, Precondition::None).map(drop)
    }),
    ("update_where", |lease, _| {
        lease
            .fhir()
            .update_where(PATIENT, "Patient?_id=1")
            .map(drop)
    }),
    ("patch", |lease, _| {
        let fhir = lease.fhir();
        fhir.patch("Patient/1", b"[]", Precondition::None).map(drop)
    }),
    ("delete", |lease, _| {
        lease
            .fhir()
            .delete("Patient/1", Precondition::None)
            .map(drop)
    }),
    ("delete_where", |lease, _| {
        lease.fhir().delete_where("Patient?_id=1").map(drop)
    }),
    ("transaction", |lease, _| {
        lease.fhir().transaction(&bundle("transaction")).map(drop)
    }),
    ("batch", |lease, _| {
        let answers = lease.fhir().batch(&bundle("batch"))?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }),
    ("everything", |lease, _| {
        lease.fhir().everything("Patient/1").map(drop)
    }),
    ("all", |lease, _| first(lease.fhir().all())),
    ("export", |lease, _| {
        let fhir = lease.fhir();
        let mut out = Vec::new();
        let go_on = &mut |_| ControlFlow::Continue(());
        fhir.export(fhir.all(), ExportFormat::Ndjson, &mut out, go_on)
            .map(drop)
    }),
    ("add_search_parameter", |lease, _| {
        lease.fhir().add_search_parameter(PARAMETER).map(drop)
    }),
    ("remove_search_parameter", |lease, _| {
        lease.fhir().remove_search_parameter("urn:none").map(drop)
    }),
    ("added_search_parameters", |lease, _| {
        lease.fhir().added_search_parameters().map(drop)
    }),
    ("index", |lease, _| {
        lease.fhir().index(&mut |_| ControlFlow::Continue(()))
    }),
    ("import_ndjson", |lease, _| {
        let go_on = &mut |_| ControlFlow::Continue(());
        lease.fhir().import_ndjson(&mut &*PATIENT, go_on).map(drop)
    }),
    ("import_bundle", |lease, _| {
        let resource = str::from_utf8(PATIENT).unwrap();
        let entry = format!(r#"{{"resource":{resource}}}"#);
        let bundle = format!(r#"{{"resourceType":"Bundle","entry":[{entry}]}}"#);
        let go_on = &mut |_| ControlFlow::Continue(());
        lease
            .fhir()
            .import_bundle(bundle.as_bytes(), go_on)
            .map(drop)
    }),
    ("count", |lease, _| lease.count(&Query::new()).map(drop)),
    ("usage", |lease, _| lease.usage().map(drop)),
    ("acting", |lease, _| {
        let other = lease.acting(&Actor::new("ada"))?;
        other.count(&Query::new()).map(drop)
    }),
    ("audit_trail", |lease, _| {
        let mut trail = lease.audit_trail(&AuditQuery::new());
        trail.next().map_or(Ok(()), |first| first.map(drop))
    }),
    ("emergency_accesses", |lease, _| {
        lease.emergency_accesses().map(drop)
    }),
    ("acknowledge_emergency_accesses", |lease, _| {
        lease.acknowledge_emergency_accesses()
    }),
    ("verify", |lease, _| lease.verify().map(drop)),
    ("export_audit_trail", |lease, _| {
        let mut out = Vec::new();
        lease
            .export_audit_trail(&AuditQuery::new(), &mut out)
            .map(drop)
    }),
    ("audit_evidence", |lease, _| {
        lease.audit_evidence(&mut Vec::new()).map(drop)
    }),
    ("unattended", |lease, _| {
        lease.unattended().count(&Query::new()).map(drop)
    }),
    ("step_up", |lease, factors| lease.step_up(factors).map(drop)),
    ("renew", |lease, factors| lease.renew(factors)),
    ("set_session_policy", |lease, _| {
        lease.set_session_policy(SessionPolicy::new())
    }),
    ("list", |lease, _| lease.slots().list().map(drop)),
    ("add", |lease, _| {
        lease
            .slots()
            .add(&Credentials::passphrase(&other()))
            .map(drop)
    }),
    ("dangerous_add_biometric_for_priority", |lease, _| {
        let added = lease
            .slots()
            .dangerous_add_biometric_for_priority(&Recorder::default());
        added.map(drop)
    }),
    ("replace", |lease, _| {
        let nothing = SlotId::from_bytes([1; 8]);
        lease
            .slots()
            .replace(nothing, &Credentials::passphrase(&other()))
            .map(drop)
    }),
    ("remove", |lease, _| {
        lease.slots().remove(SlotId::from_bytes([1; 8]), None)
    }),
    ("add_emergency", |lease, _| {
        lease.slots().add_emergency().map(drop)
    }),
    ("add_emergency_contact", |lease, _| {
        let contact = ContactKey::make()?.public_key();
        lease.slots().add_emergency_contact(&contact).map(drop)
    }),
    ("renew_recovery", |lease, factors| {
        lease.slots().renew_recovery(factors).map(drop)
    }),
];

/// Methods that need no proof, or are no calls on the vault.
const EXEMPT: [&str; 9] = [
    "slots",
    "slot",
    "lock",
    "is_locked",
    "lock_reason",
    "code",
    "fhir",
    "class",
    "source",
];

fn secret() -> Record {
    Record::new("Note", "for few eyes")
        .subject("Patient/1")
        .class(Class::Priority)
}

fn first(mut matches: crate::session::Matches) -> crate::Result<()> {
    matches.next().map_or(Ok(()), |first| first.map(drop))
}

fn kind<T>(result: crate::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn every_call_on_a_lease_is_refused_once_the_authentication_is_too_old() {
    for (name, call) in CALLS {
        for (age, over) in [
            (0, false),
            (60 * SECOND - 1, false),
            (60 * SECOND, true),
            (61 * SECOND, true),
        ] {
            let scene = Scene::with(SessionPolicy::new());
            let session = scene.unlock();
            let lease = session.step_up(&scene.factors()).unwrap();
            lease.put(secret()).unwrap();
            scene.hands.put(age);
            let outcome = kind(call(&lease, &scene.factors()));
            assert_eq!(
                outcome == Some(ErrorKind::LeaseExpired),
                over,
                "{name} at {age}: {outcome:?}"
            );
            // The session is as good as before.
            assert_eq!(kind(session.touch()), None, "{name} at {age}");
        }
    }
}

#[test]
fn every_method_of_a_session_a_lease_and_the_slots_is_in_the_matrix() {
    let sources = [
        include_str!("../session/audit_trail.rs"),
        include_str!("../session/deposits.rs"),
        include_str!("../session/evidence.rs"),
        include_str!("../session/handle.rs"),
        include_str!("../session/lease.rs"),
        include_str!("../session/room.rs"),
        include_str!("../session/fhir/everything.rs"),
        include_str!("../session/fhir/export.rs"),
        include_str!("../session/fhir/import.rs"),
        include_str!("../session/fhir/store.rs"),
        include_str!("../session/fhir/parameters.rs"),
        include_str!("../session/fhir/requests.rs"),
        include_str!("../session/fhir/writing.rs"),
        include_str!("../session/slots.rs"),
        include_str!("../session/step_up.rs"),
    ];
    let lines = sources.iter().flat_map(|source| source.lines());
    let methods = lines.filter_map(|line| line.strip_prefix("    pub fn "));
    let methods: BTreeSet<&str> = methods
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect();
    let named = CALLS.iter().map(|(name, _)| *name).chain(EXEMPT);
    let named: BTreeSet<&str> = named.filter(|name| *name != "code").collect();
    assert_eq!(methods, named);
    assert!(methods.len() > 25);
}

#[test]
fn without_step_up_a_priority_record_cannot_be_read_listed_counted_or_known_to_exist() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    // Everything that can be asked, of a vault that has priority records and of one that has none.
    let told = |session: &Session, id: RecordId| {
        let of_class = || Query::new().class(Class::Priority);
        let of_subject = || Query::new().subject("Patient/1");
        (
            (kind(session.get(id)), session.get(id).unwrap().is_some()),
            session.get_many(&[id]).unwrap()[0].is_some(),
            session.history(id).unwrap().len(),
            session.erase(id).unwrap(),
            [Query::new(), of_class(), of_subject()].map(|query| session.count(&query).unwrap()),
            [Query::new(), of_class(), of_subject()].map(|query| session.query(&query).count()),
            session.erase_expired().unwrap(),
            session.unused_bytes().unwrap(),
            session.usage().unwrap().kinds.len(),
            kind(session.put(secret())),
            kind(session.put(secret().client("c1", 1))),
            kind(session.erase_subject("Patient/1")),
        )
    };
    let before = told(&session, nobody());
    // What was deposited is out of reach as well, before it is taken in and after.
    let deposited = session.deposit(&secret()).unwrap();
    assert_eq!(told(&session, deposited), before);
    let lease = session.step_up(&scene.factors()).unwrap();
    assert!(lease.get(deposited).unwrap().is_some(), "the control");
    let id = lease.put(secret()).unwrap().id;
    lease.put(secret().client("c1", 1)).unwrap();
    assert!(lease.get(id).unwrap().is_some(), "the control");
    // While somebody else's lease is open, and after it.
    assert_eq!(told(&session, id), before);
    drop(lease);
    assert_eq!(told(&session, id), before);
    assert_eq!(told(&session.unattended(), id), before);
    let lease = session.step_up(&scene.factors()).unwrap();
    assert_eq!(
        lease.count(&Query::new().class(Class::Priority)).unwrap(),
        3
    );
}

#[test]
fn a_renewal_of_the_code_that_was_begun_in_time_is_not_confirmed_too_late() {
    let scene = Scene::with(SessionPolicy::new());
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    let factors = scene.factors();
    let renewal = lease.slots().renew_recovery(&factors).unwrap();
    let code = renewal.code().reveal(str::to_owned);
    scene.hands.put_seconds(60);
    assert_eq!(
        kind(renewal.confirm(code.as_bytes())),
        Some(ErrorKind::LeaseExpired)
    );
}

#[test]
fn nothing_that_was_released_at_unlock_steps_up() {
    let scene = Scene::with(SessionPolicy::new());
    let host = Recorder::default();
    let session = scene.unlock();
    let lease = session.step_up(&scene.factors()).unwrap();
    lease
        .slots()
        .add(&Credentials::passphrase(&scene.words).and(&host))
        .unwrap();
    session.lock();
    drop((lease, session));
    let factors = Credentials::passphrase(&scene.words).and(&host);
    host.released.lock().unwrap().clear();
    scene.vault.unlock(&factors).unwrap().lock();
    let captured = host.released.lock().unwrap().clone();
    assert_eq!(captured.len(), 1, "one release, for one purpose");
    *host.replaying.lock().unwrap() = true;
    // The control: what was captured opens what it was captured for.
    let session = scene.vault.unlock(&factors).unwrap();
    assert_eq!(
        kind(session.step_up(&factors)),
        Some(ErrorKind::UnlockFailed)
    );
    // And asked afresh it works.
    *host.replaying.lock().unwrap() = false;
    drop(session.step_up(&factors).unwrap());
    let released = host.released.lock().unwrap();
    assert_ne!(released.last(), captured.last());
}
