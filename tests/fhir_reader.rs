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
use vitalock::ErrorKind::{FhirMalformed, FhirTooDeep, FhirTooLarge, FhirTooMany};
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
fn a_hostile_resource_is_refused_with_its_kind_and_place_and_without_its_words() {
    let basic = |rest: &str| format!(r#"{{"resourceType":"Basic",{rest}"#);
    for whole in [
        "",
        "Zanzibar",
        r#"["Zanzibar"]"#,
        r#""Zanzibar""#,
        "null",
        "\u{feff}{\"resourceType\":\"Basic\"}",
        r#"{"resourceType":"Basic"} Zanzibar"#,
        r#"{"resourceType":"Basic"}{}"#,
        &basic(r#""Zanzibar":NaN}"#),
        &basic(r#""Zanzibar":01}"#),
        &basic(r#""Zanzibar":1,}"#),
        &basic(r#""Zanzibar":"x"#),
        &basic(r#"// Zanzibar"#),
        &basic("\"Zanzibar\":\"\n\"}"),
        &basic(r#""Zanzibar":"\ud800"}"#),
        &basic(r#""Zanzibar":"\x"}"#),
    ] {
        assert_refused(As::Resource, whole, FhirMalformed, None);
    }
    for (json, place) in [
        ("{}", "resourceType"),
        (r#"{"resourceType":7}"#, "resourceType"),
        (r#"{"resourceType":"zanzibar"}"#, "resourceType"),
        (r#"{"resourceType":"Zanzibar!"}"#, "resourceType"),
        (r#"{"resourceType":"Zanzibar7"}"#, "resourceType"),
        (
            &format!(r#"{{"resourceType":"Z{}"}}"#, "z".repeat(64)),
            "resourceType",
        ),
        (&basic(r#""resourceType":"Zanzibar"}"#), "resourceType"),
        (&basic(r#""id":"a","\u0069d":"Zanzibar"}"#), "id"),
        (
            &basic(r#""subject":{"reference":"a","reference":"Zanzibar"}}"#),
            "subject.reference",
        ),
        (
            &basic(r#""period":{"start":"2020","start":"Zanzibar"}}"#),
            "period.start",
        ),
        (
            &basic(r#""meta":{"versionId":"1","versionId":"Zanzibar"}}"#),
            "meta.versionId",
        ),
    ] {
        assert_refused(As::Resource, json, FhirMalformed, Some(place));
    }
    let unknown = basic(&format!(r#""Zanzibar":{}}}"#, deep()));
    assert_refused(As::Resource, &unknown, FhirTooDeep, None);
    let known = "{\"subject\":".repeat(300);
    assert_refused(As::Resource, &known, FhirTooDeep, Some("subject"));
    let resource = basic(&format!(r#""a":"{}"}}"#, long()));
    assert_refused(As::Resource, &resource, FhirTooLarge, None);
    for kind in [As::Resource, As::Bundle, As::Ndjson] {
        assert_refused(kind, &long().repeat(6), FhirTooLarge, None);
    }
}

#[test]
fn a_hostile_bundle_is_refused_with_its_kind_and_place_and_without_its_words() {
    for (json, place) in [
        (r#"{"resourceType":"Bundle","entry":[]} Zanzibar"#, None),
        (r#"["Zanzibar"]"#, None),
        (
            r#"{"resourceType":"Zanzibar","entry":[]}"#,
            Some("resourceType"),
        ),
        (r#"{"entry":[]}"#, Some("resourceType")),
        (
            r#"{"resourceType":"Bundle","resourceType":"Bundle"}"#,
            Some("resourceType"),
        ),
        (
            r#"{"resourceType":"Bundle","entry":[],"entry":["Zanzibar"]}"#,
            Some("entry"),
        ),
        (
            r#"{"resourceType":"Bundle","entry":{"Zanzibar":1}}"#,
            Some("entry"),
        ),
        (r#"{"resourceType":"Bundle","entry":null}"#, Some("entry")),
    ] {
        assert_refused(As::Bundle, json, FhirMalformed, place);
    }
    let second = |json: &str| {
        let first = r#"{"request":{"method":"DELETE","url":"Zanzibar"}}"#;
        format!(r#"{{"resourceType":"Bundle","entry":[{first},{json}]}}"#)
    };
    let twice =
        r#"{"resource":{"resourceType":"Basic","meta":{"versionId":1,"versionId":"Zanzibar"}}}"#;
    for (json, place) in [
        (r#""Zanzibar""#, "entry[1]"),
        (r#"{"fullUrl":"Zanzibar"}"#, "entry[1]"),
        (
            r#"{"fullUrl":"a","fullUrl":"Zanzibar"}"#,
            "entry[1].fullUrl",
        ),
        (r#"{"Zanzibar":nul}"#, "entry[1]"),
        (r#"{"resource":null}"#, "entry[1].resource"),
        (r#"{"resource":["Zanzibar"]}"#, "entry[1].resource"),
        (r#"{"resource":{"Zanzibar":+1}}"#, "entry[1].resource"),
        (
            r#"{"resource":{"id":"Zanzibar"}}"#,
            "entry[1].resource.resourceType",
        ),
        (twice, "entry[1].resource.meta.versionId"),
        (
            r#"{"resource":{"a":"\ude00 Zanzibar"}}"#,
            "entry[1].resource",
        ),
        // The first of two faults is the one that is told.
        (
            &format!(r#"{{"resource":7}},{{"resource":{}}}"#, deep()),
            "entry[1].resource",
        ),
    ] {
        assert_refused(As::Bundle, &second(json), FhirMalformed, Some(place));
    }
    let resource = second(&format!(r#"{{"resource":{{"Zanzibar":{}}}}}"#, deep()));
    assert_refused(
        As::Bundle,
        &resource,
        FhirTooDeep,
        Some("entry[1].resource"),
    );
    let beside = second(&format!(r#"{{"Zanzibar":{}}}"#, deep()));
    assert_refused(As::Bundle, &beside, FhirTooDeep, Some("entry[1]"));
    let large = second(&format!(r#"{{"resource":{{"Zanzibar":"{}"}}}}"#, long()));
    assert_refused(As::Bundle, &large, FhirTooLarge, Some("entry[1].resource"));
    let patient = r#"{"resource":{"resourceType":"Patient","id":"Zanzibar"}}"#;
    let many = second(&[patient; 3].join(","));
    assert_refused(As::Bundle, &many, FhirTooMany, Some("entry[3]"));
}

#[test]
fn a_hostile_line_is_refused_with_its_kind_and_place_and_without_its_words() {
    for (lines, place) in [
        ("\n{\"id\":\"Zanzibar\"}", "line[1].resourceType"),
        ("\u{feff}{\"resourceType\":\"Basic\"}", "line[0]"),
        (
            "{\"resourceType\":\"Basic\"}{\"a\":\"Zanzibar\"}",
            "line[0]",
        ),
        ("{\"resourceType\":\n\"Basic\"}", "line[0].resourceType"),
    ] {
        assert_refused(As::Ndjson, lines, FhirMalformed, Some(place));
    }
    let nested = format!(" \r\n\t\n{{\"meta\":{}}}", deep());
    assert_refused(As::Ndjson, &nested, FhirTooDeep, Some("line[2].meta"));
    let large = format!("{{\"a\":\"{}\"}}", long());
    assert_refused(As::Ndjson, &large, FhirTooLarge, Some("line[0]"));
    let many = "{\"resourceType\":\"Basic\"}\n\n".repeat(4);
    assert_refused(As::Ndjson, &many, FhirTooMany, Some("line[6]"));
    let read: Vec<_> = small_reader().ndjson(many.as_bytes()).collect();
    assert_eq!((read.len(), read.iter().flatten().count()), (4, 3));
}

fn assert_refused(kind: As, json: &str, expected: ErrorKind, place: Option<&str>) {
    let error = first_error(&small_reader(), kind, json.as_bytes())
        .unwrap_or_else(|| panic!("{kind:?} is taken: {json}"));
    let found = (error.kind(), error.json_path());
    assert_eq!(found, (expected, place), "{kind:?}: {json}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(
            !text.to_lowercase().contains(&CANARY.to_lowercase()),
            "{text}"
        );
    }
}

/// Longer than a resource may be, shorter than a document.
fn long() -> String {
    CANARY.repeat(100)
}

/// Deeper than a document may be.
fn deep() -> String {
    format!("{}{}", "[".repeat(9), "]".repeat(9))
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    let json =
        b"{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"id\":\"Zanzibar\xff\"}}]}";
    let error = Reader::new().bundle(json).unwrap_err();
    assert_eq!(error.kind(), FhirMalformed);
    assert_eq!(error.json_path(), Some("entry[0].resource"));
    let error = Reader::new()
        .resource(b"{\"resourceType\":\"Basic\"}\xff")
        .unwrap_err();
    assert_eq!((error.kind(), error.json_path()), (FhirMalformed, None));
}

#[test]
fn hostile_documents_take_time_in_step_with_their_length() {
    let size = 4 << 20;
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
    // Five are about a contained newborn and two about nobody; three have no date at all.
    assert_eq!(tally("Observation"), (64, 57, 61));
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
