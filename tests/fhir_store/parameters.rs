//! Search parameters that an app adds, and the resources that were there before.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use vitalock::{Class, ErrorKind, FhirStore, Indexing, Precondition, Record};

use crate::Home;
use crate::support::data;

const MAIDEN: &str = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName";

fn parameter(code: &str, kind: &str, base: &[&str], expression: &str) -> Value {
    json!({
        "resourceType": "SearchParameter",
        "url": format!("https://example.org/sp/{code}"),
        "code": code,
        "base": base,
        "type": kind,
        "expression": expression,
    })
}

fn maiden() -> Value {
    let expression = format!("Patient.extension('{MAIDEN}').value");
    parameter("maiden", "string", &["Patient"], &expression)
}

fn add(fhir: &FhirStore, parameter: &Value) -> bool {
    fhir.add_search_parameter(parameter.to_string().as_bytes())
        .unwrap()
}

/// Runs the job to its end; how many it looked at.
fn index(fhir: &FhirStore) -> u64 {
    let mut looked_at = [0; 3];
    fhir.index(&mut |indexing| {
        assert!(indexing.looked_at <= indexing.resources);
        let at = Class::ALL.iter().position(|it| *it == indexing.class);
        looked_at[at.unwrap()] = indexing.looked_at;
        ControlFlow::Continue(())
    })
    .unwrap();
    looked_at.iter().sum()
}

fn ids(fhir: &FhirStore, search: &str) -> Vec<String> {
    let found = fhir.search(search).unwrap();
    let id = |record: Record| {
        let json: Value = serde_json::from_slice(record.body()).unwrap();
        json["id"].as_str().unwrap().to_owned()
    };
    let mut ids: Vec<_> = found.map(|record| id(record.unwrap())).collect();
    ids.sort();
    ids
}

fn pending(fhir: &FhirStore, search: &str) {
    let Err(error) = fhir.search(search) else {
        panic!("{search} found a part");
    };
    assert_eq!(error.kind(), ErrorKind::SearchPending);
    assert!(error.search_parameter().is_some());
    let counted = fhir.search_count(search).unwrap_err();
    assert_eq!(counted.kind(), ErrorKind::SearchPending);
}

fn person(id: usize, maiden: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "id": format!("p{id}"),
        "extension": [{"url": MAIDEN, "valueString": maiden}],
        "name": [{"family": "Sand", "suffix": ["MD"]}],
    })
}

fn put(fhir: &FhirStore, resource: &Value) {
    fhir.update(resource.to_string().as_bytes(), Precondition::None)
        .unwrap();
}

fn sound(home: &Home) {
    let found = home.session().verify().unwrap();
    assert_eq!(found.faults, []);
}

#[test]
fn the_job_goes_on_where_it_was_stopped_and_nothing_is_found_in_part() {
    let mut home = Home::new();
    let fhir = home.fhir();
    let lines = (0..900).map(|id| format!("{}\n", person(id, ["Dupin", "Öhmann"][id % 2])));
    let lines: String = lines.collect();
    let go_on = &mut |_| ControlFlow::Continue(());
    let imported = fhir.import_ndjson(&mut lines.as_bytes(), go_on).unwrap();
    assert_eq!(imported.created, 900);
    let error = fhir.search("Patient?maiden=dupin").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SearchInvalid);
    assert!(add(&fhir, &maiden()));
    assert!(!add(&fhir, &maiden()), "it is there as it is");
    pending(&fhir, "Patient?maiden=dupin");
    pending(&fhir, "Patient?_sort=maiden");
    pending(&fhir, "Observation?patient.maiden=dupin");
    assert!(!fhir.added_search_parameters().unwrap()[0].is_indexed);
    sound(&home);

    let mut steps = Vec::new();
    let stopped = fhir.index(&mut |indexing: Indexing| {
        steps.push(indexing);
        match steps.len() {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!((steps[1].looked_at, steps[1].resources), (512, 900));
    pending(&fhir, "Patient?maiden=dupin");
    sound(&home);
    // What is written meanwhile is found as well, and what changes by what it says then.
    put(&fhir, &person(900, "dùpin"));
    put(&fhir, &person(2, "Sand"));
    put(&fhir, &person(898, "Sand"));

    home.unlock_again();
    let fhir = home.fhir();
    pending(&fhir, "Patient?maiden=dupin");
    sound(&home);
    assert_eq!(index(&fhir), 901 - 512);
    assert_eq!(index(&fhir), 0, "there is nothing left to do");
    assert!(fhir.added_search_parameters().unwrap()[0].is_indexed);
    assert_eq!(ids(&fhir, "Patient?maiden=dupin").len(), 450 - 2 + 1);
    assert_eq!(ids(&fhir, "Patient?maiden=ohmann").len(), 450);
    assert_eq!(ids(&fhir, "Patient?maiden:exact=Sand"), ["p2", "p898"]);
    assert_eq!(
        fhir.search_count("Patient?maiden:missing=false").unwrap(),
        901
    );
    sound(&home);
    fhir.delete("Patient/p2", Precondition::None).unwrap();
    sound(&home);

    assert!(
        fhir.remove_search_parameter("https://example.org/sp/maiden")
            .unwrap()
    );
    assert!(
        !fhir
            .remove_search_parameter("https://example.org/sp/maiden")
            .unwrap()
    );
    let error = fhir.search("Patient?maiden=dupin").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SearchInvalid);
    sound(&home);
    assert_eq!(index(&fhir), 900);
    sound(&home);
    assert_eq!(fhir.search_count("Patient?family=sand").unwrap(), 900);
}

#[test]
fn what_is_replaced_is_found_by_what_it_says_now() {
    let home = Home::new();
    let fhir = home.fhir();
    put(&fhir, &person(1, "Dupin"));
    assert!(add(
        &fhir,
        &parameter("title", "string", &["Patient"], "Patient.name.suffix")
    ));
    index(&fhir);
    assert_eq!(ids(&fhir, "Patient?title=md"), ["p1"]);
    assert!(add(
        &fhir,
        &parameter("title", "string", &["Patient"], "Patient.name.family")
    ));
    pending(&fhir, "Patient?title=md");
    index(&fhir);
    assert_eq!(ids(&fhir, "Patient?title=md"), [""; 0]);
    assert_eq!(ids(&fhir, "Patient?title=sand"), ["p1"]);
    // Two types at once, and one of them with an official parameter of that name.
    let bases = ["Patient", "Practitioner"];
    let both = parameter(
        "suffix",
        "string",
        &bases,
        "Patient.name.suffix | Practitioner.name.suffix",
    );
    assert!(add(&fhir, &both));
    let taken = parameter("birthdate", "date", &bases, "Patient.birthDate");
    let taken = fhir.add_search_parameter(taken.to_string().as_bytes());
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::Conflict);
    index(&fhir);
    put(
        &fhir,
        &json!({"resourceType": "Practitioner", "id": "d", "name": [{"suffix": ["PhD"]}]}),
    );
    assert_eq!(ids(&fhir, "Practitioner?suffix=phd"), ["d"]);
    assert_eq!(ids(&fhir, "Patient?suffix=md"), ["p1"]);
    sound(&home);
}

#[test]
fn the_resources_of_priority_wait_for_a_lease() {
    let home = Home::new();
    {
        let lease = home.lease();
        put(&lease.fhir().class(Class::Priority), &person(1, "Dupin"));
    }
    let fhir = home.fhir();
    put(&fhir, &person(2, "Dupin"));
    add(&fhir, &maiden());
    index(&fhir);
    assert_eq!(ids(&fhir, "Patient?maiden=dupin"), ["p2"]);
    let lease = home.lease();
    pending(&lease.fhir(), "Patient?maiden=dupin");
    put(&lease.fhir().class(Class::Priority), &person(3, "Dupin"));
    assert_eq!(lease.verify().unwrap().faults, []);
    assert_eq!(index(&lease.fhir()), 2);
    assert_eq!(
        ids(&lease.fhir(), "Patient?maiden=dupin"),
        ["p1", "p2", "p3"]
    );
    assert_eq!(lease.verify().unwrap().faults, []);
}

#[test]
fn a_reference_leads_along_chains_and_inclusions() {
    let home = Home::new();
    let fhir = home.fhir();
    put(&fhir, &person(1, "Dupin"));
    let url = "https://example.org/second-reader";
    put(
        &fhir,
        &json!({
            "resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"text": "x"},
            "extension": [{"url": url, "valueReference": {"reference": "Patient/p1"}}],
        }),
    );
    let mut reader = parameter(
        "reader",
        "reference",
        &["DiagnosticReport"],
        &format!("DiagnosticReport.extension('{url}').value"),
    );
    reader["target"] = json!(["Patient"]);
    add(&fhir, &reader);
    index(&fhir);
    assert_eq!(ids(&fhir, "DiagnosticReport?reader=Patient/p1"), ["r"]);
    assert_eq!(ids(&fhir, "DiagnosticReport?reader.family=sand"), ["r"]);
    assert_eq!(
        ids(&fhir, "Patient?_has:DiagnosticReport:reader:status=final"),
        ["p1"]
    );
    let mut found = fhir
        .search("Patient?_revinclude=DiagnosticReport:reader")
        .unwrap();
    assert_eq!(found.by_ref().count(), 1);
    assert_eq!(found.included().unwrap().len(), 1);
}

#[test]
fn what_is_no_search_parameter_is_refused_with_its_place() {
    let home = Home::new();
    let fhir = home.fhir();
    let good = maiden();
    let with = |name: &str, value: Value| {
        let mut one = good.clone();
        one[name] = value;
        one
    };
    let malformed = ErrorKind::FhirMalformed;
    for (name, value, kind) in [
        ("resourceType", json!("Patient"), malformed),
        ("url", json!(null), malformed),
        ("code", json!("a b"), malformed),
        ("code", json!("a:b"), malformed),
        ("code", json!("x".repeat(65)), malformed),
        ("code", json!("gender"), ErrorKind::Conflict),
        ("base", json!([]), malformed),
        ("base", json!(["Person", "Nothing"]), malformed),
        ("base", json!([7]), malformed),
        ("type", json!("colour"), malformed),
        ("type", json!("composite"), ErrorKind::SearchUnsupported),
        ("target", json!(["Nothing"]), malformed),
        ("expression", json!(""), malformed),
        (
            "expression",
            json!("Patient.name.matches('x')"),
            ErrorKind::SearchUnsupported,
        ),
        ("expression", json!("x".repeat(5_000)), malformed),
    ] {
        let error = fhir.add_search_parameter(with(name, value).to_string().as_bytes());
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.json_path()), (kind, Some(name)));
    }
    assert!(fhir.added_search_parameters().unwrap().is_empty());
    // One for every type of resource; there may be 1,024.
    for at in 0..100 {
        let all = parameter(
            &format!("c{at}"),
            "uri",
            &["Resource"],
            "Resource.meta.source",
        );
        let added = fhir.add_search_parameter(all.to_string().as_bytes());
        match added {
            Ok(added) => assert!(added),
            Err(error) => {
                assert_eq!((error.kind(), at), (ErrorKind::FhirTooMany, 6));
                break;
            }
        }
        assert!(at < 6, "there is no end of them");
    }
}

/// What servers call `mothersMaidenName`, over real people.
#[test]
fn real_people_are_found_by_an_extension() {
    let Some(folder) = data::unpacked("fhir/synthea-r4-500-patients.tar.xz") else {
        return;
    };
    let home = Home::new();
    let fhir = home.fhir();
    let mut wanted: Vec<(String, String)> = Vec::new();
    for file in data::json_files(&folder).iter().step_by(100) {
        let text = std::fs::read(file).unwrap();
        let go_on = &mut |_| ControlFlow::Continue(());
        assert_eq!(fhir.import_bundle(&text, go_on).unwrap().refused, 0);
        let bundle: Value = serde_json::from_slice(&text).unwrap();
        let patient = &bundle["entry"][0]["resource"];
        let extensions = patient["extension"].as_array().unwrap();
        let maiden = extensions.iter().find(|it| it["url"] == MAIDEN).unwrap();
        wanted.push((
            maiden["valueString"].as_str().unwrap().to_owned(),
            patient["id"].as_str().unwrap().to_owned(),
        ));
    }
    add(&fhir, &maiden());
    let resources = index(&fhir);
    assert!(resources > 1_000, "{resources}");
    for (name, id) in &wanted {
        let found = ids(&fhir, &format!("Patient?maiden:exact={name}"));
        assert!(found.contains(id));
        let same = wanted.iter().filter(|(other, _)| other == name);
        assert_eq!(found.len(), same.count());
    }
    sound(&home);
}
