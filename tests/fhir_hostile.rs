//! The FHIR reader against documents that mean it harm.

use std::ops::Range;
#[expect(clippy::disallowed_types, reason = "a bound on the time of a refusal")]
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vitalock::ErrorKind::{FhirMalformed, FhirTooDeep, FhirTooLarge, FhirTooMany};
use vitalock::fhir::{Limits, Reader};
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
        #[expect(clippy::disallowed_types, reason = "as above")]
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

const EXAMPLE: &[u8] = include_bytes!("../examples/data/patient-bundle.json");
