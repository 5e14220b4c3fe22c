//! Creating, updating, patching and erasing single resources.

use std::sync::Barrier;
use std::thread;

use serde_json::json;
use vitalock::{AuditAction, AuditQuery, Class, ErrorKind, Outcome, Precondition};

use crate::support::options;
use crate::{Home, kind, value};

const SAND: &str = r#"{
  "resourceType" : "Patient",
  "identifier" : [{"system":"http://a.org","value":"1"}],
  "name" : [{"family":"S\u0061nd","given":["Aurore"]}],
  "multipleBirthInteger" : 1
}"#;

/// The document without the text of one stamp.
fn without_stamp(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    let id = format!(",\"id\":{}", value["id"]);
    let meta = format!(
        ",\"meta\":{{\"versionId\":{},\"lastUpdated\":{}}}",
        value["meta"]["versionId"], value["meta"]["lastUpdated"]
    );
    text.replacen(&id, "", 1).replacen(&meta, "", 1)
}

#[test]
fn a_created_resource_has_an_id_a_version_and_a_time_and_is_otherwise_what_was_given() {
    let home = Home::new();
    let saved = home.fhir().create(SAND.as_bytes()).unwrap();
    assert_eq!((saved.version(), saved.outcome()), (1, Outcome::Created));
    assert_eq!(saved.reference(), format!("Patient/{}", saved.id()));
    let groups: Vec<_> = saved.id().split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    let record = home.fhir().read(saved.reference()).unwrap().unwrap();
    assert_eq!(record.id(), Some(saved.record()));
    assert_eq!(record.subject_name(), Some(saved.reference()));
    let held = value(&record);
    assert_eq!(
        (&held["id"], &held["meta"]["versionId"]),
        (&json!(saved.id()), &json!("1"))
    );
    assert_eq!(without_stamp(record.body()), SAND);
    let again = home.fhir().create(SAND.as_bytes()).unwrap();
    assert_ne!(again.id(), saved.id(), "a create is a new resource");
    assert_eq!(home.found("Patient?name=sand").len(), 2);
    let today = &held["meta"]["lastUpdated"].as_str().unwrap()[..10];
    assert_eq!(
        home.found(&format!("Patient?_lastUpdated={today}")).len(),
        2
    );
}

#[test]
fn versions_count_up_and_the_earlier_ones_are_kept_by_policy() {
    for keeps in [true, false] {
        let home = Home::with(options().keep_history(keeps));
        let fhir = home.fhir();
        let body = |name: &str| {
            format!(r#"{{"resourceType":"Patient","id":"p","name":[{{"family":"{name}"}}]}}"#)
        };
        let write = |name: &str, condition| fhir.update(body(name).as_bytes(), condition);
        assert_eq!(
            kind(write("A", Precondition::IfMatch(1))),
            Some(ErrorKind::Conflict)
        );
        let first = write("A", Precondition::IfNoneMatch).unwrap();
        assert_eq!((first.version(), first.outcome()), (1, Outcome::Created));
        assert_eq!(
            kind(write("B", Precondition::IfNoneMatch)),
            Some(ErrorKind::Conflict)
        );
        let second = write("B", Precondition::IfMatch(1)).unwrap();
        assert_eq!((second.version(), second.outcome()), (2, Outcome::Updated));
        assert_eq!(
            kind(write("C", Precondition::IfMatch(1))),
            Some(ErrorKind::Conflict)
        );
        let same = write("B", Precondition::None).unwrap();
        assert_eq!((same.version(), same.outcome()), (2, Outcome::Unchanged));
        write("C", Precondition::None).unwrap();
        let versions = fhir.history("Patient/p").unwrap();
        let told: Vec<_> = versions
            .iter()
            .map(|version| {
                value(version)["meta"]["versionId"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let expected: &[&str] = if keeps { &["1", "2", "3"] } else { &["3"] };
        assert_eq!(told, expected);
        let first = fhir.read_version("Patient/p", 1).unwrap();
        assert_eq!(
            first.map(|first| value(&first)["name"][0]["family"] == "A"),
            keeps.then_some(true)
        );
        assert!(fhir.read_version("Patient/p", 9).unwrap().is_none());
        assert_eq!(home.found("Patient?name=a").len(), 0);
        assert_eq!(home.found("Patient?name=c").len(), 1);
        assert!(!home.fhir().delete("Patient/q", Precondition::None).unwrap());
        let condition = Precondition::IfMatch(2);
        assert_eq!(
            kind(fhir.delete("Patient/p", condition)),
            Some(ErrorKind::Conflict)
        );
        assert!(fhir.delete("Patient/p", Precondition::IfMatch(3)).unwrap());
        assert!(fhir.read("Patient/p").unwrap().is_none());
        assert!(fhir.history("Patient/p").unwrap().is_empty());
        assert!(home.session().verify().unwrap().faults.is_empty());
    }
}

#[test]
fn a_condition_is_a_search_and_nobody_comes_in_between() {
    let home = Home::new();
    let search = "Patient?identifier=http://a.org|1";
    let barrier = Barrier::new(8);
    let saved: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let fhir = home.fhir();
                    barrier.wait();
                    fhir.create_unless(SAND.as_bytes(), search).unwrap()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let created = saved
        .iter()
        .filter(|saved| saved.outcome() == Outcome::Created);
    assert_eq!(created.count(), 1);
    let first = &saved[0];
    assert!(saved.iter().all(|saved| saved.reference() == first.reference()
        && saved.record() == first.record()));
    assert_eq!(home.found(search).len(), 1);

    let fhir = home.fhir();
    let renamed = SAND.replace("Aurore", "George");
    let updated = fhir.update_where(renamed.as_bytes(), search).unwrap();
    assert_eq!(
        (updated.reference(), updated.version()),
        (first.reference(), 2)
    );
    let other = renamed.replacen('{', r#"{"id":"other","#, 1);
    let refused = fhir.update_where(other.as_bytes(), search);
    assert_eq!(kind(refused), Some(ErrorKind::Conflict), "another id");
    let nobody = "Patient?identifier=http://a.org|2";
    let made = fhir.update_where(other.as_bytes(), nobody).unwrap();
    assert_eq!(
        (made.reference(), made.outcome()),
        ("Patient/other", Outcome::Created)
    );
    let refused = fhir.update_where(other.as_bytes(), nobody);
    assert_eq!(kind(refused), Some(ErrorKind::Conflict), "the id is taken");

    for ambiguous in [
        kind(fhir.create_unless(SAND.as_bytes(), search)),
        kind(fhir.update_where(SAND.as_bytes(), search)),
        kind(fhir.delete_where(search)),
    ] {
        assert_eq!(ambiguous, Some(ErrorKind::SearchAmbiguous));
    }
    for (search, expected) in [
        ("Patient?nonsense=1", ErrorKind::SearchInvalid),
        ("Observation?code=1", ErrorKind::SearchInvalid),
    ] {
        assert_eq!(
            kind(fhir.create_unless(SAND.as_bytes(), search)),
            Some(expected)
        );
    }
    assert!(fhir.delete_where("Patient?_id=other").unwrap());
    assert!(!fhir.delete_where("Patient?_id=other").unwrap());
    assert_eq!(home.found(search).len(), 1);
}

#[test]
fn a_condition_may_be_on_other_resources_and_is_in_the_trail() {
    let home = Home::new();
    let fhir = home.fhir();
    fhir.update(
        br#"{"resourceType":"Patient","id":"p","name":[{"family":"Sand"}]}"#,
        Precondition::None,
    )
    .unwrap();
    let weight = br#"{"resourceType":"Observation","status":"final","code":{"text":"w"},
        "subject":{"reference":"Patient/p"}}"#;
    let search = "Observation?subject:Patient.name=sand";
    let first = fhir.create_unless(weight, search).unwrap();
    let trail = home.session().audit_trail(&AuditQuery::new());
    let accesses = |trail: vitalock::AuditTrail| {
        let entries = trail.map(Result::unwrap);
        let accesses = entries.filter(|entry| entry.action() == AuditAction::Access);
        accesses
            .filter(|entry| entry.kind() == Some("Observation"))
            .count()
    };
    assert_eq!(accesses(trail), 0, "the control: nothing was found");
    let second = fhir.create_unless(weight, search).unwrap();
    assert_eq!(second.reference(), first.reference());
    assert_eq!(accesses(home.session().audit_trail(&AuditQuery::new())), 1);
}

#[test]
fn a_patch_changes_what_it_names_and_no_other_byte() {
    let home = Home::new();
    let fhir = home.fhir();
    let weight = "{ \"resourceType\":\"Observation\", \"id\":\"w\", \"status\":\"final\",\n \
        \"code\":{\"text\":\"w\\u0065ight\"}, \"valueQuantity\":{\"value\":71.50,\"unit\":\"kg\"} }";
    fhir.update(weight.as_bytes(), Precondition::None).unwrap();
    let before = fhir.read("Observation/w").unwrap().unwrap();
    let patch = br#"[{"op":"test","path":"/valueQuantity/value","value":71.5},
        {"op":"replace","path":"/status","value":"amended"},
        {"op":"add","path":"/note","value":[{"text":"of 1.00"}]}]"#;
    let patched = fhir
        .patch("Observation/w", patch, Precondition::IfMatch(1))
        .unwrap();
    assert_eq!(
        (patched.version(), patched.outcome()),
        (2, Outcome::Updated)
    );
    let after = fhir.read("Observation/w").unwrap().unwrap();
    let expected = without_stamp(before.body())
        .replace("\"final\"", "\"amended\"")
        .replace("\"kg\"}", "\"kg\"},\"note\":[{\"text\":\"of 1.00\"}]");
    assert_eq!(without_stamp(after.body()), expected);
    assert_eq!(home.found("Observation?status=amended").len(), 1);
    assert_eq!(home.found("Observation?status=final").len(), 0);

    for (patch, kind, place, line) in [
        (
            &b"\n[{\"op\":\"remove\",\n\"path\":\"/none\"}]"[..],
            ErrorKind::PatchFailed,
            Some("[0]"),
            None,
        ),
        (
            br#"[{"op":"replace","path":"/id","value":"x"}]"#,
            ErrorKind::PatchFailed,
            None,
            None,
        ),
        (
            br#"[{"op":"remove","path":"/resourceType"}]"#,
            ErrorKind::PatchFailed,
            None,
            None,
        ),
        (
            br#"[{"op":"add","path":"","value":[]}]"#,
            ErrorKind::PatchFailed,
            None,
            None,
        ),
        (br#"{"op":"remove"}"#, ErrorKind::FhirMalformed, None, None),
        (b"[{", ErrorKind::FhirMalformed, Some("[0]"), Some(1)),
        (
            b"\n[{},\n {\"value\":\n",
            ErrorKind::FhirMalformed,
            Some("[1].value"),
            Some(4),
        ),
        (b"\n\xff", ErrorKind::FhirMalformed, None, Some(2)),
    ] {
        let error = fhir
            .patch("Observation/w", patch, Precondition::None)
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.json_path(), error.json_line()),
            (kind, place, line)
        );
    }
    let nothing = fhir
        .patch("Observation/w", b"[]", Precondition::None)
        .unwrap();
    assert_eq!(
        (nothing.version(), nothing.outcome()),
        (2, Outcome::Unchanged)
    );
    let missing = fhir.patch("Observation/x", b"[]", Precondition::None);
    assert_eq!(kind(missing), Some(ErrorKind::NotFound));
    let stale = fhir.patch("Observation/w", patch, Precondition::IfMatch(1));
    assert_eq!(kind(stale), Some(ErrorKind::Conflict));
    let still = fhir.read("Observation/w").unwrap().unwrap();
    assert_eq!(still.body(), after.body());
}

#[test]
fn of_many_updates_with_a_version_one_wins_each_time() {
    let home = Home::new();
    let body = |by: usize, turn: u64| {
        format!(r#"{{"resourceType":"Basic","id":"b","code":{{"text":"{by} {turn}"}}}}"#)
    };
    home.fhir()
        .update(body(9, 0).as_bytes(), Precondition::None)
        .unwrap();
    let wins: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|by| {
                let fhir = home.fhir();
                scope.spawn(move || {
                    let turns = (1..=25).map(|turn| {
                        let condition = Precondition::IfMatch(turn);
                        fhir.update(body(by, turn).as_bytes(), condition).is_ok() as usize
                    });
                    turns.sum::<usize>()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let last = home.fhir().read("Basic/b").unwrap().unwrap();
    let version: usize = value(&last)["meta"]["versionId"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(version, wins + 1, "none was lost and none written over");
    assert_eq!(home.fhir().history("Basic/b").unwrap().len(), version);
}

#[test]
fn sources_have_ids_of_their_own_and_classes_keep_what_they_have() {
    let home = Home::new();
    let basic = |text: &str| {
        format!(r#"{{"resourceType":"Basic","id":"1","code":{{"text":"{text}"}}}}"#).into_bytes()
    };
    let a = || home.fhir().source("https://a.org");
    a().update(&basic("a"), Precondition::None).unwrap();
    home.fhir()
        .update(&basic("own"), Precondition::IfNoneMatch)
        .unwrap();
    let text = |store: vitalock::FhirStore| {
        value(&store.read("Basic/1").unwrap().unwrap())["code"]["text"].clone()
    };
    assert_eq!((text(a()), text(home.fhir())), (json!("a"), json!("own")));
    assert_eq!(home.found("Basic?_id=1").len(), 2);

    let secret = br#"{"resourceType":"Basic","id":"2","code":{"text":"secret"}}"#;
    let refused = home
        .fhir()
        .class(Class::Priority)
        .update(secret, Precondition::None);
    assert_eq!(kind(refused), Some(ErrorKind::LeaseRequired));
    let lease = home.lease();
    lease
        .fhir()
        .class(Class::Priority)
        .update(secret, Precondition::None)
        .unwrap();
    lease
        .fhir()
        .patch(
            "Basic/2",
            br#"[{"op":"add","path":"/active","value":true}]"#,
            Precondition::None,
        )
        .unwrap();
    let held = lease.fhir().read("Basic/2").unwrap().unwrap();
    assert_eq!(
        (held.protection_class(), held.revision()),
        (Class::Priority, Some(2))
    );
    assert!(home.fhir().read("Basic/2").unwrap().is_none());
    drop(lease);
    assert!(home.fhir().read("Basic/2").unwrap().is_none());
}

#[test]
fn what_is_no_resource_is_refused_and_nothing_is_written() {
    let home = Home::new();
    let fhir = home.fhir();
    for (json, kind, place, line) in [
        (
            &b"\n{\n}"[..],
            ErrorKind::FhirMalformed,
            Some("resourceType"),
            Some(2),
        ),
        (
            b"{\"resourceType\":\"Basic\"",
            ErrorKind::FhirMalformed,
            Some("resourceType"),
            Some(1),
        ),
        (
            b"{\n\"resourceType\":\"Basic\",\n",
            ErrorKind::FhirMalformed,
            None,
            Some(3),
        ),
        (
            b"{\"resourceType\":\"Basic\",\n\"meta\":\n7}",
            ErrorKind::FhirMalformed,
            Some("meta"),
            Some(3),
        ),
    ] {
        let error = fhir.create(json).unwrap_err();
        assert_eq!(
            (error.kind(), error.json_path(), error.json_line()),
            (kind, place, line)
        );
    }
    let error = fhir
        .update(br#"{"resourceType":"Basic"}"#, Precondition::None)
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.json_path()),
        (ErrorKind::FhirMalformed, Some("id"))
    );
    let long = format!(
        r#"{{"resourceType":"Basic","code":{{"text":"{}"}}}}"#,
        "x".repeat(16 << 20)
    );
    assert_eq!(kind_of(&fhir, &long), Some(ErrorKind::FhirTooLarge));
    let just = format!(
        r#"{{"resourceType":"Basic","code":{{"text":"{}"}}}}"#,
        "x".repeat((16 << 20) - 60)
    );
    assert_eq!(
        kind_of(&fhir, &just),
        Some(ErrorKind::FhirTooLarge),
        "with what the store sets"
    );
    assert_eq!(home.found("Basic").len(), 0);
}

fn kind_of(fhir: &vitalock::FhirStore, json: &str) -> Option<ErrorKind> {
    kind(fhir.create(json.as_bytes()))
}
