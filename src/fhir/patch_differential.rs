//! JSON Patch beside the crate `json-patch`, which works on a document that is parsed: both take
//! and refuse the same patches, and come to the same value, but for what is said here.

use json_patch::jsonptr::PointerBuf;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::patched;
use crate::error::ErrorKind;

/// The value that ours comes to; `None` where it is refused.
fn ours(json: &str, patch: &str) -> Option<Value> {
    let done = match patched(json, patch) {
        Ok(done) => done,
        Err(error) => {
            let kinds = [ErrorKind::FhirMalformed, ErrorKind::PatchFailed];
            assert!(kinds.contains(&error.kind()), "{error}");
            return None;
        }
    };
    Some(serde_json::from_slice(done.expose()).expect("JSON"))
}

/// The same of theirs.
fn theirs(json: &str, patch: &str) -> Option<Value> {
    let patch: json_patch::Patch = serde_json::from_str(patch).ok()?;
    let mut document = serde_json::from_str(json).expect("JSON");
    // `json_patch::patch` panics where it takes some moves back.
    json_patch::patch_unsafe(&mut document, &patch).ok()?;
    Some(document)
}

/// Names that need care: in a pointer, in JSON, or since they look like an index.
const NAMES: [&str; 14] = [
    "a", "b", "", "0", "1", "01", "-", "a/b", "m~n", "~1", "~01", "\"", "c\\d", "é 😀",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        (-3..3_i64).prop_map(Into::into),
        Just(json!(1.5)),
        Just(json!(-12.25e-3)),
        Just(json!(u64::MAX)),
        "[ab\"\\\\\n/~é]{0,3}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// What an operation is made of, whatever the document will be by then.
#[derive(Clone, Debug)]
struct Draft {
    op: &'static str,
    path: Aim,
    from: Aim,
    value: Value,
    /// Whether a test compares with what is there, and not with `value`.
    is_true: bool,
    /// A member that is left out, or none.
    without: Option<&'static str>,
}

/// Where a pointer leads.
#[derive(Clone, Debug)]
struct Aim {
    /// Which of the document's values it begins with, and how it goes on.
    held: Index,
    more: Option<String>,
}

impl Aim {
    fn at(&self, document: &Value) -> String {
        let mut all = Vec::new();
        pointers(document, &mut PointerBuf::new(), &mut all);
        let mut pointer = self.held.get(&all).clone();
        pointer.extend(self.more.as_deref());
        pointer
    }
}

fn aim() -> impl Strategy<Value = Aim> {
    let name = prop::sample::select(&NAMES[..]);
    let name = name.prop_map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
    let more = prop_oneof![
        6 => Just(None),
        4 => name.prop_map(Some),
        3 => Just(Some("/-".to_owned())),
        2 => (0..5_usize).prop_map(|index| Some(format!("/{index}"))),
        1 => prop::sample::select(&["/~2", "/~", "/a~", "x", "/+1", "/1e0", "/18446744073709551616", "/ "][..])
            .prop_map(|odd| Some(odd.to_owned())),
    ];
    (any::<Index>(), more).prop_map(|(held, more)| Aim { held, more })
}

fn draft() -> impl Strategy<Value = Draft> {
    let op = prop::sample::select(
        &[
            "add", "add", "remove", "replace", "move", "move", "copy", "test", "test", "spam",
        ][..],
    );
    let without = prop::option::weighted(
        0.03,
        prop::sample::select(&["op", "path", "from", "value"][..]),
    );
    (
        op,
        aim(),
        aim(),
        value(),
        prop::bool::weighted(0.8),
        without,
    )
        .prop_map(|(op, path, from, value, is_true, without)| Draft {
            op,
            path,
            from,
            value,
            is_true,
            without,
        })
}

/// Every pointer that leads to a value of the document.
fn pointers(value: &Value, to: &mut PointerBuf, all: &mut Vec<String>) {
    all.push(to.to_string());
    let mut inner = |name: String, value: &Value| {
        to.push_back(&name);
        pointers(value, to, all);
        to.pop_back();
    };
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| inner(name.clone(), value)),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .for_each(|(at, value)| inner(at.to_string(), value)),
        _ => {}
    }
}

/// A patch each of whose operations is made for what the document is by then, up to one past the
/// first that fails.
fn patch(document: &Value, drafts: &[Draft]) -> Value {
    let mut operations = Vec::new();
    let mut now = Some(document.clone());
    for draft in drafts {
        let aimed = now.as_ref().unwrap_or(document);
        let (path, from) = (draft.path.at(aimed), draft.from.at(aimed));
        if draft.op == "move" && path.is_empty() && from.is_empty() {
            // The one operation that they differ in: see below.
            continue;
        }
        let held = aimed.pointer(&path);
        let held = held.filter(|_| draft.is_true && draft.op == "test");
        let value = held.unwrap_or(&draft.value);
        let mut operation = json!({"op": draft.op, "path": path, "from": from, "value": value});
        if let (Some(members), Some(name)) = (operation.as_object_mut(), draft.without) {
            members.remove(name);
        }
        let done = |now: Value| theirs(&now.to_string(), &json!([operation]).to_string());
        let after = now.take().map(done);
        operations.push(operation);
        match after {
            Some(after) => now = after,
            None => break,
        }
    }
    operations.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_come_to_the_same(
        document in value(),
        drafts in prop::collection::vec(draft(), 1..6),
        pretty: bool,
    ) {
        let patch = patch(&document, &drafts);
        let written = |value: &Value| match pretty {
            true => serde_json::to_string_pretty(value).expect("text"),
            false => value.to_string(),
        };
        let (document, patch) = (written(&document), written(&patch));
        prop_assert_eq!(ours(&document, &patch), theirs(&document, &patch), "{}\n{}", document, patch);
    }
}

#[test]
fn where_they_differ_ours_is_what_the_specification_says_or_what_a_store_needs() {
    for (document, patch, own, other) in [
        // Numbers are equal where their values are (RFC 6902, 4.6), however they are written.
        (
            r#"{"a":1.0}"#,
            r#"[{"op":"test","path":"/a","value":1}]"#,
            Some(r#"{"a":1.0}"#),
            None,
        ),
        // ...and different where only a float would take them for one.
        (
            r#"{"a":9007199254740992.5}"#,
            r#"[{"op":"test","path":"/a","value":9007199254740992.0}]"#,
            None,
            Some(r#"{"a":9007199254740992.0}"#),
        ),
        // What is moved to where it is stays there (4.4), the whole document too.
        (
            "[1]",
            r#"[{"op":"move","from":"","path":""}]"#,
            Some("[1]"),
            None,
        ),
        // No name of FHIR has a control character.
        (
            "{}",
            r#"[{"op":"add","path":"/\u0007","value":1}]"#,
            None,
            Some(r#"{"\u0007":1}"#),
        ),
    ] {
        let read = |text: Option<&str>| text.map(|text| serde_json::from_str(text).expect("JSON"));
        assert_eq!(ours(document, patch), read(own), "{patch}");
        assert_eq!(theirs(document, patch), read(other), "{patch}");
    }
}
