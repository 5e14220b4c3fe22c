//! Documents of 100 MB and a million members, each read in a process whose memory is its own.

use std::process::Command;

use vitalock::fhir::{Limits, Reader};

use crate::cases::As;
use crate::{assert_says_nothing, read_all};

const TOLD: &str = "VITALOCK_TEST_TOLD";
const MB: usize = 1_000_000;

/// What is read, within which limits, and what comes of it.
struct Large {
    name: &'static str,
    read_as: As,
    limits: Limits,
    /// Built in place: a second copy would hide what the reader takes.
    document: fn(&mut Vec<u8>),
    /// The number of resources, or kind, path and line of the error.
    expected: &'static str,
    /// How much the process may grow, in KiB.
    memory: u64,
}

fn larges() -> Vec<Large> {
    let default = Limits::default();
    let raised = default.max_document_bytes(usize::MAX);
    let all = raised
        .max_resource_bytes(usize::MAX)
        .max_resources(usize::MAX)
        .max_members(usize::MAX);
    let large = |name, read_as, limits, document, expected, memory| Large {
        name,
        read_as,
        limits,
        document,
        expected,
        memory,
    };
    let too_large = "FhirTooLarge None None";
    let one = "1 resources";
    vec![
        large("a string", As::Resource, default, string, too_large, 512),
        large(
            "a string, within the limits",
            As::Resource,
            all,
            string,
            one,
            512,
        ),
        large("escapes", As::Resource, all, escapes, one, 512),
        large("a name", As::Resource, all, name, one, 512),
        large(
            "a string that does not end",
            As::Resource,
            all,
            |json| {
                fill(
                    json,
                    b"{\"resourceType\":\"Basic\",\n\"id\":\"Zanzibar",
                    b"x",
                    b"",
                )
            },
            "FhirMalformed Some(\"id\") Some(2)",
            512,
        ),
        large(
            "a number",
            As::Resource,
            all,
            |json| fill(json, b"{\"resourceType\":\"Basic\",\n\"id\":", b"7", b"}"),
            "FhirMalformed Some(\"id\") Some(2)",
            512,
        ),
        large(
            "lines",
            As::Resource,
            all,
            |json| fill(json, b"", b"\n", b"Zanzibar"),
            "FhirMalformed None Some(100000001)",
            512,
        ),
        large(
            "nesting",
            As::Resource,
            all,
            |json| fill(json, b"{\"code\":\n", b"{\"Zanzibar\":", b""),
            "FhirTooDeep Some(\"code\") Some(2)",
            512,
        ),
        large("a Bundle", As::Bundle, default, bundle, too_large, 512),
        large(
            "a Bundle, within the limits",
            As::Bundle,
            raised,
            bundle,
            "99009 resources",
            32 << 10,
        ),
        large(
            "a million entries",
            As::Bundle,
            default,
            million_entries,
            "FhirTooMany Some(\"entry[100000]\") Some(100002)",
            32 << 10,
        ),
        large(
            "a million entries, within the limits",
            As::Bundle,
            all,
            million_entries,
            "1000000 resources",
            240 << 10,
        ),
        large(
            "a million members",
            As::Resource,
            raised.max_resource_bytes(usize::MAX),
            |json| million_members(json, 1_000_000),
            "FhirTooMany None Some(1025)",
            512,
        ),
        large(
            "a million members, within the limits",
            As::Resource,
            all,
            |json| million_members(json, 1_000_000),
            one,
            32 << 10,
        ),
        large(
            "a million members, one there twice",
            As::Resource,
            all,
            |json| million_members(json, 999_999),
            "FhirMalformed None Some(1000000)",
            32 << 10,
        ),
        large("one line", As::Ndjson, default, string, too_large, 512),
        large(
            "one line, within the document's limit",
            As::Ndjson,
            raised,
            string,
            "FhirTooLarge Some(\"line[0]\") Some(1)",
            512,
        ),
        large(
            "one line, within the limits",
            As::Ndjson,
            all,
            string,
            one,
            512,
        ),
    ]
}

/// 100 MB of `piece`, between two ends.
fn fill(json: &mut Vec<u8>, start: &[u8], piece: &[u8], end: &[u8]) {
    json.reserve_exact(100 * MB + start.len() + end.len());
    json.extend(start);
    while json.len() + piece.len() <= 100 * MB + start.len() {
        json.extend(piece);
    }
    json.extend(end);
}

fn string(json: &mut Vec<u8>) {
    fill(
        json,
        b"{\"resourceType\":\"Basic\",\"id\":\"Zanzibar",
        b"x",
        b"\"}",
    );
}

fn escapes(json: &mut Vec<u8>) {
    fill(
        json,
        b"{\"resourceType\":\"Basic\",\"id\":\"",
        b"\\u00e9\\n",
        b"\"}",
    );
}

fn name(json: &mut Vec<u8>) {
    fill(
        json,
        b"{\"resourceType\":\"Basic\",\"",
        b"\\u00e9",
        b"\":1}",
    );
}

fn bundle(json: &mut Vec<u8>) {
    let note = "Zanzibar".repeat(119);
    let entry = format!(
        "{{\"resource\":{{\"resourceType\":\"Basic\",\"id\":\"a\",\"note\":\"{note}\"}}}},\n"
    );
    fill(
        json,
        b"{\"resourceType\":\"Bundle\",\"entry\":[",
        entry.as_bytes(),
        b"{\"request\":1}]}",
    );
}

fn million_entries(json: &mut Vec<u8>) {
    json.reserve_exact(50 * MB);
    json.extend(b"{\"resourceType\":\"Bundle\",\"entry\":[\n");
    for at in 0..1_000_000 {
        json.extend(if at > 0 { &b",\n"[..] } else { b"" });
        json.extend(b"{\"resource\":{\"resourceType\":\"Basic\"}}");
    }
    json.extend(b"]}");
}

/// One on each line, the last called as the one at `last`. All names are of one length, and begin
/// and end alike.
fn million_members(json: &mut Vec<u8>, last: usize) {
    json.reserve_exact(30 * MB);
    json.extend(b"{\"resourceType\":\"Basic\"");
    for at in 1..1_000_000_usize {
        let at = if at == 999_999 { last - 1 } else { at };
        json.extend(format!(",\n\"Zan{at:07}zibar\":1").bytes());
    }
    json.extend(b"}");
}

#[test]
fn large_documents_are_read_or_refused_in_little_memory() {
    for large in larges() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "--nocapture",
                "large::another_process",
            ])
            .env(TOLD, large.name)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {output:?}", large.name);
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said.lines().find_map(|line| line.split_once("grown "));
        let (_, said) = said.unwrap_or_else(|| panic!("{}: {output:?}", large.name));
        let (grown, found) = said.split_once(" KiB: ").unwrap();
        assert_eq!(found, large.expected, "{}", large.name);
        let grown: u64 = grown.parse().unwrap();
        assert!(grown <= large.memory, "{}: {grown} KiB", large.name);
    }
}

#[test]
#[ignore = "the other process of large_documents_are_read_or_refused_in_little_memory"]
fn another_process() {
    let Ok(told) = std::env::var(TOLD) else {
        return;
    };
    let large = larges().into_iter().find(|large| large.name == told);
    let large = large.expect("told what is known");
    let mut json = Vec::new();
    (large.document)(&mut json);
    let before = peak_memory();
    let read = read_all(&Reader::with_limits(large.limits), large.read_as, &json);
    let grown = peak_memory() - before;
    let found = match &read {
        Ok(resources) => format!("{} resources", resources.len()),
        Err(error) => {
            assert_says_nothing(error);
            let (kind, path, line) = (error.kind(), error.json_path(), error.json_line());
            format!("{kind:?} {path:?} {line:?}")
        }
    };
    println!("grown {grown} KiB: {found}");
}

/// The most memory that this process ever had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse().unwrap()
}
