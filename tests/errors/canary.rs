//! What must not come out, and a look at everything that an error says.

use std::collections::BTreeSet;
use std::error::Error as _;

use vitalock::{Error, ErrorKind, Passphrase, Record};

pub(crate) const DIRECTORY: &str = "canary-directory";
pub(crate) const PASSPHRASE: &str = "canary-passphrase of 4 herons";
pub(crate) const SUBJECT: &str = "Patient/canary-subject";
pub(crate) const KIND: &str = "canary-kind";
pub(crate) const BODY: &str = "canary-body";
pub(crate) const CLIENT: &str = "canary-client";

pub(crate) fn words() -> Passphrase {
    Passphrase::new(PASSPHRASE.as_bytes()).unwrap()
}

/// A record with a canary in every field.
pub(crate) fn record() -> Record {
    Record::new(KIND, BODY)
        .subject(SUBJECT)
        .client(CLIENT, 1)
        .content_type("canary/type")
        .device("canary-device")
        .app("canary-app")
}

/// Fails where a text holds a canary. Every one of them has the word in it.
pub(crate) fn look(text: &str) {
    let lower = text.to_lowercase();
    let hex: String = b"canary".iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = format!("{:?}", b"canary").replace(['[', ']'], "");
    for told in ["canary", &hex, &numbers, "/tmp/"] {
        assert!(!lower.contains(told), "{text}");
    }
}

/// The kinds that came up.
#[derive(Default)]
pub(crate) struct Seen(BTreeSet<String>);

impl Seen {
    /// Takes the error of a call that must fail with this kind.
    #[track_caller]
    pub(crate) fn error<T>(&mut self, kind: ErrorKind, result: Result<T, Error>) {
        let error = result.err().unwrap_or_else(|| panic!("no {kind:?}"));
        assert_eq!(error.kind(), kind, "{error}");
        self.said(&describe(&error));
    }

    /// Takes what another process said of an error; its kind.
    #[track_caller]
    pub(crate) fn said(&mut self, said: &str) -> ErrorKind {
        let Some((name, texts)) = said.split_once('\t') else {
            panic!("no error: {said}");
        };
        let mut kinds = ErrorKind::ALL.iter();
        let kind = *kinds.find(|kind| format!("{kind:?}") == name).unwrap();
        let display = texts.split('\t').next().unwrap();
        let rest = display
            .strip_prefix(kind.words())
            .unwrap_or_else(|| panic!("{said}"));
        assert!(is_number(rest), "{said}");
        look(texts);
        self.0.insert(name.to_owned());
        kind
    }

    /// The kinds that never came up.
    pub(crate) fn missing(&self) -> Vec<ErrorKind> {
        let all = ErrorKind::ALL.iter().copied();
        all.filter(|kind| !self.0.contains(&format!("{kind:?}")))
            .collect()
    }
}

/// Everything that an error says, on one line: its kind, then its texts.
pub(crate) fn describe(error: &Error) -> String {
    let mut texts = vec![
        format!("{:?}", error.kind()),
        error.to_string(),
        format!("{error:?}"),
        format!("{error:#?}"),
        format!("{:?} {:?}", error.os_code(), error.sqlite_code()),
        format!("{:?} {:?}", error.invalidation_reason(), error.json_path()),
        format!("{:?} {:?}", error.json_line(), error.search_parameter()),
    ];
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(format!("{cause} {cause:?}"));
        source = cause.source();
    }
    let line = texts.join("\t");
    assert!(!line.contains('\n'), "{line}");
    line
}

/// What may follow the fixed sentence.
fn is_number(rest: &str) -> bool {
    let Some(inner) = rest
        .strip_prefix(" (")
        .and_then(|rest| rest.strip_suffix(')'))
    else {
        return rest.is_empty();
    };
    let number = |text: &str| text.parse::<i32>().is_ok();
    inner == "the enrolled biometrics changed"
        || inner == "the lock screen was removed"
        || inner.starts_with("at ")
        || inner
            .strip_prefix("operating system error ")
            .is_some_and(number)
        || inner.strip_prefix("SQLite result ").is_some_and(number)
        || inner
            .strip_prefix("for ")
            .and_then(|wait| wait.strip_suffix(" s"))
            .is_some_and(number)
}

#[test]
#[should_panic(expected = "Canary")]
fn a_canary_is_seen() {
    look("an error about Canary-subject");
}

#[test]
#[should_panic(expected = "63616e617279")]
fn a_canary_in_hexadecimal_is_seen() {
    look("63616e617279");
}
