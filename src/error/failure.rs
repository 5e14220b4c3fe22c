//! One failure.

use std::fmt;
use std::time::Duration;

use super::kind::ErrorKind;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a platform key can no longer release its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidationReason {
    /// A finger or a face was added or removed.
    BiometricsChanged,
    /// The device's lock screen was switched off.
    LockScreenRemoved,
    /// The platform gave another reason, or none.
    Other,
}

/// A failure: its [`kind`](Error::kind), in fixed words, and a number where the system gave one.
///
/// # Security
///
/// `Display`, `Debug` and the source chain hold fixed words, operating-system and SQLite result
/// numbers, seconds to wait, and positions and lines in a JSON document. They hold no secret, no
/// path, no identifier of a person and no clinical value, so an error may be logged.
pub struct Error {
    kind: ErrorKind,
    detail: Detail,
}

enum Detail {
    None,
    Os(i32),
    Sqlite(i32),
    Invalidated(InvalidationReason),
    RetryAfter(Duration),
    Json { path: Box<str>, line: Option<u64> },
    Parameter(&'static str),
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operating system's error number, where the failure came from there.
    pub fn os_code(&self) -> Option<i32> {
        match self.detail {
            Detail::Os(code) => Some(code),
            _ => None,
        }
    }

    /// SQLite's extended result code, where the failure came from there.
    pub fn sqlite_code(&self) -> Option<i32> {
        match self.detail {
            Detail::Sqlite(code) => Some(code),
            _ => None,
        }
    }

    /// Why the platform key was invalidated, for [`ErrorKind::ShareInvalidated`].
    pub fn invalidation_reason(&self) -> Option<InvalidationReason> {
        match self.detail {
            Detail::Invalidated(reason) => Some(reason),
            _ => None,
        }
    }

    /// How long to wait before the next attempt, for [`ErrorKind::Throttled`].
    pub fn retry_after(&self) -> Option<Duration> {
        match self.detail {
            Detail::RetryAfter(wait) => Some(wait),
            _ => None,
        }
    }

    /// Where in a FHIR document the fault lies, such as `entry[17].resource`: field names that
    /// this crate knows and positions, never a value. A name it does not know ends the path.
    pub fn json_path(&self) -> Option<&str> {
        match &self.detail {
            Detail::Json { path, .. } => Some(path.as_ref()).filter(|path| !path.is_empty()),
            _ => None,
        }
    }

    /// On which line of a FHIR document the fault lies, counted from 1: that of the byte where it
    /// stops being JSON, or else that where the value at [`Error::json_path`] begins, or the object
    /// it is missing in. `None` where the document as a whole is at fault.
    pub fn json_line(&self) -> Option<u64> {
        match self.detail {
            Detail::Json { line, .. } => line,
            _ => None,
        }
    }

    /// Which search parameter the fault is with: the code that its definition gives it, never what
    /// the search said.
    pub fn search_parameter(&self) -> Option<&'static str> {
        match self.detail {
            Detail::Parameter(code) => Some(code),
            _ => None,
        }
    }

    /// The same failure, of an entry of a Bundle that begins on this line.
    pub(crate) fn in_entry(self, index: usize, line: u64) -> Self {
        self.inside(format!("entry[{index}]"), line)
    }

    /// The same failure, of a line of NDJSON.
    pub(crate) fn in_line(self, index: u64) -> Self {
        self.inside(format!("line[{index}]"), index.saturating_add(1))
    }

    fn inside(self, outer: String, first: u64) -> Self {
        let (path, line) = match self.detail {
            Detail::None => (outer, first),
            Detail::Json { path, line } => {
                let below = line.unwrap_or(1).saturating_sub(1);
                let path = match &*path {
                    "" => outer,
                    path if path.starts_with('[') => format!("{outer}.resource{path}"),
                    path => format!("{outer}.{path}"),
                };
                (path, first.saturating_add(below))
            }
            detail => return Self { detail, ..self },
        };
        Self {
            detail: Detail::Json {
                path: path.into(),
                line: Some(line),
            },
            ..self
        }
    }

    pub(crate) fn os(kind: ErrorKind, code: i32) -> Self {
        Self {
            kind,
            detail: Detail::Os(code),
        }
    }

    pub(crate) fn sqlite(kind: ErrorKind, code: i32) -> Self {
        Self {
            kind,
            detail: Detail::Sqlite(code),
        }
    }

    pub(crate) fn invalidated(reason: InvalidationReason) -> Self {
        Self {
            kind: ErrorKind::ShareInvalidated,
            detail: Detail::Invalidated(reason),
        }
    }

    pub(crate) fn throttled(wait: Duration) -> Self {
        Self {
            kind: ErrorKind::Throttled,
            detail: Detail::RetryAfter(wait),
        }
    }

    pub(crate) fn at_parameter(kind: ErrorKind, code: &'static str) -> Self {
        Self {
            kind,
            detail: Detail::Parameter(code),
        }
    }

    /// At a place in a document, whichever line that is on.
    pub(crate) fn at_json_path(kind: ErrorKind, path: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            detail: Detail::Json {
                path: path.into(),
                line: None,
            },
        }
    }

    /// At a place in a document; the path is empty where that is its top, or has no known name.
    pub(crate) fn in_json(kind: ErrorKind, path: impl fmt::Display, line: u64) -> Self {
        let path = path.to_string().into();
        Self {
            kind,
            detail: Detail::Json {
                path,
                line: Some(line),
            },
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self {
            kind,
            detail: Detail::None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.words())?;
        match &self.detail {
            Detail::None => Ok(()),
            Detail::Os(code) => write!(f, " (operating system error {code})"),
            Detail::Sqlite(code) => write!(f, " (SQLite result {code})"),
            Detail::Invalidated(InvalidationReason::BiometricsChanged) => {
                f.write_str(" (the enrolled biometrics changed)")
            }
            Detail::Invalidated(InvalidationReason::LockScreenRemoved) => {
                f.write_str(" (the lock screen was removed)")
            }
            Detail::Invalidated(InvalidationReason::Other) => Ok(()),
            Detail::RetryAfter(wait) => write!(f, " (for {} s)", wait.as_secs().saturating_add(1)),
            Detail::Json { path, line: None } => write!(f, " (at {path})"),
            Detail::Json {
                path,
                line: Some(line),
            } => match &**path {
                "" => write!(f, " (at line {line})"),
                path => write!(f, " (at {path}, line {line})"),
            },
            Detail::Parameter(code) => write!(f, " (at {code})"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.kind)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_words_of_its_own() {
        let mut words: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.words()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn the_text_is_the_fixed_sentence_and_a_number() {
        let error = Error::os(ErrorKind::Io, 5);
        assert_eq!(
            error.to_string(),
            "a file operation failed (operating system error 5)"
        );
        assert_eq!(error.os_code(), Some(5));
        let error = Error::in_json(ErrorKind::FhirTooDeep, "entry[17].resource", 4031);
        assert_eq!(
            error.to_string(),
            "the FHIR document is nested too deeply (at entry[17].resource, line 4031)"
        );
        assert_eq!(
            (error.json_path(), error.json_line()),
            (Some("entry[17].resource"), Some(4031))
        );
        let error = Error::in_json(ErrorKind::FhirMalformed, "", 2);
        assert_eq!(
            error.to_string(),
            "the FHIR document is malformed (at line 2)"
        );
        assert_eq!((error.json_path(), error.json_line()), (None, Some(2)));
    }
}
