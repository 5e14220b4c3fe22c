//! Whole stores: import, export, and everything about a person.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;

use serde_json::{Value, json};
use vitalock::{Class, ErrorKind, ExportFormat, FhirStore, Imported, Precondition, Progress};

use crate::support::data;
use crate::{Home, kind, value};

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn lines(resources: &[Value]) -> String {
    resources
        .iter()
        .map(|resource| format!("{resource}\n"))
        .collect()
}

fn import(fhir: &FhirStore, ndjson: &str) -> Imported {
    fhir.import_ndjson(&mut ndjson.as_bytes(), &mut go_on)
        .unwrap()
}

fn counts(imported: &Imported) -> [u64; 5] {
    [
        imported.created,
        imported.updated,
        imported.unchanged,
        imported.older,
        imported.refused,
    ]
}

fn exported(fhir: &FhirStore, format: ExportFormat) -> Vec<u8> {
    let mut out = Vec::new();
    fhir.export(fhir.all(), format, &mut out, &mut go_on)
        .unwrap();
    out
}

/// Synthea's bundles, taken in: what their links lead to is known by `Type/id`.
fn people(home: &Home, step: usize) -> Option<Vec<Value>> {
    let folder = data::unpacked("fhir/synthea-r4-500-patients.tar.xz")?;
    let files = data::json_files(&folder);
    let mut resources = BTreeMap::new();
    for file in files.iter().step_by(step) {
        let text = fs::read(file).unwrap();
        let imported = home.fhir().import_bundle(&text, &mut go_on).unwrap();
        let bundle: Value = serde_json::from_slice(&text).unwrap();
        let entries = bundle["entry"].as_array().unwrap();
        // People share their doctors.
        let [created, updated, unchanged, older, refused] = counts(&imported);
        assert_eq!(
            [created + unchanged, updated, older, refused],
            [entries.len() as u64, 0, 0, 0]
        );
        let again = home.fhir().import_bundle(&text, &mut go_on).unwrap();
        assert_eq!(counts(&again), [0, 0, entries.len() as u64, 0, 0]);
        for entry in entries {
            let resource = entry["resource"].clone();
            resources.insert(resource["id"].to_string(), resource);
        }
    }
    Some(resources.into_values().collect())
}

#[test]
fn what_is_exported_is_what_was_imported_and_comes_in_again() {
    let home = Home::new();
    let Some(people) = people(&home, 70) else {
        return;
    };
    let ndjson = exported(&home.fhir(), ExportFormat::Ndjson);
    let ndjson = String::from_utf8(ndjson).unwrap();
    assert_eq!(ndjson.lines().count(), people.len());
    assert!(
        !ndjson.contains("\"reference\":\"urn:uuid:"),
        "the links are followed"
    );
    let given: BTreeMap<_, _> = people
        .iter()
        .map(|it| (it["id"].clone().to_string(), it))
        .collect();
    for line in ndjson.lines() {
        let held: Value = serde_json::from_str(line).unwrap();
        let given = given[&held["id"].to_string()];
        assert_eq!(without_references(&held), without_references(given));
    }

    let other = Home::new();
    let imported = import(&other.fhir(), &ndjson);
    assert_eq!(counts(&imported), [people.len() as u64, 0, 0, 0, 0]);
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let again = String::from_utf8(exported(&other.fhir(), ExportFormat::Ndjson)).unwrap();
    assert_eq!(sorted(&again), sorted(&ndjson), "byte for byte");
    let bundle = exported(&other.fhir(), ExportFormat::Bundle);
    let third = Home::new();
    let imported = third.fhir().import_bundle(&bundle, &mut go_on).unwrap();
    assert_eq!(counts(&imported), [people.len() as u64, 0, 0, 0, 0]);
    let again = String::from_utf8(exported(&third.fhir(), ExportFormat::Ndjson)).unwrap();
    assert_eq!(sorted(&again), sorted(&ndjson));
    assert!(third.session().verify().unwrap().faults.is_empty());
}

fn without_references(resource: &Value) -> Value {
    match resource {
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "reference");
            members
                .map(|(name, value)| (name.clone(), without_references(value)))
                .collect()
        }
        Value::Array(elements) => elements.iter().map(without_references).collect(),
        other => other.clone(),
    }
}

#[test]
fn everything_about_a_person_is_the_official_compartment_and_what_it_refers_to() {
    let home = Home::new();
    if people(&home, 70).is_none() {
        return;
    }
    let definition = compartment();
    let all: Vec<Value> = home
        .fhir()
        .all()
        .map(|record| value(&record.unwrap()))
        .collect();
    let mut people = 0;
    for patient in home.found("Patient") {
        let patient = format!("Patient/{}", patient["id"].as_str().unwrap());
        let everything = home.fhir().everything(&patient).unwrap();
        let mut met = BTreeSet::new();
        for record in everything {
            let held = value(&record.unwrap());
            assert!(met.insert(named(&held)), "twice");
        }
        let mut expected = BTreeSet::from([patient.clone()]);
        let is_of_patient = |resource: &&Value| {
            definition.contains(resource["resourceType"].as_str().unwrap())
                && references(resource).contains(&patient)
        };
        expected.extend(all.iter().filter(is_of_patient).map(named));
        loop {
            let outside = all.iter().filter(|it| expected.contains(&named(it)));
            let outside = outside.flat_map(references).filter(|reference| {
                !definition.contains(reference.split('/').next().unwrap())
                    && all.iter().any(|it| named(it) == *reference)
            });
            let before = expected.len();
            expected.extend(outside.collect::<Vec<_>>());
            if expected.len() == before {
                break;
            }
        }
        assert_eq!(met, expected);
        assert!(
            met.iter()
                .any(|it| it.starts_with("Practitioner/") || it.starts_with("Organization/"))
        );
        people += 1;
    }
    assert!(people > 5);
    for nobody in ["Patient/none", "Observation/1", "Patient/", "Patient/a&b=c"] {
        assert_eq!(
            kind(home.fhir().everything(nobody)),
            Some(ErrorKind::NotFound)
        );
    }
}

fn named(resource: &Value) -> String {
    let text = |name: &str| resource[name].as_str().unwrap();
    format!("{}/{}", text("resourceType"), text("id"))
}

fn references(resource: &Value) -> BTreeSet<String> {
    match resource {
        Value::Object(members) => {
            let own = members
                .get("reference")
                .and_then(Value::as_str)
                .map(str::to_owned);
            own.into_iter()
                .chain(members.values().flat_map(references))
                .collect()
        }
        Value::Array(elements) => elements.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// The types that the official definition names.
fn compartment() -> BTreeSet<&'static str> {
    let table = include_str!("../../src/fhir/search/patient-compartment.tsv");
    table
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect()
}

#[test]
fn a_resource_that_refers_twice_comes_once() {
    let home = Home::new();
    let fhir = home.fhir();
    let by_itself = json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/p"}, "performer": [{"reference": "Patient/p"}, {"reference": "Practitioner/d"}]});
    let doctor = json!({"resourceType": "Practitioner", "id": "d"});
    let other = json!({"resourceType": "Patient", "id": "q", "link": [{"type": "seealso", "other": {"reference": "Patient/p"}}]});
    let patient = json!({"resourceType": "Patient", "id": "p", "link": [{"type": "seealso", "other": {"reference": "Patient/p"}}]});
    let imported = import(&fhir, &lines(&[by_itself, doctor, other, patient]));
    assert_eq!(counts(&imported), [4, 0, 0, 0, 0]);
    let met = fhir.everything("Patient/p").unwrap();
    let met: Vec<_> = met.map(|record| named(&value(&record.unwrap()))).collect();
    assert_eq!(
        met,
        ["Patient/p", "Observation/o", "Patient/q", "Practitioner/d"]
    );
}

#[test]
fn of_two_versions_the_later_stays_and_a_doubt_is_told() {
    let home = Home::new();
    let fhir = home.fhir();
    let version = |meta: Value, text: &str| {
        format!(
            "{}\n",
            json!({"resourceType": "Basic", "id": "b", "meta": meta, "code": {"text": text}})
        )
    };
    let held = || value(&fhir.read("Basic/b").unwrap().unwrap())["code"]["text"].clone();
    let number = |number: u32| json!({"versionId": number.to_string()});
    assert_eq!(
        counts(&import(&fhir, &version(json!({}), "a"))),
        [1, 0, 0, 0, 0]
    );
    assert_eq!(
        counts(&import(&fhir, &version(json!({}), "a"))),
        [0, 0, 1, 0, 0]
    );
    assert_eq!(
        counts(&import(&fhir, &version(json!({}), "b"))),
        [0, 1, 0, 0, 0]
    );
    assert_eq!(
        counts(&import(&fhir, &version(number(4), "c"))),
        [0, 1, 0, 0, 0]
    );
    assert_eq!(
        counts(&import(&fhir, &version(number(3), "d"))),
        [0, 0, 0, 1, 0]
    );
    assert_eq!(held(), "c");
    for doubtful in [version(number(4), "e"), version(json!({}), "f")] {
        let imported = import(&fhir, &format!("\n{doubtful}"));
        assert_eq!(counts(&imported), [0, 0, 0, 0, 1]);
        let fault = &imported.faults[0];
        assert_eq!(
            (fault.kind(), fault.json_path()),
            (ErrorKind::Conflict, Some("line[1]"))
        );
    }
    assert_eq!(held(), "c");
    // What was changed here is not lost to a server that has not seen it.
    let mine = json!({"resourceType": "Basic", "id": "b", "code": {"text": "mine"}}).to_string();
    let saved = fhir
        .update(mine.as_bytes(), Precondition::IfMatch(4))
        .unwrap();
    assert_eq!(saved.version(), 5);
    assert_eq!(
        counts(&import(&fhir, &version(number(5), "theirs"))),
        [0, 0, 0, 0, 1]
    );
    assert_eq!(
        counts(&import(&fhir, &version(number(4), "c"))),
        [0, 0, 0, 1, 0]
    );
    assert_eq!(held(), "mine");
    assert_eq!(
        counts(&import(&fhir, &version(number(6), "theirs"))),
        [0, 1, 0, 0, 0]
    );
    // Twice in one source: the second is held against the first.
    let both = version(number(7), "g") + &version(number(8), "h");
    assert_eq!(counts(&import(&fhir, &both)), [0, 2, 0, 0, 0]);
    assert_eq!(held(), "h");
}

#[test]
fn a_line_that_is_no_resource_is_told_and_stops_nothing() {
    let home = Home::new();
    let canary = "Zanzibar";
    let good = |id: usize| format!("{{\"resourceType\":\"Basic\",\"id\":\"{id}\"}}\r\n");
    let deep = format!(
        "{{\"resourceType\":\"Basic\",\"id\":\"d\",\"a\":{}{}}}\n",
        "[".repeat(100),
        "]".repeat(100)
    );
    let long = format!(
        "{{\"resourceType\":\"Basic\",\"id\":\"l\",\"a\":\"{}\"}}\n",
        canary.repeat(3 << 20)
    );
    let bad = format!(
        "{}\n{canary}\n{{\"id\":\"x\"}}\n{{\"resourceType\":\"Basic\"}}\n{deep}{long}{}\n\u{feff}{}",
        good(0),
        good(1).trim_end(),
        "{\"resourceType\":\"Basic\",\"id\":\"e\""
    );
    let imported = import(&home.fhir(), &bad);
    assert_eq!(counts(&imported), [2, 0, 0, 0, 6]);
    let told: Vec<_> = imported
        .faults
        .iter()
        .map(|fault| (fault.kind(), fault.json_path().unwrap_or_default()))
        .collect();
    assert_eq!(
        told,
        [
            (ErrorKind::FhirMalformed, "line[2]"),
            (ErrorKind::FhirMalformed, "line[3].resourceType"),
            (ErrorKind::FhirMalformed, "line[4].id"),
            (ErrorKind::FhirTooDeep, "line[5]"),
            (ErrorKind::FhirTooLarge, "line[6]"),
            (ErrorKind::FhirMalformed, "line[8]"),
        ]
    );
    let lines: Vec<_> = imported.faults.iter().map(|it| it.json_line()).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7, 9].map(Some));
    assert!(!format!("{imported:?}").contains(canary));
    let none: Vec<_> = (0..150).map(|_| "nonsense\n").collect();
    let imported = import(&home.fhir(), &none.concat());
    assert_eq!((imported.refused, imported.faults.len()), (150, 100));
    assert_eq!(home.found("Basic").len(), 2);
}

#[test]
fn an_entry_that_is_no_resource_is_told_by_its_line_in_the_bundle() {
    let home = Home::new();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let bundle = [
        "\r\n{\"resourceType\": \"Bundle\",\n\"entry\": [",
        "{\"resource\": {\"resourceType\": \"Basic\",",
        "\"id\": \"good\"}}, {\"fullUrl\":",
        "\"http://a.org/Basic/1\", \"resource\": {", // 6: entry[1], the first of two versions
        "\"resourceType\": \"Basic\", \"id\": \"twice\", \"meta\": {\"versionId\": \"2\"}, \"language\": \"a\"}},",
        "{\"request\": {\"method\": \"DELETE\", \"url\": \"Basic/1\"}},",
        "{\"resource\":",
        "{", // 10: entry[3]
        "\"resourceType\": \"Basic\"}}, {\"resource\": {\"resourceType\":",
        "7}}, {\"resource\":", // 12: entry[4]
        "[1,",                 // 13: entry[5]
        "2]}, {\"resource\":",
        "{\"resourceType\": \"Basic\", \"id\": \"twice\",", // 15: entry[6]
        "\"meta\": {\"versionId\": \"2\"}, \"language\": \"b\"}}]}",
    ]
    .join("\n");
    let imported = home
        .fhir()
        .import_bundle(bundle.as_bytes(), &mut go_on)
        .unwrap();
    assert_eq!(counts(&imported), [2, 0, 0, 0, 4]);
    let told: Vec<_> = imported
        .faults
        .iter()
        .map(|fault| (fault.kind(), fault.json_path().unwrap(), fault.json_line()))
        .collect();
    let malformed = |place, line| (ErrorKind::FhirMalformed, place, Some(line));
    assert_eq!(
        told,
        [
            malformed("entry[3].id", 10),
            malformed("entry[4].resourceType", 12),
            malformed("entry[5]", 13),
            (ErrorKind::Conflict, "entry[6]", Some(15)),
        ]
    );

    // What is no Bundle as a whole is told so, and nothing of it is taken in.
    for (more, kind, path, line) in [
        ("\n}}", ErrorKind::FhirMalformed, Some("entry[7]"), 17),
        (
            &format!(",\n\"note\":\n{deep}{deep}"),
            ErrorKind::FhirMalformed,
            Some("entry[7].note"),
            18,
        ),
    ] {
        let broken = bundle.replace("\"b\"}}]}", &format!("\"b\"}}}}, {{\"a\": 1{more}"));
        let error = home.fhir().import_bundle(broken.as_bytes(), &mut go_on);
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind(), error.json_path(), error.json_line()),
            (kind, path, Some(line))
        );
    }
    assert_eq!(home.found("Basic").len(), 2);
}

#[test]
fn an_import_that_is_stopped_goes_on_where_it_was() {
    let home = Home::new();
    let fhir = home.fhir();
    let all: Vec<_> = (0..5000)
        .map(|at| json!({"resourceType": "Basic", "id": at.to_string(), "code": {"text": "x"}}))
        .collect();
    let ndjson = lines(&all);
    let mut asked = Vec::new();
    let stop = fhir.import_ndjson(&mut ndjson.as_bytes(), &mut |progress| {
        asked.push((progress.resources, progress.bytes));
        match asked.len() {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!(kind(stop), Some(ErrorKind::Cancelled));
    assert_eq!(
        asked.iter().map(|(done, _)| *done).collect::<Vec<_>>(),
        [2000, 4000]
    );
    assert_eq!(fhir.search_count("Basic").unwrap(), 4000);
    assert_eq!(counts(&import(&fhir, &ndjson)), [1000, 0, 4000, 0, 0]);

    // A source that breaks off says so, and what came before is there.
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::Error::from_raw_os_error(5)),
                count => Ok(count),
            }
        }
    }
    let error = home
        .fhir()
        .source("b")
        .import_ndjson(&mut Broken(ndjson.as_bytes()), &mut go_on);
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.os_code()), (ErrorKind::Io, Some(5)));
    assert_eq!(fhir.search_count("Basic").unwrap(), 9000);

    let mut out = Vec::new();
    let stop = fhir.export(
        fhir.all(),
        ExportFormat::Ndjson,
        &mut out,
        &mut |progress| match progress.resources {
            10 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        },
    );
    assert_eq!(kind(stop), Some(ErrorKind::Cancelled));
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 10);
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(28))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let full = fhir.export(fhir.all(), ExportFormat::Bundle, &mut Full, &mut go_on);
    assert_eq!(full.unwrap_err().os_code(), Some(28));
}

#[test]
fn a_lock_stops_an_import_an_export_and_everything() {
    let mut home = Home::new();
    let patient = json!({"resourceType": "Patient", "id": "p"});
    let all: Vec<_> = (0..5000)
        .map(|at| json!({"resourceType": "Basic", "id": at.to_string(), "subject": {"reference": "Patient/p"}}))
        .collect();
    let imported = import(&home.fhir(), &lines(&[patient]));
    assert_eq!(imported.created, 1);
    let session = home.session().clone();
    let stopped = home
        .fhir()
        .import_ndjson(&mut lines(&all).as_bytes(), &mut |_| {
            session.lock();
            ControlFlow::Continue(())
        });
    assert_eq!(kind(stopped), Some(ErrorKind::Locked));
    home.unlock_again();
    assert_eq!(home.fhir().search_count("Basic").unwrap(), 2000);
    let (fhir, session) = (home.fhir(), home.session().clone());
    let person = fhir.everything("Patient/p").unwrap();
    let mut out = Vec::new();
    let stopped = fhir.export(person, ExportFormat::Bundle, &mut out, &mut |progress| {
        if progress.resources == 600 {
            session.lock();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(kind(stopped), Some(ErrorKind::Locked));
}

#[test]
fn what_is_imported_for_priority_is_there_with_a_lease() {
    let home = Home::new();
    let basic = lines(&[json!({"resourceType": "Basic", "id": "1"})]);
    let priority = || home.fhir().class(Class::Priority);
    let refused = priority().import_ndjson(&mut basic.as_bytes(), &mut go_on);
    assert_eq!(kind(refused), Some(ErrorKind::LeaseRequired));
    let lease = home.lease();
    let imported = import(&lease.fhir().class(Class::Priority), &basic);
    assert_eq!(imported.created, 1);
    assert_eq!(lease.fhir().search_count("Basic").unwrap(), 1);
    drop(lease);
    assert_eq!(home.fhir().search_count("Basic").unwrap(), 0);
    assert!(exported(&home.fhir(), ExportFormat::Ndjson).is_empty());
}
