//! Documents that are refused, each with what is said of it. Every one holds the canary or stands
//! beside one that does.
#![allow(unreachable_pub, reason = "another test binary uses this as well")]

use vitalock::ErrorKind;
use vitalock::ErrorKind::{FhirMalformed, FhirTooDeep, FhirTooLarge, FhirTooMany};
use vitalock::fhir::{Limits, Reader};

/// What no error may show.
pub const CANARY: &str = "Zanzibar";

/// What a document is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    Resource,
    Bundle,
    Ndjson,
}

/// A document, and how [`small_reader`] refuses it.
#[derive(Clone)]
pub struct Case {
    pub read_as: As,
    pub json: Vec<u8>,
    pub kind: ErrorKind,
    pub path: Option<String>,
    pub line: Option<u64>,
}

/// A reader whose limits a document of a few bytes is beyond.
pub fn small_reader() -> Reader {
    Reader::with_limits(
        Limits::default()
            .max_document_bytes(4096)
            .max_resource_bytes(512)
            .max_resources(3)
            .max_members(6)
            .max_depth(8),
    )
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    no_json(&mut all);
    resources(&mut all);
    bundles(&mut all);
    lines(&mut all);
    all
}

fn case(
    read_as: As,
    kind: ErrorKind,
    json: impl Into<Vec<u8>>,
    path: &str,
    line: impl Into<Option<u64>>,
) -> Case {
    Case {
        read_as,
        json: json.into(),
        kind,
        path: (!path.is_empty()).then(|| path.to_owned()),
        line: line.into(),
    }
}

/// A resource that goes on with `rest` on its second line.
fn basic(rest: &str) -> String {
    format!("{{\"resourceType\":\"Basic\",\n{rest}")
}

/// Longer than a resource may be, shorter than a document.
fn long() -> String {
    CANARY.repeat(100)
}

/// Deeper than a document may be.
fn deep() -> String {
    format!("{}{}", "[".repeat(9), "]".repeat(9))
}

/// What breaks RFC 8259, whatever it is read as.
fn no_json(all: &mut Vec<Case>) {
    for (json, path, line) in [
        ("", "", 1),
        (" \n\r\n\t", "", 3),
        ("Zanzibar", "", 1),
        ("\n\nnul", "", 3),
        ("\u{feff}{\"resourceType\":\"Basic\"}", "", 1),
        ("{\"resourceType\":\"Basic\"}\n Zanzibar", "", 2),
        ("{\"resourceType\":\"Basic\"}{}", "", 1),
        ("{'resourceType':'Zanzibar'}", "", 1),
        ("{resourceType:\"Zanzibar\"}", "", 1),
        (&basic("\"Zanzibar\":NaN}"), "", 2),
        (&basic("\"Zanzibar\":Infinity}"), "", 2),
        (&basic("\"Zanzibar\":01}"), "", 2),
        (&basic("\"Zanzibar\":+1}"), "", 2),
        (&basic("\"Zanzibar\":.5}"), "", 2),
        (&basic("\"Zanzibar\":1.}"), "", 2),
        (&basic("\"Zanzibar\":1e}"), "", 2),
        (&basic("\"Zanzibar\":0x1}"), "", 2),
        (&basic("\"Zanzibar\":True}"), "", 2),
        (&basic("\"Zanzibar\":1,}"), "", 2),
        (&basic("\"Zanzibar\":1\n\"id\":\"a\"}"), "", 3),
        (&basic("\"id\":\n\"Zanzibar\"\n:1}"), "id", 4),
        (&basic("\"id\"\n\"Zanzibar\"}"), "id", 3),
        (&basic("\"id\":[1,,\"Zanzibar\"]}"), "id[1]", 2),
        (&basic("\"id\":[1,2\n}"), "id[1]", 3),
        (&basic("\"Zanzibar\":\"x"), "", 2),
        (&basic("\"id\":\"Zanzibar\n\"}"), "id", 2),
        (&basic("\"id\":\"Zanzibar\t\"}"), "id", 2),
        (&basic("\"id\":\"Zanzibar\0\"}"), "id", 2),
        (&basic("\"Zan\u{1f}zibar\":1}"), "", 2),
        (&basic("\n// Zanzibar"), "", 3),
        (&basic("\"id\":\"a\" /* Zanzibar */}"), "id", 2),
        (
            &basic(r#""code":{"coding":[{},{"system":"Zanzibar\x"}]}}"#),
            "code.coding[1].system",
            2,
        ),
        (&basic(r#""Zanzibar":{"id":"\ud800"}}"#), "", 2),
        (&basic(r#""id":"\ud800"}"#), "id", 2),
        (&basic(r#""id":"\udc00Zanzibar"}"#), "id", 2),
        (&basic(r#""id":"\ud800\u0041"}"#), "id", 2),
        (&basic(r#""id":"\ud800\ud800"}"#), "id", 2),
        (&basic(r#""id":"\u00"}"#), "id", 2),
        (&basic(r#""\ud800":"Zanzibar"}"#), "", 2),
        (&basic(r#""id":1e999999}"#), "id", 2),
        (&basic(r#""id":-1E+400}"#), "id", 2),
        (&basic(r#""id":[1,0.1e-999999]}"#), "id[1]", 2),
        (&basic(&format!("\"id\":{}}}", "7".repeat(300))), "id", 2),
        (&basic(&format!("\"id\":0.{}}}", "7".repeat(300))), "id", 2),
    ] {
        all.push(case(As::Resource, FhirMalformed, json, path, line));
    }
    let bytes: [(&[u8], &str, u64); 5] = [
        (b"{\"resourceType\":\n\"Basic\"}\xff", "", 2),
        (b"{\"resourceType\":\n\"Zanzibar\xff\"}", "resourceType", 2),
        (b"{\"id\":\"\xc0\xafZanzibar\"}", "id", 1),
        (b"{\"id\":\"\xed\xa0\x80Zanzibar\"}", "id", 1),
        (b"\xff\xfe{\0}\0", "", 1),
    ];
    for (json, path, line) in bytes {
        all.push(case(As::Resource, FhirMalformed, json, path, line));
    }
}

/// What is JSON and no resource, or one of which something cannot be said.
fn resources(all: &mut Vec<Case>) {
    for (json, path, line) in [
        ("\n[\"Zanzibar\"]", "", 2),
        ("\"Zanzibar\"", "", 1),
        ("null", "", 1),
        ("12345", "", 1),
        ("-1.5", "", 1),
        ("true", "", 1),
        ("\n{\n}", "resourceType", 2),
        ("{\"resourceType\":\n7}", "resourceType", 2),
        ("{\"resourceType\":null}", "resourceType", 1),
        ("{\"resourceType\":\n[\"Zanzibar\"]}", "resourceType", 2),
        ("{\"resourceType\":\n{\"Zanzibar\":1}}", "resourceType", 2),
        ("{\"resourceType\":\"zanzibar\"}", "resourceType", 1),
        ("{\"resourceType\":\"Zanzibar!\"}", "resourceType", 1),
        ("{\"resourceType\":\"Zanzibar7\"}", "resourceType", 1),
        ("{\"resourceType\":\"\"}", "resourceType", 1),
        ("{\"resourcetype\":\"Zanzibar\"}", "resourceType", 1),
        (
            &format!("{{\"resourceType\":\"Z{}\"}}", "z".repeat(64)),
            "resourceType",
            1,
        ),
        // Twice in one object, wherever that is and however it is spelt.
        (&basic("\"resourceType\":\"Zanzibar\"}"), "resourceType", 2),
        (&basic("\"id\":\"a\",\n\"\\u0069d\":\"Zanzibar\"}"), "id", 3),
        (&basic("\"id\":\"a\",\n\"id\":\"a\"}"), "id", 3),
        (&basic("\"Zanzibar\":1,\n\"Zanzibar\":2}"), "", 3),
        (
            &basic("\"subject\":{\"reference\":\"a\",\n\"reference\":\"Zanzibar\"}}"),
            "subject.reference",
            3,
        ),
        (
            &basic("\"period\":{\"start\":\"2020\",\n\"start\":\"Zanzibar\"}}"),
            "period.start",
            3,
        ),
        (
            &basic("\"meta\":{\"versionId\":\"1\",\n\"versionId\":\"Zanzibar\"}}"),
            "meta.versionId",
            3,
        ),
        (
            &basic(
                "\"code\":{\"coding\":[{\"system\":\"a\"},{\"system\":\"a\",\n\"system\":\"Zanzibar\"}]}}",
            ),
            "code.coding[1].system",
            3,
        ),
        (
            &basic("\"contained\":[{\"id\":1,\n\"id\":1}]}"),
            "contained[0].id",
            3,
        ),
        (
            &basic("\"extension\":[{\"Zanzibar\":{\"id\":1,\n\"id\":1}}]}"),
            "extension[0]",
            3,
        ),
        (&basic("\"\":1,\n\"\":2}"), "", 3),
        (&basic(r#""é":1,"\u00e9":"Zanzibar"}"#), "", 2),
        (&basic(r#""😀":1,"\ud83d\ude00":"Zanzibar"}"#), "", 2),
        // The first of two faults is the one that is told.
        (&basic("\"id\":1,\n\"id\":{\"a\":1,\n\"a\":2}}"), "id", 3),
        (&basic("\"id\":1,\n\"id\":\"\n\\ud800"), "id", 3),
        (&basic("\"id\":nul,\n\"a\":1,\"a\":2}"), "id", 2),
    ] {
        all.push(case(As::Resource, FhirMalformed, json, path, line));
    }
    let unknown = basic(&format!("\"Zanzibar\":\n{}}}", deep()));
    all.push(case(As::Resource, FhirTooDeep, unknown, "", 3));
    let known = "{\"subject\":\n".repeat(30);
    all.push(case(
        As::Resource,
        FhirTooDeep,
        known,
        &["subject"; 8].join("."),
        9,
    ));
    let many = [
        "\"a\":1",
        "\"b\":2",
        "\"c\":3",
        "\"d\":4",
        "\"e\":5",
        "\"id\":\"Zanzibar\"}",
    ];
    all.push(case(
        As::Resource,
        FhirTooMany,
        basic(&many.join(",\n")),
        "id",
        7,
    ));
    let resource = format!("\n{}", basic(&format!("\"a\":\"{}\"}}", long())));
    all.push(case(As::Resource, FhirTooLarge, resource, "", 2));
    for read_as in [As::Resource, As::Bundle, As::Ndjson] {
        all.push(case(read_as, FhirTooLarge, long().repeat(6), "", None));
    }
}

fn bundles(all: &mut Vec<Case>) {
    for (json, path, line) in [
        (
            "{\"resourceType\":\"Bundle\",\"entry\":[]}\nZanzibar",
            "",
            2,
        ),
        ("[\"Zanzibar\"]", "", 1),
        ("1e5", "", 1),
        (
            "{\"resourceType\":\n\"Zanzibar\",\"entry\":[]}",
            "resourceType",
            2,
        ),
        ("{\"resourceType\":\n1,\"entry\":[]}", "resourceType", 2),
        ("\n{\"entry\":[]}", "resourceType", 2),
        (
            "{\"resourceType\":\"Bundle\",\n\"resourceType\":\"Bundle\"}",
            "resourceType",
            2,
        ),
        (
            "{\"resourceType\":\"Bundle\",\"entry\":[],\n\"entry\":[\"Zanzibar\"]}",
            "entry",
            2,
        ),
        (
            "{\"resourceType\":\"Bundle\",\"entry\":\n{\"Zanzibar\":1}}",
            "entry",
            2,
        ),
        ("{\"resourceType\":\"Bundle\",\"entry\":\nnull}", "entry", 2),
        (
            "{\"resourceType\":\"Bundle\",\"entry\":\n12345}",
            "entry",
            2,
        ),
        (
            "{\"resourceType\":\"Bundle\",\"entry\":\n\"Zanzibar\"}",
            "entry",
            2,
        ),
        ("{\"resourceType\":\"Bundle\",\"entry\":[\n", "entry", 2),
        (
            "{\"resourceType\":\"Bundle\",\"Zanzibar\":[{\"a\":1,\n\"a\":2}]}",
            "",
            2,
        ),
        (
            "{\"resourceType\":\"Bundle\",\"link\":[{\"url\":1,\n\"url\":2}]}",
            "link[0].url",
            2,
        ),
    ] {
        all.push(case(As::Bundle, FhirMalformed, json, path, line));
    }
    let second = |json: &str| {
        let first = "{\"request\":{\"method\":\"DELETE\",\"url\":\"Zanzibar\"}}";
        format!("{{\"resourceType\":\"Bundle\",\"entry\":[{first},\n{json}]}}")
    };
    for (json, path, line) in [
        ("\"Zanzibar\"", "entry[1]", 2),
        ("null", "entry[1]", 2),
        ("true", "entry[1]", 2),
        ("12345", "entry[1]", 2),
        ("[{\"Zanzibar\":1}]", "entry[1]", 2),
        ("\n{\"fullUrl\":\"Zanzibar\"}", "entry[1]", 3),
        (
            "{\"fullUrl\":\"a\",\n\"fullUrl\":\"Zanzibar\"}",
            "entry[1].fullUrl",
            3,
        ),
        (
            "{\"resource\":{\"resourceType\":\"Basic\"},\n\"resource\":{\"resourceType\":\"Zanzibar\"}}",
            "entry[1].resource",
            3,
        ),
        ("{\"Zanzibar\":nul}", "entry[1]", 2),
        ("{\"resource\":\nnull}", "entry[1].resource", 3),
        ("{\"resource\":\n12345}", "entry[1].resource", 3),
        ("{\"resource\":[\"Zanzibar\"]}", "entry[1].resource", 2),
        ("{\"resource\":\"Zanzibar\"}", "entry[1].resource", 2),
        ("{\"resource\":{\"Zanzibar\":+1}}", "entry[1].resource", 2),
        (
            "{\"resource\":\n{\"id\":\n\"Zanzibar\"}}",
            "entry[1].resource.resourceType",
            3,
        ),
        (
            "{\"resource\":\n{\"resourceType\":\n\"Zanzibar!\"}}",
            "entry[1].resource.resourceType",
            4,
        ),
        (
            "{\"resource\":{\"resourceType\":\"Basic\",\"meta\":{\"versionId\":1,\n\"versionId\":\"Zanzibar\"}}}",
            "entry[1].resource.meta.versionId",
            3,
        ),
        (
            "{\"resource\":{\"a\":\"\\ude00 Zanzibar\"}}",
            "entry[1].resource",
            2,
        ),
        (
            "{\"resource\":{\"resourceType\":\"Basic\",\"id\":\n1e999999}}",
            "entry[1].resource.id",
            3,
        ),
        // The first of two faults is the one that is told.
        (
            &format!("{{\"resource\":7}},{{\"resource\":{}}}", deep()),
            "entry[1].resource",
            2,
        ),
    ] {
        all.push(case(As::Bundle, FhirMalformed, second(json), path, line));
    }
    let deep_inside = second(&format!("{{\"resource\":{{\"Zanzibar\":\n{}}}}}", deep()));
    all.push(case(
        As::Bundle,
        FhirTooDeep,
        deep_inside,
        "entry[1].resource",
        3,
    ));
    let beside = second(&format!("{{\"Zanzibar\":{}}}", deep()));
    all.push(case(As::Bundle, FhirTooDeep, beside, "entry[1]", 2));
    let large = second(&format!(
        "{{\"resource\":\n{{\"Zanzibar\":\"{}\"}}}}",
        long()
    ));
    all.push(case(
        As::Bundle,
        FhirTooLarge,
        large,
        "entry[1].resource",
        3,
    ));
    let patient = "{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"Zanzibar\"}}";
    let many = second(&[patient; 3].join(",\n"));
    all.push(case(As::Bundle, FhirTooMany, many, "entry[3]", 4));
    let members: Vec<_> = (0..7).map(|at| format!("\"Zanzibar{at}\":1")).collect();
    let members = second(&format!("{{\"resource\":{{{}}}}}", members.join(",\n")));
    all.push(case(
        As::Bundle,
        FhirTooMany,
        members,
        "entry[1].resource",
        8,
    ));
}

fn lines(all: &mut Vec<Case>) {
    for (json, path, line) in [
        ("\n{\"id\":\"Zanzibar\"}", "line[1].resourceType", 2),
        ("\u{feff}{\"resourceType\":\"Basic\"}", "line[0]", 1),
        (
            "{\"resourceType\":\"Basic\"}{\"a\":\"Zanzibar\"}",
            "line[0]",
            1,
        ),
        ("{\"resourceType\":\n\"Basic\"}", "line[0].resourceType", 1),
        (
            "{\"resourceType\":\"Basic\"}\r\n\r\n  {\"id\":\"Zanzibar\",\"id\":1}",
            "line[2].id",
            3,
        ),
        ("\n\n[\"Zanzibar\"]\n", "line[2]", 3),
        ("\n12345\n", "line[1]", 2),
        (
            "\n{\"resourceType\":\"Basic\",\"id\":1e999999}",
            "line[1].id",
            2,
        ),
    ] {
        all.push(case(As::Ndjson, FhirMalformed, json, path, line));
    }
    let nested = format!(" \r\n\t\n{{\"meta\":{}}}", deep());
    all.push(case(As::Ndjson, FhirTooDeep, nested, "line[2].meta[0]", 3));
    let large = format!("\n{{\"a\":\"{}\"}}", long());
    all.push(case(As::Ndjson, FhirTooLarge, large, "line[1]", 2));
    let many = "{\"resourceType\":\"Basic\"}\n\n".repeat(4);
    all.push(case(As::Ndjson, FhirTooMany, many, "line[6]", 7));
}
