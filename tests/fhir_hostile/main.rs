//! The FHIR reader against documents that mean it harm.
#![allow(
    clippy::as_conversions,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]

mod cases;
#[cfg(target_os = "linux")]
mod large;

use std::ops::Range;
#[expect(clippy::disallowed_types, reason = "a bound on the time of a refusal")]
use std::time::{Duration, Instant};

use cases::{As, CANARY, Case, cases, small_reader};
use proptest::prelude::*;
use vitalock::Error;
use vitalock::ErrorKind::FhirMalformed;
use vitalock::fhir::{Limits, Reader, Resource};

fn read_all<'a>(
    reader: &Reader,
    read_as: As,
    json: &'a [u8],
) -> vitalock::Result<Vec<Resource<'a>>> {
    match read_as {
        As::Resource => reader.resource(json).map(|resource| vec![resource]),
        As::Bundle => reader.bundle(json),
        As::Ndjson => reader.ndjson(json).collect(),
    }
}

fn first_error(reader: &Reader, read_as: As, json: &[u8]) -> Option<Error> {
    read_all(reader, read_as, json).err()
}

#[test]
fn a_hostile_document_is_refused_with_its_kind_and_place_and_without_its_words() {
    let cases = cases();
    assert!(cases.len() > 130);
    for case in &cases {
        assert_refused(&small_reader(), case);
    }
}

#[test]
fn lines_above_a_document_count() {
    for mut case in cases() {
        let (Some(line), true) = (case.line, case.read_as != As::Ndjson) else {
            continue;
        };
        case.json.splice(0..0, *b"\r\n \n\t\n");
        case.line = Some(line + 3);
        assert_refused(&small_reader(), &case);
    }
}

#[test]
fn what_is_refused_alone_is_refused_in_a_bundle_and_on_a_line_at_the_same_place() {
    let cases = cases();
    for case in cases.iter().filter(|case| case.read_as == As::Resource) {
        // What is no value by itself is something else inside of another.
        let text = String::from_utf8_lossy(&case.json);
        let path = case.path.as_deref().unwrap_or_default();
        if !text.trim_start().starts_with("{\"") || case.json.len() > 400 || path.is_empty() {
            continue;
        }
        let after = |above: &str, within: &str| format!("{above}{within}{path}");
        let mut entry = case.clone();
        entry.read_as = As::Bundle;
        entry.json.splice(
            0..0,
            *b"{\"resourceType\":\"Bundle\",\n\"entry\":[{\"resource\":\n",
        );
        entry.json.extend(b"}]}");
        entry.path = Some(after("entry[0].resource", "."));
        entry.line = case.line.map(|line| line + 2);
        let deeper = Limits::default().max_depth(11).max_members(6);
        assert_refused(&Reader::with_limits(deeper), &entry);
        let mut line = case.clone();
        line.read_as = As::Ndjson;
        // A raw line's end ends the document, so that it is refused for another reason.
        let raw = line.json.iter().filter(|byte| **byte == b'\n').count();
        if raw > 1 {
            continue;
        }
        line.json.retain(|byte| *byte != b'\n');
        line.json.splice(0..0, *b"\n\r\n");
        line.path = Some(after("line[2]", "."));
        line.line = Some(3);
        assert_refused(&small_reader(), &line);
    }
}

fn assert_refused(reader: &Reader, case: &Case) {
    let json = String::from_utf8_lossy(&case.json);
    let error = first_error(reader, case.read_as, &case.json)
        .unwrap_or_else(|| panic!("{:?} is taken: {json}", case.read_as));
    let found = (error.kind(), error.json_path(), error.json_line());
    let expected = (case.kind, case.path.as_deref(), case.line);
    assert_eq!(found, expected, "{:?}: {json}", case.read_as);
    assert_says_nothing(&error);
}

fn assert_says_nothing(error: &Error) {
    for text in [error.to_string(), format!("{error:?}")] {
        let hidden = !text.to_lowercase().contains(&CANARY.to_lowercase());
        assert!(hidden && !text.contains("12345"), "{text}");
    }
}

#[test]
fn after_the_last_line_that_may_be_read_nothing_is() {
    let many = "{\"resourceType\":\"Basic\"}\n\n".repeat(5);
    let read: Vec<_> = small_reader().ndjson(many.as_bytes()).collect();
    assert_eq!((read.len(), read.iter().flatten().count()), (4, 3));
}

#[test]
fn a_document_that_breaks_off_anywhere_is_malformed_on_its_last_line() {
    let bundle = EXAMPLE.trim_ascii_end();
    let resources = Reader::new().bundle(bundle).unwrap();
    let resource = resources[0].json();
    let lines = |json: &[u8]| json.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    // Every length in the first kilobytes, then some.
    let cuts = |json: &[u8]| (0..json.len()).filter(|cut| *cut < 3000 || cut % 7 == 0);
    for (read_as, json) in [
        (As::Resource, bundle),
        (As::Bundle, bundle),
        (As::Resource, resource),
    ] {
        for cut in cuts(json) {
            let json = &json[..cut];
            let error = first_error(&Reader::new(), read_as, json).unwrap();
            // Cut inside a character, it goes wrong where that begins; both are on one line.
            let found = (error.kind(), error.json_line());
            assert_eq!(
                found,
                (FhirMalformed, Some(lines(json))),
                "{read_as:?}: {cut}"
            );
        }
    }
    let line: Vec<u8> = resource
        .iter()
        .copied()
        .filter(|byte| *byte != b'\n')
        .collect();
    for cut in 1..line.len() {
        let lines = [&line, &b"\n"[..], &line[..cut]].concat();
        let error = first_error(&Reader::new(), As::Ndjson, &lines).unwrap();
        assert_eq!(
            (error.kind(), error.json_line()),
            (FhirMalformed, Some(2)),
            "{cut}"
        );
    }
}

#[test]
fn one_wrong_byte_is_told_on_its_line() {
    // Outside of strings a byte that JSON has no use for breaks it just there.
    let mut in_string = false;
    let mut escaped = false;
    for at in 0..EXAMPLE.len() {
        let byte = EXAMPLE[at];
        in_string ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        if at % 3 != 0 || in_string || byte == b'"' {
            continue;
        }
        let mut json = EXAMPLE.to_vec();
        json[at] = b'~';
        let above = EXAMPLE[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        for read_as in [As::Resource, As::Bundle] {
            let error = first_error(&Reader::new(), read_as, &json).unwrap();
            let found = (error.kind(), error.json_line());
            assert_eq!(found, (FhirMalformed, Some(above + 1)), "{read_as:?}: {at}");
        }
    }
}

#[test]
fn what_a_resource_says_of_itself_in_the_wrong_way_is_not_judged() {
    // A store gives it back as it came; only its type has to be told.
    for rest in [
        r#""id":7"#,
        r#""id":["Zanzibar"]"#,
        r#""meta":[1]"#,
        r#""subject":"Zanzibar""#,
        r#""subject":{"reference":7}"#,
        r#""effectiveDateTime":{"start":[]}"#,
        r#""date":1.5"#,
    ] {
        let json = format!(r#"{{"resourceType":"Basic",{rest}}}"#);
        let resource = Reader::new().resource(json.as_bytes()).unwrap();
        assert_eq!((resource.id(), resource.subject()), (None, None));
        assert_eq!(resource.json(), json.as_bytes());
    }
}

#[test]
fn hostile_documents_take_time_in_step_with_their_length() {
    let size = 4 << 20;
    let entries = |entry: &str| {
        let count = size / (entry.len() + 1);
        let entries = vec![entry; count].join(",");
        format!(r#"{{"resourceType":"Bundle","entry":[{entries}]}}"#)
    };
    let members = |names: &mut dyn Iterator<Item = String>| {
        let members: Vec<_> = names.map(|name| format!("\"{name}\":1")).collect();
        format!("{{{}}}", members.join(","))
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
        (
            "members that end and begin alike",
            members(&mut (0..size / 12).map(|at| format!("a{at:07}a"))),
        ),
        (
            "members that begin alike",
            members(&mut (0..1000).map(|at| format!("{}{at}", "a".repeat(4096)))),
        ),
        (
            "members with escapes",
            members(&mut (0..size / 60).map(|at| format!("{}{at}", "\\u0061".repeat(8)))),
        ),
        (
            "many members, many times",
            entries(&members(&mut (0..1000).map(|at| format!("a{at}a")))),
        ),
        ("exponents", format!("[{}1]", "1e1,".repeat(size / 4))),
        (
            "exponents of exponents",
            format!("[1{}]", "e1".repeat(size / 2)),
        ),
        (
            "blanks",
            format!(
                "[{}1]",
                format!("\"a\"{},", " ".repeat(4096)).repeat(size / 4100)
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
        .max_members(usize::MAX)
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

const EXAMPLE: &[u8] = include_bytes!("../../examples/data/patient-bundle.json");
