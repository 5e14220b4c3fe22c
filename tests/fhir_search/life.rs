//! What is found while resources are put, changed, moved, erased and expire.

use serde_json::{Value, json};
use vitalock::{AuditAction, AuditQuery, Class, Credentials, ErrorKind, FaultKind, Timestamp};

use crate::{Store, ids, record, support};

fn observation(id: &str, day: u32, code: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final",
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": format!("2024-01-{day:02}T08:00:00Z"),
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]}})
}

#[test]
fn pages_go_on_where_the_last_one_ended_whatever_is_put_meanwhile() {
    let all: Vec<_> = (0..250)
        .map(|at| {
            observation(
                &format!("o{at:03}"),
                1 + at % 28,
                ["1-1", "2-2"][at as usize % 2],
            )
        })
        .collect();
    let store = Store::of(&all);
    for search in [
        "Observation?code=1-1&_sort=date&_count=7",
        "Observation?code=1-1,2-2&subject=Patient/1&_sort=-date&_count=40",
        "Observation?status=final&date=ge2024-01-05&date=lt2024-01-20&_count=33",
        "Observation?_count=100",
    ] {
        let whole = store.ids(&search[..search.find("_count").unwrap() - 1]);
        let session = store.session();
        let mut page = session.fhir().search(search).unwrap();
        let (mut met, mut pages) = (Vec::new(), 0);
        loop {
            let before = met.len();
            for found in page.by_ref() {
                let found: Value = serde_json::from_slice(found.unwrap().body()).unwrap();
                met.push(found["id"].as_str().unwrap().to_owned());
            }
            let Some(cursor) = page.cursor().unwrap().filter(|_| met.len() > before) else {
                break;
            };
            pages += 1;
            page = session.fhir().search_after(search, &cursor).unwrap();
            let other = session.fhir().search_after("Observation?_count=1", &cursor);
            assert_eq!(other.unwrap_err().kind(), ErrorKind::InvalidCursor);
        }
        assert_eq!(met, whole, "{search}");
        assert!(pages > 2, "{search}");
    }
}

#[test]
fn what_changes_is_found_by_what_it_says_now() {
    let store = Store::of(&[observation("a", 1, "1-1"), observation("b", 2, "1-1")]);
    let session = store.session();
    let first = session
        .fhir()
        .search("Observation?_id=a")
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let changed = record(&observation("a", 9, "2-2"), Class::Standard);
    let json = changed.body().to_vec();
    session.put(first.with_body(json)).unwrap();
    assert_eq!(store.ids("Observation?code=1-1"), ["b"]);
    assert_eq!(store.ids("Observation?code=2-2"), ["a"]);
    assert_eq!(store.ids("Observation?date=2024-01-09"), ["a"]);
    assert_eq!(store.ids("Observation?date=2024-01-01"), [""; 0]);
    let second = session
        .fhir()
        .search("Observation?_id=b")
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    session.erase(second.id().unwrap()).unwrap();
    assert_eq!(store.ids("Observation?subject=Patient/1"), ["a"]);
    assert!(session.verify().unwrap().faults.is_empty());
    session.erase_subject("Patient/1").unwrap_err();
    drop(second);
    let words = crate::words();
    let lease = session
        .step_up(&Credentials::passphrase(&words).and(&store.keystore))
        .unwrap();
    lease.erase_subject("Patient/1").unwrap();
    drop(lease);
    assert_eq!(store.ids("Observation"), [""; 0]);
    assert!(session.verify().unwrap().faults.is_empty());
}

#[test]
fn what_has_expired_is_neither_found_nor_counted() {
    let store = Store::of(&[observation("a", 1, "1-1")]);
    let soon = Timestamp::from_micros(Timestamp::now().to_micros() + 1_500_000);
    let passing = record(&observation("b", 2, "1-1"), Class::Standard).expires(soon);
    store.session().put(passing).unwrap();
    assert_eq!(store.set("Observation?code=1-1"), ["a", "b"]);
    while Timestamp::now() <= soon {
        std::thread::yield_now();
    }
    assert_eq!(store.set("Observation?code=1-1"), ["a"]);
    assert_eq!(
        store
            .session()
            .fhir()
            .search_count("Observation?code=1-1")
            .unwrap(),
        1
    );
    assert_eq!(store.session().erase_expired().unwrap(), 1);
    assert!(store.session().verify().unwrap().faults.is_empty());
}

#[test]
fn priority_is_searched_with_a_lease_and_in_one_order_with_the_rest() {
    let store = Store::of(&[observation("a", 1, "1-1"), observation("c", 3, "1-1")]);
    let session = store.session();
    let words = crate::words();
    let factors = Credentials::passphrase(&words).and(&store.keystore);
    let lease = session.step_up(&factors).unwrap();
    let put = |resource, class| lease.put(record(&resource, class)).unwrap();
    put(observation("b", 2, "1-1"), Class::Priority);
    put(observation("d", 4, "1-1"), Class::Emergency);
    assert_eq!(
        ids(&lease, "Observation?code=1-1&_sort=date"),
        ["a", "b", "c", "d"]
    );
    assert_eq!(
        lease.fhir().search_count("Observation?patient=1").unwrap(),
        4
    );
    assert!(lease.verify().unwrap().faults.is_empty());
    drop(lease);
    assert_eq!(
        store.ids("Observation?code=1-1&_sort=-date"),
        ["d", "c", "a"]
    );
    assert_eq!(
        store
            .session()
            .fhir()
            .search_count("Observation?patient=1")
            .unwrap(),
        3
    );
    // What is deposited while Priority is closed is found once it is open.
    session
        .deposit(&record(&observation("e", 5, "1-1"), Class::Priority))
        .unwrap();
    let malformed = vitalock::Record::new("Basic", "{")
        .class(Class::Priority)
        .content_type(vitalock::fhir::CONTENT_TYPE);
    let refused = session.deposit(&malformed).unwrap_err().kind();
    assert_eq!(refused, ErrorKind::FhirMalformed);
    let lease = session.step_up(&factors).unwrap();
    assert_eq!(ids(&lease, "Observation?date=ge2024-01-04"), ["e", "d"]);
    // A record that moves is found where it is.
    let moving = lease
        .fhir()
        .search("Observation?_id=a")
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    lease.put(moving.class(Class::Priority)).unwrap();
    assert!(lease.verify().unwrap().faults.is_empty());
    drop(lease);
    assert_eq!(store.ids("Observation?_id=a"), [""; 0]);
}

#[test]
fn a_search_is_in_the_trail_and_ends_with_the_session() {
    let store = Store::of(&[observation("a", 1, "1-1"), observation("b", 2, "1-1")]);
    assert_eq!(store.ids("Observation?code=1-1").len(), 2);
    let session = store.session();
    let mut waiting = session.fhir().search("Observation?code=1-1").unwrap();
    waiting.next().unwrap().unwrap();
    session.lock();
    assert_eq!(
        waiting.next().unwrap().unwrap_err().kind(),
        ErrorKind::Locked
    );
    let refused = session
        .fhir()
        .search("Observation?code=1-1")
        .unwrap_err()
        .kind();
    assert_eq!(refused, ErrorKind::Locked);
    drop(waiting);
    let session = store.unlock();
    let entries: Vec<_> = session
        .audit_trail(&AuditQuery::new())
        .map(|entry| entry.unwrap())
        .collect();
    let reads: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action() == AuditAction::Read)
        .collect();
    assert!(!reads.is_empty());
    assert!(
        reads
            .iter()
            .all(|entry| entry.kind() == Some("Observation"))
    );
    assert!(!format!("{entries:?}").contains("1-1"));
}

#[test]
fn nothing_of_the_index_is_left_below_the_seal_of_pages_once_its_resource_is_erased() {
    let scratch = support::Scratch::new();
    let vault = support::fixture::make_quick_vault(&scratch.vault(), false);
    let session = support::fixture::unlock(&vault);
    let person = |id: usize, family: &str| {
        let person = json!({"resourceType": "Patient", "id": format!("p{id}"),
            "name": [{"family": family}], "birthDate": "1950-05-01"});
        record(&person, Class::Standard)
    };
    let kept = (0..300).map(|at| person(at, &format!("Quillfeather{at:03}")));
    session.commit(&kept.collect()).unwrap();
    let gone = session.put(person(900, "Zephyrhollow")).unwrap();
    let changed = session.put(person(901, "Brambleford")).unwrap();
    let holds = |word: &str| {
        let path = support::fixture::database(&scratch.vault(), Class::Standard);
        let seal = support::fixture::seal(&scratch.vault(), Class::Standard);
        let database = seal.open_database(&std::fs::read(&path).unwrap());
        let log = seal.open_log(&std::fs::read(path.with_extension("db-wal")).unwrap_or_default());
        let is_there = |bytes: &[u8]| {
            bytes
                .windows(word.len())
                .any(|part| part == word.as_bytes())
        };
        is_there(&database) || is_there(&log)
    };
    for word in ["zephyrhollow", "brambleford", "quillfeather007"] {
        assert!(holds(word), "{word}");
    }
    for body in ["Zephyrhollow", "Brambleford"] {
        assert!(!holds(body), "bodies are sealed once more");
    }
    session.erase(gone.id).unwrap();
    let read = session.get(changed.id).unwrap().unwrap();
    let next = person(901, "Thistledown").body().to_vec();
    session.put(read.with_body(next)).unwrap();
    assert_eq!(ids(&session, "Patient?family=thistle"), ["p901"]);
    assert_eq!(ids(&session, "Patient?family=bramble"), [""; 0]);
    session.erase(changed.id).unwrap();
    for word in ["zephyrhollow", "brambleford", "thistledown"] {
        assert!(!holds(word), "{word}");
    }
    assert!(holds("quillfeather007"));
    assert_eq!(ids(&session, "Patient?family=quill").len(), 300);
}

#[test]
fn an_index_that_was_changed_is_found_by_verifying() {
    let changes = [
        "DELETE FROM tokens WHERE place = (SELECT max(place) FROM tokens)",
        "UPDATE tokens SET value = value + 1 WHERE place = (SELECT max(place) FROM tokens)",
        "INSERT INTO words (parameter, word, place) VALUES (1, x'61', 999)",
        "UPDATE resources SET named = named + 1",
        "UPDATE resources SET entries = x''",
        "DELETE FROM resources",
        "INSERT INTO resources (place, kind, entries) VALUES (999, 1, x'')",
        "UPDATE resources SET kind = kind + 1",
        "UPDATE resources SET finish = finish + 1",
    ];
    for change in changes {
        let scratch = support::Scratch::new();
        let vault = support::fixture::make_quick_vault(&scratch.vault(), false);
        let session = support::fixture::unlock(&vault);
        for day in 1..4 {
            let resource = observation(&format!("o{day}"), day, "1-1");
            session.put(record(&resource, Class::Standard)).unwrap();
        }
        assert!(session.verify().unwrap().faults.is_empty());
        session.lock();
        drop((session, vault));
        let rows = support::fixture::unsealed(&scratch.vault(), Class::Standard);
        assert!(rows.execute(change, []).unwrap() > 0, "{change}");
        drop(rows);
        let vault = vitalock::Vault::open(scratch.vault()).unwrap();
        let faults = support::fixture::unlock(&vault).verify().unwrap().faults;
        assert!(
            faults.iter().any(|fault| fault.kind == FaultKind::Index),
            "{change}: {faults:?}"
        );
    }
}
