//! FHIR documents on their way to records.

use vitalock::{Batch, Class, Outcome, Record, fhir};

use super::{lock, unlock};
use crate::canary::{Field, Wiped};
use crate::child::Child;

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

/// A person with a canary for a name.
pub(crate) fn patient(child: &Child, class: Class) -> Record {
    let name = child.canary(class, Field::Body);
    let json = joined(&[
        br#"{"resourceType":"Patient","name":[{"family":""#,
        name.bytes(),
        br#""}]}"#,
    ]);
    let resource = fhir::Reader::new();
    let resource = resource.resource(json.bytes()).unwrap();
    resource.to_record().class(class)
}

pub(crate) fn fhir(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let document = bundle(child);
    let reader = fhir::Reader::new();
    let resources = reader.bundle(document.bytes()).unwrap();
    let record = |resource: &fhir::Resource<'_>| resource.to_record_from("a server");
    let batch: Batch = resources.iter().map(record).collect();
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
    let name = child.canary(Class::Standard, Field::Body);
    for parameter in ["family=", "family:exact=", "name:contains="] {
        let search = joined(&[b"Patient?", parameter.as_bytes(), name.bytes()]);
        let mut found = session.fhir().search(search.text()).unwrap();
        assert!(found.next().unwrap().is_ok(), "{parameter}");
        // What is not read to its end keeps the words of the search no longer than itself.
        drop(found);
        assert_eq!(session.fhir().search_count(search.text()).unwrap(), 1);
        let chained = joined(&[
            b"Observation?subject:Patient.",
            parameter.as_bytes(),
            name.bytes(),
        ]);
        assert!(session.fhir().search(chained.text()).unwrap().count() < 2);
        let sorted = joined(&[search.bytes(), b"&_sort=family"]);
        assert_eq!(session.fhir().search(sorted.text()).unwrap().count(), 1);
    }
    drop(name);
    drop(resources);
    drop(document);
    lock(child, vault, session);
}
