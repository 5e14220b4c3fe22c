//! The cases that implementations of JSON Patch (RFC 6902) share, on resources of a vault.
//!
//! A case's document is a member of a resource, and its pointers lead there, so that a case about a
//! whole document is one about a whole member.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use support::{Keystore, Scratch, make_vault, words};
use vitalock::{Credentials, ErrorKind, FhirStore, Precondition};

#[derive(Deserialize)]
struct Case {
    comment: Option<String>,
    doc: Option<Box<RawValue>>,
    patch: Option<Box<RawValue>>,
    expected: Option<Value>,
    error: Option<String>,
    #[serde(default)]
    disabled: bool,
}

/// What is left out by default, since implementations differ: it goes as the specification has it.
const DISABLED: &[(&str, Result<&str, ErrorKind>)] = &[
    // RFC 6902, appendix A.13: with a member twice it is no JSON that we take.
    (
        "A.13 Invalid JSON Patch Document",
        Err(ErrorKind::FhirMalformed),
    ),
    ("Toplevel scalar values OK?", Ok("\"bar\"")),
    ("Whole document", Ok("{\"foo\":1}")),
    ("duplicate ops", Err(ErrorKind::FhirMalformed)),
];

#[test]
fn the_shared_cases_come_out_as_they_say() {
    let (scratch, keystore, words) = (Scratch::in_memory(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let fhir = session.fhir();
    let mut count = 0;
    for text in [include_str!("tests.json"), include_str!("spec_tests.json")] {
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        for (at, case) in cases.iter().enumerate() {
            let (Some(doc), Some(patch)) = (&case.doc, &case.patch) else {
                continue;
            };
            let name = case.comment.as_deref().unwrap_or_default();
            let told = format!("{at}: {name}: {patch}");
            let done = patched(&fhir, doc.get(), patch.get());
            let expected = match DISABLED.iter().find(|(disabled, _)| *disabled == name) {
                Some((_, expected)) => {
                    assert!(case.disabled, "{told}");
                    expected.map(|text| Some(serde_json::from_str(text).unwrap()))
                }
                None => {
                    assert!(!case.disabled, "{told}");
                    match &case.error {
                        Some(_) => Err(done
                            .as_ref()
                            .err()
                            .copied()
                            .unwrap_or(ErrorKind::PatchFailed)),
                        None => Ok(case.expected.clone()),
                    }
                }
            };
            match expected {
                Ok(Some(value)) => assert_eq!(done, Ok(value), "{told}"),
                Ok(None) => assert!(done.is_ok(), "{told}"),
                Err(kind) => assert_eq!(done, Err(kind), "{told}"),
            }
            if let Err(kind) = done {
                let is_of_patch = matches!(kind, ErrorKind::PatchFailed | ErrorKind::FhirMalformed);
                assert!(is_of_patch, "{told}");
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

/// The document after a patch.
fn patched(fhir: &FhirStore, doc: &str, patch: &str) -> Result<Value, ErrorKind> {
    let resource = format!(r#"{{"resourceType":"Basic","id":"b","doc":{doc}}}"#);
    fhir.update(resource.as_bytes(), Precondition::None)
        .unwrap();
    let patch = below(patch, "/doc");
    let done = fhir.patch("Basic/b", patch.as_bytes(), Precondition::None);
    done.map_err(|error| error.kind())?;
    let held = fhir.read("Basic/b").unwrap().unwrap();
    let mut held: Value = serde_json::from_slice(held.body()).unwrap();
    Ok(held["doc"].take())
}

/// The patch with its pointers leading from one place further up.
fn below(patch: &str, place: &str) -> String {
    let mut done = patch.to_owned();
    for name in ["\"path\"", "\"from\""] {
        let mut parts = done.split(name);
        let mut moved = parts.next().unwrap().to_owned();
        for part in parts {
            moved.push_str(name);
            let value = part.find(|sign: char| sign != ':' && !sign.is_whitespace());
            let (before, value) = part.split_at(value.unwrap());
            // What is no pointer stays none.
            match value.strip_prefix('"') {
                Some(pointer) if pointer.starts_with(['/', '"']) => {
                    moved.extend([before, "\"", place, pointer]);
                }
                _ => moved.extend([before, value]),
            }
        }
        done = moved;
    }
    done
}
