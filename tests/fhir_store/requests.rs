//! Transactions and batches.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use vitalock::{EntryAnswer, ErrorKind, FhirStore, Outcome, Precondition, SavedResource};

use crate::support::data;
use crate::{Home, kind, value};

fn bundle(kind: &str, entries: &[Value]) -> Vec<u8> {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
        .to_string()
        .into_bytes()
}

fn post(full_url: &str, resource: Value) -> Value {
    let url = resource["resourceType"].clone();
    json!({"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": url}})
}

fn saved(answer: &EntryAnswer) -> &SavedResource {
    match answer {
        EntryAnswer::Saved(saved) => saved,
        other => panic!("{other:?}"),
    }
}

fn put_patient(fhir: &FhirStore, id: &str, identifier: &str) {
    let patient = json!({"resourceType": "Patient", "id": id,
        "identifier": [{"system": "http://a.org", "value": identifier}]});
    fhir.update(patient.to_string().as_bytes(), Precondition::None)
        .unwrap();
}

#[test]
fn the_entries_of_a_transaction_find_each_other() {
    let home = Home::new();
    let fhir = home.fhir();
    put_patient(&fhir, "known", "1");
    let answers = fhir
        .transaction(&bundle(
            "transaction",
            &[
                json!({"request": {"method": "GET", "url": "Observation?subject:Patient.name=sand"}}),
                post("urn:uuid:o", json!({"resourceType": "Observation", "status": "final",
                    "code": {"text": "w"}, "subject": {"reference": "urn:uuid:p"},
                    "performer": [{"reference": "Patient?identifier=http://a.org|1"}],
                    "text": {"status": "generated", "div": "<div><a href=\"urn:uuid:p\">x</a></div>"}})),
                post("urn:uuid:p", json!({"resourceType": "Patient", "name": [{"family": "Sand"}]})),
                json!({"fullUrl": "http://a.org/Basic/b", "resource": {"resourceType": "Basic", "id": "b",
                        "code": {"text": "x"}, "subject": {"reference": "urn:uuid:p"}},
                    "request": {"method": "PUT", "url": "Basic/b", "ifNoneMatch": "*"}}),
                json!({"fullUrl": "urn:uuid:k", "resource": {"resourceType": "Patient"},
                    "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=http://a.org|1"}}),
                post("urn:uuid:l", json!({"resourceType": "Basic", "code": {"text": "k"},
                    "subject": {"reference": "urn:uuid:k"}})),
            ],
        ))
        .unwrap();
    let [found, observation, patient, basic, known, link] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    let patient = saved(patient).reference();
    let EntryAnswer::Found(found) = found else {
        panic!()
    };
    let observation = fhir.read(saved(observation).reference()).unwrap().unwrap();
    assert_eq!(
        found[0].id(),
        observation.id(),
        "reading sees what was written"
    );
    assert_eq!(observation.subject_name(), Some(patient));
    let observation = value(&observation);
    assert_eq!(observation["subject"]["reference"], json!(patient));
    assert_eq!(
        observation["performer"][0]["reference"],
        json!("Patient/known")
    );
    let div = observation["text"]["div"].as_str().unwrap();
    assert_eq!(div, format!("<div><a href=\"{patient}\">x</a></div>"));
    assert_eq!(saved(basic).reference(), "Basic/b");
    assert_eq!(
        value(&fhir.read("Basic/b").unwrap().unwrap())["subject"]["reference"],
        json!(patient)
    );
    assert_eq!(
        (saved(known).reference(), saved(known).outcome()),
        ("Patient/known", Outcome::Unchanged)
    );
    let link = fhir.read(saved(link).reference()).unwrap().unwrap();
    assert_eq!(value(&link)["subject"]["reference"], json!("Patient/known"));
}

#[test]
fn a_transaction_is_done_whole_or_not_at_all_and_says_which_entry_failed() {
    let home = Home::new();
    let fhir = home.fhir();
    put_patient(&fhir, "a", "1");
    put_patient(&fhir, "b", "1");
    let good = post(
        "urn:uuid:1",
        json!({"resourceType": "Basic", "code": {"text": "x"}}),
    );
    let request = |method: &str, url: &str| json!({"request": {"method": method, "url": url}});
    let put = |id: &str, url: &str, more: Value| {
        let mut request = json!({"method": "PUT", "url": url});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"resource": {"resourceType": "Patient", "id": id}, "request": request})
    };
    for (bad, kind, place) in [
        (json!({}), ErrorKind::FhirMalformed, "entry[1].request"),
        (
            json!({"request": {"method": "HEAD", "url": "Patient"}}),
            ErrorKind::FhirMalformed,
            "entry[1].request.method",
        ),
        (
            json!({"request": {"method": "POST", "url": "Patient"}}),
            ErrorKind::FhirMalformed,
            "entry[1].resource",
        ),
        (
            post("", json!({"resourceType": "Basic", "meta": []})),
            ErrorKind::FhirMalformed,
            "entry[1].meta",
        ),
        (
            put("x", "Patient/y", json!({})),
            ErrorKind::FhirMalformed,
            "entry[1].id",
        ),
        (
            put("a", "Patient/a", json!({"ifMatch": "W/\"9\""})),
            ErrorKind::Conflict,
            "entry[1]",
        ),
        (
            put("a", "Patient/a", json!({"ifMatch": "9"})),
            ErrorKind::FhirMalformed,
            "entry[1].request.ifMatch",
        ),
        (
            put("a", "Patient/a", json!({"ifNoneMatch": "*"})),
            ErrorKind::Conflict,
            "entry[1]",
        ),
        (
            put("a", "Patient?identifier=1", json!({})),
            ErrorKind::SearchAmbiguous,
            "entry[1]",
        ),
        (
            post(
                "",
                json!({"resourceType": "Basic", "subject": {"reference": "Patient?identifier=1"}}),
            ),
            ErrorKind::SearchAmbiguous,
            "entry[1]",
        ),
        (
            post(
                "",
                json!({"resourceType": "Basic", "subject": {"reference": "Patient?identifier=9"}}),
            ),
            ErrorKind::NotFound,
            "entry[1]",
        ),
        (
            request("DELETE", "Patient"),
            ErrorKind::FhirMalformed,
            "entry[1].request.url",
        ),
    ] {
        let all = [good.clone(), bad, request("DELETE", "Patient/b")];
        let error = fhir.transaction(&bundle("transaction", &all)).unwrap_err();
        assert_eq!((error.kind(), error.json_path()), (kind, Some(place)));
    }
    let twice = [
        put("a", "Patient/a", json!({})),
        request("DELETE", "Patient/a"),
    ];
    let error = fhir
        .transaction(&bundle("transaction", &twice))
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.json_path()),
        (ErrorKind::Conflict, Some("entry[1]"))
    );
    for wrong in ["batch", "collection"] {
        let error = fhir.transaction(&bundle(wrong, &[])).unwrap_err();
        assert_eq!(
            (error.kind(), error.json_path()),
            (ErrorKind::FhirMalformed, Some("type"))
        );
    }
    assert_eq!(
        (home.found("Basic").len(), home.found("Patient").len()),
        (0, 2)
    );
    assert!(
        fhir.transaction(&bundle("transaction", &[]))
            .unwrap()
            .is_empty()
    );
    fhir.transaction(&bundle(
        "transaction",
        &[good, request("DELETE", "Patient/b")],
    ))
    .unwrap();
    assert_eq!(
        (home.found("Basic").len(), home.found("Patient").len()),
        (1, 1)
    );
    assert!(home.session().verify().unwrap().faults.is_empty());
}

#[test]
fn each_entry_of_a_batch_is_by_itself() {
    let home = Home::new();
    let fhir = home.fhir();
    put_patient(&fhir, "a", "1");
    let patch = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2FjdGl2ZSIsInZhbHVlIjp0cnVlfV0=";
    let answers = fhir
        .batch(&bundle(
            "batch",
            &[
                json!({"request": {"method": "DELETE", "url": "Patient/none"}}),
                json!({"request": {"method": "POST", "url": "Basic"}}),
                json!({"resource": {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": patch},
                    "request": {"method": "PATCH", "url": "Patient/a", "ifMatch": "W/\"1\""}}),
                json!({"request": {"method": "GET", "url": "Patient/a"}}),
                json!({"request": {"method": "GET", "url": "Patient?active=true"}}),
                json!({"request": {"method": "GET", "url": "Patient?nonsense=1"}}),
                json!({"request": {"method": "DELETE", "url": "Patient?identifier=1"}}),
                json!({"resource": {"resourceType": "Binary", "contentType": "text/plain", "data": patch},
                    "request": {"method": "PATCH", "url": "Patient/a"}}),
            ],
        ))
        .unwrap();
    let words: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(EntryAnswer::Saved(saved)) => format!("{} {:?}", saved.version(), saved.outcome()),
            Ok(EntryAnswer::Deleted(deleted)) => format!("deleted {deleted}"),
            Ok(EntryAnswer::Found(found)) => format!("found {}", found.len()),
            Ok(_) => panic!(),
            Err(error) => format!(
                "{:?} {}",
                error.kind(),
                error.json_path().unwrap_or_default()
            ),
        })
        .collect();
    assert_eq!(
        words,
        [
            "deleted false",
            "FhirMalformed entry[1].resource",
            "2 Updated",
            "found 1",
            "found 1",
            "SearchInvalid entry[5]",
            "deleted true",
            "FhirMalformed entry[7].resource",
        ]
    );
    assert_eq!(
        kind(fhir.batch(&bundle("transaction", &[]))),
        Some(ErrorKind::FhirMalformed)
    );
}

/// A bundle on many lines.
fn laid_out(kind: &str, entries: &[&str]) -> String {
    let entries = entries.join(",\n\n");
    format!(
        "\n{{\n\"resourceType\": \"Bundle\",\n\"type\": \"{kind}\",\n\"entry\": [\n{entries}\n]}}"
    )
}

/// The line of the one place in a text that is marked so, and the text without the mark.
fn unmarked(text: &str) -> (u64, String) {
    let (before, after) = text.split_once("@@").unwrap();
    assert!(!after.contains("@@"));
    (
        before.matches('\n').count() as u64 + 1,
        [before, after].concat(),
    )
}

#[test]
fn a_fault_is_told_by_its_line_in_the_bundle() {
    let home = Home::new();
    let fhir = home.fhir();
    put_patient(&fhir, "a", "1");
    let good = "{\n\"resource\": {\n\"resourceType\": \"Basic\",\n\"code\": {\n\"text\": \"x\"}},\n\
        \"request\": {\"method\": \"POST\", \"url\": \"Basic\"}}";
    let read = "{\n\n\"request\": {\n\"method\": \"GET\",\n\"url\": \"Patient/a\"}\n}";
    // Of a patch in base64, such as "[{},\n\n\n\n\n\n\n{" and "\n\n\n[{}]", the resource's line is told.
    for (bad, kind, place) in [
        (
            "{\n\"resource\": {\n\"resourceType\": \"Patient\",\n\n\"meta\":\n@@[]},\n\
             \"request\": {\"method\": \"POST\", \"url\": \"Patient\"}}",
            ErrorKind::FhirMalformed,
            "entry[2].meta",
        ),
        (
            "{\n\"resource\": @@{\n\"id\": \"b\",\n\"active\": true},\n\
             \"request\": {\"method\": \"PUT\",\n\"url\": \"Patient/b\"}}",
            ErrorKind::FhirMalformed,
            "entry[2].resourceType",
        ),
        (
            "{\n\"resource\":\n@@{\"resourceType\": \"Patient\",\n\"id\": \"a\"},\n\
             \"request\": {\"method\": \"PUT\", \"url\": \"Patient/a\",\n\"ifMatch\": \"W/\\\"9\\\"\"}}",
            ErrorKind::Conflict,
            "entry[2]",
        ),
        (
            "{\n\"resource\": {\n\"resourceType\": \"Patient\"},\n\
             \"request\": {\n\"method\": \"PUT\",\n\"url\":\n@@\"Patient\"}}",
            ErrorKind::FhirMalformed,
            "entry[2].request.url",
        ),
        (
            "{\n\"resource\": {\n\"resourceType\": \"Patient\"},\n\
             \"request\":\n@@{\"method\": \"PUT\", \"url\": \"Patient/a\",\n\
             \"ifMatch\": \"W/\\\"1\\\"\", \"ifNoneMatch\": \"*\"}}",
            ErrorKind::FhirMalformed,
            "entry[2].request",
        ),
        (
            "{\n\"resource\": @@{\n\"resourceType\": \"Binary\", \"contentType\": \"application/json-patch+json\",\n\
             \"data\": \"W3t9LAoKCgoKCgp7\"},\n\"request\": {\"method\": \"PATCH\", \"url\": \"Patient/a\"}}",
            ErrorKind::FhirMalformed,
            "entry[2].resource[1]",
        ),
        (
            "{\n\"resource\": @@{\n\"resourceType\": \"Binary\", \"contentType\": \"application/json-patch+json\",\n\
             \"data\": \"CgoKW3t9XQ==\"},\n\"request\": {\"method\": \"PATCH\", \"url\": \"Patient/a\"}}",
            ErrorKind::FhirMalformed,
            "entry[2].resource[0]",
        ),
        (
            "{\n\"request\":\n@@{\"method\": \"GET\",\n\"url\": \"Patient?nonsense=1\"}}",
            ErrorKind::SearchInvalid,
            "entry[2]",
        ),
    ] {
        for together in ["transaction", "batch"] {
            let (line, text) = unmarked(&laid_out(together, &[good, read, bad, good]));
            let error = match together {
                "batch" => fhir.batch(text.as_bytes()).unwrap().swap_remove(2),
                _ => fhir
                    .transaction(text.as_bytes())
                    .map(|mut all| all.swap_remove(2)),
            };
            let error = error.unwrap_err();
            assert_eq!(
                (error.kind(), error.json_path(), error.json_line()),
                (kind, Some(place), Some(line)),
                "{together}: {bad}"
            );
        }
    }
}

#[test]
fn real_transactions_come_in_with_their_links_followed() {
    let Some(folder) = data::unpacked("fhir/synthea-r4-500-patients.tar.xz") else {
        return;
    };
    let home = Home::new();
    let fhir = home.fhir();
    let mut count = 0;
    for file in data::json_files(&folder).iter().step_by(60) {
        let text = fs::read(file).unwrap();
        let answers = fhir.transaction(&text).unwrap();
        let given: Value = serde_json::from_slice(&text).unwrap();
        let entries = given["entry"].as_array().unwrap();
        assert_eq!(answers.len(), entries.len());
        let named: BTreeMap<_, _> = entries
            .iter()
            .zip(&answers)
            .map(|(entry, answer)| {
                (
                    entry["fullUrl"].as_str().unwrap(),
                    saved(answer).reference(),
                )
            })
            .collect();
        for (entry, answer) in entries.iter().zip(&answers) {
            let mut expected = entry["resource"].clone();
            rename(&mut expected, &named);
            let held = fhir.read(saved(answer).reference()).unwrap().unwrap();
            let mut held = value(&held);
            assert!(
                !held.to_string().contains("urn:uuid:")
                    || expected.to_string().contains("urn:uuid:")
            );
            for (value, id) in [(&mut held, None), (&mut expected, Some(saved(answer).id()))] {
                let members = value.as_object_mut().unwrap();
                if let Some(id) = id {
                    assert!(members.insert("id".to_owned(), json!(id)).is_some());
                }
                if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
                    meta.retain(|name, _| name != "versionId" && name != "lastUpdated");
                }
                members.retain(|name, value| {
                    name != "meta" || value.as_object().is_some_and(|meta| !meta.is_empty())
                });
            }
            assert_eq!(held, expected);
            count += 1;
        }
        let patient = saved(&answers[0]);
        let of_patient = format!("Observation?patient={}", patient.reference());
        let given = entries
            .iter()
            .filter(|entry| entry["resource"]["resourceType"] == "Observation");
        assert_eq!(
            fhir.search_count(&of_patient).unwrap(),
            given.count() as u64
        );
    }
    assert!(count > 2000, "{count}");
}

/// Puts what an entry is called now in the place of its `fullUrl`, wherever that is a whole text but
/// for an identifier's value.
fn rename(value: &mut Value, named: &BTreeMap<&str, &str>) {
    match value {
        Value::Object(members) => {
            members
                .iter_mut()
                .for_each(|(name, value)| match value.as_str() {
                    Some(text) if name != "value" => {
                        if let Some(named) = named.get(text) {
                            *value = json!(named);
                        }
                    }
                    _ => rename(value, named),
                })
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| rename(element, named)),
        _ => {}
    }
}
