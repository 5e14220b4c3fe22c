//! The FHIR reader against hostile documents and real ones.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]

#[path = "support/data.rs"]
mod data;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;
use vitalock::fhir::{Limits, Reader, Resource};
use vitalock::{Error, ErrorKind};

const CANARY: &str = "Zanzibar";

/// What a hostile document is read as.
#[derive(Clone, Copy, Debug)]
enum As {
    Resource,
    Bundle,
    Ndjson,
}

fn first_error(reader: &Reader, kind: As, json: &[u8]) -> Option<Error> {
    match kind {
        As::Resource => reader.resource(json).err(),
        As::Bundle => reader.bundle(json).err(),
        As::Ndjson => reader.ndjson(json).find_map(Result::err),
    }
}

fn small_reader() -> Reader {
    Reader::with_limits(
        Limits::default()
            .max_document_bytes(4096)
            .max_resource_bytes(512)
            .max_resources(3)
            .max_depth(8),
    )
}

#[test]
fn every_hostile_document_is_refused_with_its_kind_and_place_and_without_its_words() {
    use ErrorKind::{FhirMalformed, FhirTooDeep, FhirTooLarge, FhirTooMany};
    let entry = |json: &str| {
        format!(r#"{{"resourceType":"Bundle","entry":[{{}},{json}]}}"#)
            .replace("{}", r#"{"request":{"method":"DELETE","url":"Zanzibar"}}"#)
    };
    let patient = r#"{"resource":{"resourceType":"Patient","id":"Zanzibar"}}"#;
    let long = "Zanzibar".repeat(100);
    let deep = format!("{}{}", "[".repeat(9), "]".repeat(9));
    let table: Vec<(As, String, ErrorKind, Option<&str>)> = vec![
        // The document as a whole.
        (As::Resource, String::new(), FhirMalformed, None),
        (As::Resource, "Zanzibar".into(), FhirMalformed, None),
        (As::Resource, r#"["Zanzibar"]"#.into(), FhirMalformed, None),
        (As::Resource, r#""Zanzibar""#.into(), FhirMalformed, None),
        (As::Resource, "null".into(), FhirMalformed, None),
        (
            As::Resource,
            "\u{feff}{\"resourceType\":\"Basic\"}".into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic"} Zanzibar"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic"}{}"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","Zanzibar":NaN}"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","Zanzibar":01}"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","Zanzibar":1,}"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","Zanzibar":"x"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic" // Zanzibar"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            "{\"resourceType\":\"Basic\",\"Zanzibar\":\"\n\"}".into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","Zanzibar":"\ud800"}"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","Zanzibar":"\x"}"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Resource,
            format!(r#"{{"resourceType":"Basic","Zanzibar":{deep}}}"#),
            FhirTooDeep,
            None,
        ),
        (As::Resource, "[".repeat(4096), FhirMalformed, None),
        (
            As::Resource,
            "{\"subject\":".repeat(300),
            FhirTooDeep,
            Some("subject"),
        ),
        (
            As::Resource,
            format!(r#"{{"resourceType":"Basic","a":"{long}"}}"#),
            FhirTooLarge,
            None,
        ),
        (As::Resource, long.repeat(6), FhirTooLarge, None),
        (As::Bundle, long.repeat(6), FhirTooLarge, None),
        (As::Ndjson, long.repeat(6), FhirTooLarge, None),
        // What a resource is.
        (
            As::Resource,
            "{}".into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Resource,
            r#"{"resourceType":7}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"zanzibar"}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"Zanzibar!"}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"Zanzibar7"}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Resource,
            format!(r#"{{"resourceType":"Z{}"}}"#, "z".repeat(64)),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","resourceType":"Zanzibar"}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","id":"a","\u0069d":"Zanzibar"}"#.into(),
            FhirMalformed,
            Some("id"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","subject":{"reference":"a","reference":"Zanzibar"}}"#.into(),
            FhirMalformed,
            Some("subject.reference"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","period":{"start":"2020","start":"Zanzibar"}}"#.into(),
            FhirMalformed,
            Some("period.start"),
        ),
        (
            As::Resource,
            r#"{"resourceType":"Basic","meta":{"versionId":"1","versionId":"Zanzibar"}}"#.into(),
            FhirMalformed,
            Some("meta.versionId"),
        ),
        // Bundles.
        (
            As::Bundle,
            r#"{"resourceType":"Zanzibar","entry":[]}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Bundle,
            r#"{"entry":[]}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Bundle,
            r#"{"resourceType":"Bundle","entry":[],"entry":["Zanzibar"]}"#.into(),
            FhirMalformed,
            Some("entry"),
        ),
        (
            As::Bundle,
            r#"{"resourceType":"Bundle","resourceType":"Bundle"}"#.into(),
            FhirMalformed,
            Some("resourceType"),
        ),
        (
            As::Bundle,
            r#"{"resourceType":"Bundle","entry":{"Zanzibar":1}}"#.into(),
            FhirMalformed,
            Some("entry"),
        ),
        (
            As::Bundle,
            r#"{"resourceType":"Bundle","entry":null}"#.into(),
            FhirMalformed,
            Some("entry"),
        ),
        (
            As::Bundle,
            r#"{"resourceType":"Bundle","entry":[]} Zanzibar"#.into(),
            FhirMalformed,
            None,
        ),
        (
            As::Bundle,
            entry(r#""Zanzibar""#),
            FhirMalformed,
            Some("entry[1]"),
        ),
        (
            As::Bundle,
            entry(r#"{"fullUrl":"Zanzibar"}"#),
            FhirMalformed,
            Some("entry[1]"),
        ),
        (
            As::Bundle,
            entry(r#"{"Zanzibar":nul}"#),
            FhirMalformed,
            Some("entry[1]"),
        ),
        (
            As::Bundle,
            entry(r#"{"resource":null}"#),
            FhirMalformed,
            Some("entry[1].resource"),
        ),
        (
            As::Bundle,
            entry(r#"{"resource":["Zanzibar"]}"#),
            FhirMalformed,
            Some("entry[1].resource"),
        ),
        (
            As::Bundle,
            entry(r#"{"resource":{"Zanzibar":+1}}"#),
            FhirMalformed,
            Some("entry[1].resource"),
        ),
        (
            As::Bundle,
            entry(r#"{"resource":{"id":"Zanzibar"}}"#),
            FhirMalformed,
            Some("entry[1].resource.resourceType"),
        ),
        (
            As::Bundle,
            entry(
                r#"{"resource":{"resourceType":"Basic","meta":{"versionId":1,"versionId":"Zanzibar"}}}"#,
            ),
            FhirMalformed,
            Some("entry[1].resource.meta.versionId"),
        ),
        (
            As::Bundle,
            entry(r#"{"resource":{"resourceType":"Basic","Zanzibar":"\ude00"}}"#),
            FhirMalformed,
            Some("entry[1].resource"),
        ),
        (
            As::Bundle,
            entry(&format!(r#"{{"resource":{{"Zanzibar":{deep}}}}}"#)),
            FhirTooDeep,
            Some("entry[1].resource"),
        ),
        (
            As::Bundle,
            entry(&format!(r#"{{"Zanzibar":{deep}}}"#)),
            FhirTooDeep,
            Some("entry[1]"),
        ),
        (
            As::Bundle,
            entry(&format!(r#"{{"resource":{{"Zanzibar":"{long}"}}}}"#)),
            FhirTooLarge,
            Some("entry[1].resource"),
        ),
        (
            As::Bundle,
            entry(&[patient; 3].join(",")),
            FhirTooMany,
            Some("entry[3]"),
        ),
        // The first of two faults is the one that is told.
        (
            As::Bundle,
            entry(&format!(r#"{{"resource":7}},{{"resource":{deep}}}"#)),
            FhirMalformed,
            Some("entry[1].resource"),
        ),
        // NDJSON.
        (
            As::Ndjson,
            "\n{\"id\":\"Zanzibar\"}".into(),
            FhirMalformed,
            Some("line[1].resourceType"),
        ),
        (
            As::Ndjson,
            "\u{feff}{\"resourceType\":\"Basic\"}".into(),
            FhirMalformed,
            Some("line[0]"),
        ),
        (
            As::Ndjson,
            "{\"resourceType\":\"Basic\"}{\"a\":\"Zanzibar\"}".into(),
            FhirMalformed,
            Some("line[0]"),
        ),
        (
            As::Ndjson,
            "{\"resourceType\":\n\"Basic\"}".into(),
            FhirMalformed,
            Some("line[0].resourceType"),
        ),
        (
            As::Ndjson,
            format!(" \r\n\t\n{{\"meta\":{deep}}}"),
            FhirTooDeep,
            Some("line[2].meta"),
        ),
        (
            As::Ndjson,
            format!("{{\"a\":\"{long}\"}}"),
            FhirTooLarge,
            Some("line[0]"),
        ),
        (
            As::Ndjson,
            "{\"resourceType\":\"Basic\"}\n\n".repeat(4),
            FhirTooMany,
            Some("line[6]"),
        ),
    ];
    for (kind, json, expected, place) in table {
        let error = first_error(&small_reader(), kind, json.as_bytes())
            .unwrap_or_else(|| panic!("{kind:?} is taken: {json}"));
        assert_eq!(
            (error.kind(), error.json_path()),
            (expected, place),
            "{kind:?}: {json}"
        );
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(
                !text.to_lowercase().contains(&CANARY.to_lowercase()),
                "{text}"
            );
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    let json =
        b"{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"id\":\"Zanzibar\xff\"}}]}";
    let error = Reader::new().bundle(json).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FhirMalformed);
    assert_eq!(error.json_path(), Some("entry[0].resource"));
    let error = Reader::new()
        .resource(b"{\"resourceType\":\"Basic\"}\xff")
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.json_path()),
        (ErrorKind::FhirMalformed, None)
    );
}

#[test]
fn hostile_documents_take_time_in_step_with_their_length() {
    let size = 16 << 20;
    let entries = |entry: &str| {
        let count = size / (entry.len() + 1);
        let entries = vec![entry; count].join(",");
        format!(r#"{{"resourceType":"Bundle","entry":[{entries}]}}"#)
    };
    let same_url = r#"{"fullUrl":"urn:x:1","resource":{"resourceType":"Basic","subject":{"reference":"urn:x:1"}}}"#;
    let documents = [
        ("deep", "[".repeat(size)),
        ("deep objects", "{\"a\":".repeat(size / 5)),
        (
            "one string",
            format!(r#"{{"resourceType":"Basic","id":"{}"}}"#, "x".repeat(size)),
        ),
        (
            "escapes",
            format!(
                r#"{{"resourceType":"Basic","id":"{}"}}"#,
                "\\n".repeat(size / 2)
            ),
        ),
        (
            "long name",
            format!(
                r#"{{"{}":1,"resourceType":"Basic"}}"#,
                "\\n".repeat(size / 2)
            ),
        ),
        (
            "digits",
            format!(r#"{{"resourceType":"Basic","id":{}}}"#, "1".repeat(size)),
        ),
        (
            "members",
            format!(
                r#"{{"resourceType":"Basic"{}}}"#,
                ",\"a\":1".repeat(size / 6)
            ),
        ),
        (
            "events",
            format!(
                r#"{{"resourceType":"Basic","effectiveTiming":{{"event":[1{}]}}}}"#,
                ",1".repeat(size / 2)
            ),
        ),
        ("empty entries", entries("{}")),
        ("deletions", entries(r#"{"request":0}"#)),
        ("one fullUrl", entries(same_url)),
        ("empty lines", "\n".repeat(size)),
        ("broken lines", "{\n".repeat(size / 2)),
    ];
    let limits = Limits::default()
        .max_resources(usize::MAX)
        .max_resource_bytes(usize::MAX);
    let reader = Reader::with_limits(limits);
    for (name, document) in documents {
        let start = Instant::now();
        let json = document.as_bytes();
        let _ = (reader.resource(json), reader.bundle(json));
        assert!(reader.ndjson(json).count() <= size);
        // A megabyte takes well under a second; anything quadratic would take hours.
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{name}: {:?}",
            start.elapsed()
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read_every_way(&bytes);
    }

    #[test]
    fn no_near_json_makes_the_reader_panic(
        tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..64),
    ) {
        read_every_way(tokens.concat().as_bytes());
    }

    #[test]
    fn no_broken_bundle_makes_the_reader_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut json = EXAMPLE.to_vec();
        *at.get_mut(&mut json) = byte;
        read_every_way(&json);
        read_every_way(&EXAMPLE[..cut.index(EXAMPLE.len())]);
    }
}

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u",
    "d83d",
    "\\ude00",
    "é",
    "\n",
    " ",
    "1.00",
    "-",
    "e",
    "null",
    "true",
    "\"entry\":[",
    "\"resource\":{",
    "\"resourceType\":",
    "\"Bundle\"",
    "\"Patient\"",
    "\"id\":",
    "\"a\"",
    "\"subject\":{\"reference\":",
    "\"Patient/a\"",
    "\"period\":{",
    "\"start\":",
    "\"2020-02\"",
    "\"fullUrl\":",
    "\"urn:uuid:a\"",
    "\"meta\":{\"versionId\":",
];

fn read_every_way(json: &[u8]) {
    let reader = Reader::new();
    for resource in reader
        .resource(json)
        .into_iter()
        .chain(reader.ndjson(json).flatten())
    {
        assert!(lies_in(resource.json(), json));
    }
    for resource in reader.bundle(json).into_iter().flatten() {
        assert!(lies_in(resource.json(), json));
    }
}

/// Whether `part` is a stretch of `whole` itself, so that not one byte was re-written.
fn lies_in(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole): (Range<_>, Range<_>) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}

#[test]
fn a_debug_print_shows_nothing_of_a_resource() {
    let json =
        br#"{"resourceType":"Zanzibar","id":"Zanzibar","subject":{"reference":"Group/Zanzibar"}}"#;
    let resource = Reader::new().resource(json).unwrap();
    assert_eq!(resource.subject(), Some("Group/Zanzibar"));
    assert!(!format!("{resource:?}").contains(CANARY));
}

/// How many resources of a type there are, and how many of them have what is asked for.
#[derive(Default)]
struct Tally {
    all: usize,
    with_subject: usize,
    with_effective: usize,
}

#[derive(Default)]
struct Tallies(BTreeMap<String, Tally>);

impl Tallies {
    fn count(&mut self, resource: &Resource<'_>) {
        let tally = self.0.entry(resource.kind().to_owned()).or_default();
        tally.all += 1;
        tally.with_subject += usize::from(resource.subject().is_some());
        tally.with_effective += usize::from(resource.effective().is_some());
    }

    fn total(&self) -> usize {
        self.0.values().map(|tally| tally.all).sum()
    }

    fn tell(&self, title: &str) {
        data::tell(&format!(
            "{title}: {} resources of {} types",
            self.total(),
            self.0.len()
        ));
        for (
            kind,
            Tally {
                all,
                with_subject,
                with_effective,
            },
        ) in &self.0
        {
            if *with_subject + *with_effective > 0 {
                data::tell(&format!(
                    "  {kind}: {all}, with subject {with_subject}, with effective time {with_effective}"
                ));
            }
        }
    }
}

#[test]
fn all_synthea_bundles_are_read_whole() {
    let Some(folder) = data::unpacked("fhir/synthea-r4-500-patients.tar.xz") else {
        return;
    };
    let files = data::json_files(&folder);
    assert_eq!(files.len(), 500);
    let mut tallies = Tallies::default();
    for (at, file) in files.iter().enumerate() {
        let json = fs::read(file).unwrap();
        let resources = Reader::new().bundle(&json).unwrap();
        let patient: Vec<_> = resources.iter().filter(|r| r.kind() == "Patient").collect();
        assert_eq!(patient.len(), 1);
        for resource in &resources {
            tallies.count(resource);
            assert!(lies_in(resource.json(), &json) && resource.id().is_some());
            // Every reference to the person leads to the one Patient of the Bundle.
            let about = resource.subject();
            assert!(
                about.is_none() || about == patient[0].subject(),
                "{}",
                resource.kind()
            );
            if let Some((start, end)) = resource.effective() {
                assert!(start <= end);
            }
        }
        // Another parser agrees on what the resources are: in every tenth file, for time's sake.
        if at % 10 == 0 {
            let document: Value = serde_json::from_slice(&json).unwrap();
            let expected = document["entry"].as_array().unwrap().iter();
            assert!(
                expected.map(|entry| entry["resource"].clone()).eq(resources
                    .iter()
                    .map(|resource| serde_json::from_slice::<Value>(resource.json()).unwrap()))
            );
        }
    }
    tallies.tell("Synthea");
    assert_eq!(tallies.total(), SYNTHEA_RESOURCES);
    assert_eq!(tallies.0.len(), 16);
    for (
        kind,
        Tally {
            all,
            with_subject,
            with_effective,
        },
    ) in &tallies.0
    {
        let (subject, effective) = match kind.as_str() {
            "Organization" | "Practitioner" => (0, 0),
            // This generator writes no date on a Goal.
            "Patient" | "Goal" => (*all, 0),
            _ => (*all, *all),
        };
        assert_eq!(
            (*with_subject, *with_effective),
            (subject, effective),
            "{kind}"
        );
    }
}

#[test]
fn all_official_examples_are_read() {
    let Some(folder) = data::unpacked("fhir/hl7-r4-examples-4.0.1.tar.xz") else {
        return;
    };
    let mut tallies = Tallies::default();
    let mut in_bundles = 0;
    for file in data::json_files(&folder) {
        if file.file_name().is_some_and(|name| name == "package.json") {
            continue;
        }
        let json = fs::read(&file).unwrap();
        let resource = Reader::new()
            .resource(&json)
            .unwrap_or_else(|error| panic!("{}: {error}", name(&file)));
        assert_eq!(resource.json(), json.trim_ascii(), "{}", name(&file));
        let document: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(document["resourceType"], resource.kind());
        // One example has an id longer than the standard allows.
        assert!(document["id"].as_str() == resource.id() || resource.id().is_none());
        tallies.count(&resource);
        if resource.kind() == "Bundle" {
            let entries = Reader::new().bundle(&json).unwrap();
            assert!(entries.iter().all(|entry| lies_in(entry.json(), &json)));
            let listed = document["entry"].as_array().map_or(0, |entries| {
                entries
                    .iter()
                    .filter(|entry| entry.get("resource").is_some())
                    .count()
            });
            assert_eq!(entries.len(), listed, "{}", name(&file));
            in_bundles += listed;
        }
    }
    tallies.tell("HL7 examples");
    assert_eq!((tallies.total(), tallies.0.len()), (5298, 140));
    assert_eq!(in_bundles, EXAMPLES_IN_BUNDLES);
    let tally = |kind: &str| {
        let Tally {
            all,
            with_subject,
            with_effective,
        } = &tallies.0[kind];
        (*all, *with_subject, *with_effective)
    };
    // Five Observations are about a contained newborn; the numbers were counted by hand elsewhere.
    assert_eq!(tally("Observation"), (64, 57, 50));
    assert_eq!(tally("Patient"), (22, 22, 0));
    for kind in [
        "Coverage",
        "Encounter",
        "Immunization",
        "MedicationRequest",
        "NutritionOrder",
    ] {
        let (all, subject, _) = tally(kind);
        assert_eq!(subject, all, "{kind}");
    }
    for kind in [
        "AuditEvent",
        "Claim",
        "Consent",
        "DiagnosticReport",
        "Provenance",
        "Slot",
        "Task",
    ] {
        let (all, _, effective) = tally(kind);
        assert_eq!(effective, all, "{kind}");
    }
}

#[test]
fn the_example_bundle_is_one_person_and_reads_as_it_stands() {
    let resources = Reader::new().bundle(EXAMPLE).unwrap();
    let kinds: BTreeSet<_> = resources.iter().map(Resource::kind).collect();
    assert_eq!((resources.len(), kinds.len()), (28, 9));
    for resource in &resources {
        assert_eq!(resource.subject(), Some("Patient/zofia"));
        assert_eq!(resource.effective().is_none(), resource.kind() == "Patient");
        assert!(lies_in(resource.json(), EXAMPLE));
    }
    let by_id = |id| {
        resources
            .iter()
            .find(|resource| resource.id() == Some(id))
            .unwrap()
    };
    let text = |id| str::from_utf8(by_id(id).json()).unwrap();
    assert!(text("zofia").contains("Ångström-Nguyễn"));
    assert!(text("creatinine-2025").contains(r#""value": 1.00,"#));
    let (start, end) = by_id("hypertension").effective().unwrap();
    assert_eq!(
        (end.to_micros() - start.to_micros()) / 86_400_000_000,
        366,
        "the year 2016"
    );
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// Resources in the 500 bundles, and in the Bundles among the examples.
const SYNTHEA_RESOURCES: usize = 154_188;
const EXAMPLES_IN_BUNDLES: usize = 2_967;

const EXAMPLE: &[u8] = include_bytes!("../examples/data/patient-bundle.json");
