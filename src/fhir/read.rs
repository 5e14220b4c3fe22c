//! From bytes to resources.
//!
//! **Does** check a document against the limits, then read it as a resource, a Bundle or NDJSON.
//! **Never** parses what the scan has not passed, or lets the document's words into an error.
//! **Format** FHIR R4 JSON in UTF-8 without a byte order mark.

use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::bundle;
use super::limits::Limits;
use super::object::{Step, Trail};
use super::place;
use super::resource::Resource;
use super::scan::{Fault, scan};
use crate::error::{Error, ErrorKind, Result};

/// Reads FHIR R4 JSON within [`Limits`].
///
/// A document is read whole or refused. [`FhirMalformed`](ErrorKind::FhirMalformed) is
/// - JSON that breaks RFC 8259: text that is not UTF-8, a byte order mark, half a surrogate pair, a
///   raw control character in a string, a document that breaks off, anything after it;
/// - an object that has a member twice, however the name is spelt and wherever the object is. RFC
///   8259 leaves open which one counts; a resource that is given back byte for byte and found by
///   what it says must say one thing to all who read it;
/// - a number that is longer than 255 bytes, or too large or too close to zero for a 64-bit float,
///   such as `1e999999`: most who read it would read another;
/// - a document that is no resource: no object, or without a usable `resourceType`.
///
/// What a resource holds is otherwise not judged. Work and memory grow in step with the document,
/// whatever is in it.
///
/// # Security
///
/// Errors carry a kind and a place: the line, counted from 1
/// ([`Error::json_line`](crate::Error::json_line)), and a path of names of members that this crate
/// knows and positions counted from 0, such as `entry[17].resource.id`
/// ([`Error::json_path`](crate::Error::json_path)), where there is one to name. Of several faults
/// one is told. A document that is too large as a whole has no place.
///
/// # Examples
///
/// ```
/// use vitalock::fhir::Reader;
///
/// let bundle = br#"{"resourceType": "Bundle", "type": "collection", "entry": [
///     {"fullUrl": "urn:uuid:6c1d", "resource": {"resourceType": "Patient", "id": "p1"}},
///     {"resource": {"resourceType": "Condition", "subject": {"reference": "urn:uuid:6c1d"},
///                   "onsetDateTime": "2019"}}]}"#;
/// let resources = Reader::new().bundle(bundle)?;
/// assert_eq!(resources.len(), 2);
/// assert_eq!(resources[1].kind(), "Condition");
/// assert_eq!(resources[1].subject(), Some("Patient/p1"));
/// # Ok::<(), vitalock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    limits: Limits,
}

impl Reader {
    /// A reader with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader with these limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits }
    }

    /// Reads a document that is one resource of any type. A Bundle is taken as one resource.
    ///
    /// # Errors
    ///
    /// [`FhirMalformed`](ErrorKind::FhirMalformed), [`FhirTooDeep`](ErrorKind::FhirTooDeep),
    /// [`FhirTooLarge`](ErrorKind::FhirTooLarge), and [`FhirTooMany`](ErrorKind::FhirTooMany) for
    /// the members of an object.
    pub fn resource<'a>(&self, json: &'a [u8]) -> Result<Resource<'a>> {
        self.check_length(json)?;
        self.one(json, None)
    }

    /// Reads the entries of a document that is a Bundle of any type, in their order.
    ///
    /// An entry without a resource is passed over if it holds a request or a response, such as the
    /// deletion of a resource; else the Bundle is malformed.
    ///
    /// # Errors
    ///
    /// [`FhirMalformed`](ErrorKind::FhirMalformed), [`FhirTooDeep`](ErrorKind::FhirTooDeep),
    /// [`FhirTooLarge`](ErrorKind::FhirTooLarge) for the document or one resource, and
    /// [`FhirTooMany`](ErrorKind::FhirTooMany).
    pub fn bundle<'a>(&self, json: &'a [u8]) -> Result<Vec<Resource<'a>>> {
        self.whole(json, |text, trail| bundle::read(text, self.limits, trail))
    }

    /// Reads a document as a whole.
    pub(super) fn whole<'a, T>(
        &self,
        json: &'a [u8],
        read: impl Fn(&'a str, &mut Trail) -> Result<T, serde_json::Error>,
    ) -> Result<T> {
        self.check_length(json)?;
        self.guarded(&Document::of(json, None), read)
    }

    /// The text of a document that is JSON, whatever it says.
    pub(crate) fn json<'a>(&self, json: &'a [u8]) -> Result<&'a str> {
        self.whole(json, |text, _| {
            serde_json::from_str::<IgnoredAny>(text).map(|_| text)
        })
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Reads NDJSON: one resource a line, blank lines passed over.
    ///
    /// Each line is read when it is asked for, and a line that is refused does not stop the ones
    /// after it: whoever wants all or nothing stops at the first error. The place of a fault
    /// starts with the line, counted from 0 and with the blank ones: `line[17].resourceType`;
    /// [`Error::json_line`](crate::Error::json_line) counts from 1.
    ///
    /// Each item's error is [`FhirMalformed`](ErrorKind::FhirMalformed),
    /// [`FhirTooDeep`](ErrorKind::FhirTooDeep), [`FhirTooLarge`](ErrorKind::FhirTooLarge), or
    /// [`FhirTooMany`](ErrorKind::FhirTooMany) for the members of an object; `FhirTooMany` for the
    /// lines, or `FhirTooLarge` for the whole, is the last item.
    ///
    /// # Examples
    ///
    /// ```
    /// use vitalock::fhir::Reader;
    ///
    /// let export = b"{\"resourceType\":\"Patient\",\"id\":\"a\"}\n\n{\"id\":\"b\"}\n";
    /// let lines: Vec<_> = Reader::new().ndjson(export).collect();
    /// assert_eq!(lines[0].as_ref().unwrap().id(), Some("a"));
    /// let error = lines[1].as_ref().unwrap_err();
    /// assert_eq!(error.json_path(), Some("line[2].resourceType"));
    /// assert_eq!(error.json_line(), Some(3));
    /// ```
    pub fn ndjson<'a>(
        &self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = Result<Resource<'a>>> + use<'a> {
        let reader = *self;
        let too_large = reader.check_length(bytes).err();
        let lines = match too_large {
            Some(_) => &[][..],
            None => bytes,
        };
        let lines = lines.split(|byte| *byte == b'\n').enumerate();
        let full = lines.filter(|(_, line)| !line.iter().all(|byte| b" \t\r".contains(byte)));
        let mut left = Some(reader.limits.resources);
        let resources = full.map_while(move |(index, line)| {
            let may_read = left? > 0;
            left = left?.checked_sub(1);
            Some(match may_read {
                true => reader.one(line, Some(index)),
                false => {
                    let line = Document::of(line, Some(index));
                    Err(line.error(ErrorKind::FhirTooMany, &[], ""))
                }
            })
        });
        too_large.map(Err).into_iter().chain(resources)
    }

    fn one<'a>(&self, json: &'a [u8], line: Option<usize>) -> Result<Resource<'a>> {
        let document = Document::of(json, line);
        let length = document.json.trim_ascii_end().len();
        if length > self.limits.resource_bytes {
            return Err(document.error(ErrorKind::FhirTooLarge, &[], ""));
        }
        self.guarded(&document, |text, trail| {
            Resource::read(text, self.limits, trail)
        })
    }

    /// Scans a document, then reads it. What the scan refuses is read up to there, since there may
    /// be an earlier fault.
    fn guarded<'a, T>(
        &self,
        document: &Document<'a>,
        read: impl Fn(&'a str, &mut Trail) -> Result<T, serde_json::Error>,
    ) -> Result<T> {
        let mut trail = Trail::default();
        match scan(document.json, &self.limits) {
            Ok(text) => {
                let done = read(text, &mut trail);
                done.map_err(|fault| document.refused(text, &fault, &trail))
            }
            Err(Fault { kind, before }) => match read(before, &mut trail) {
                Err(fault) if !fault.is_eof() => Err(document.refused(before, &fault, &trail)),
                _ => Err(document.broken(kind, before)),
            },
        }
    }

    fn check_length(&self, json: &[u8]) -> Result<()> {
        match json.len() > self.limits.document_bytes {
            true => Err(ErrorKind::FhirTooLarge.into()),
            false => Ok(()),
        }
    }
}

/// A document, or a line of one, and where its text begins.
struct Document<'a> {
    json: &'a [u8],
    /// The line of NDJSON, counted from 0.
    line: Option<usize>,
    /// Lines before the text.
    above: usize,
}

impl<'a> Document<'a> {
    fn of(json: &'a [u8], line: Option<usize>) -> Self {
        let blank = json.iter().take_while(|byte| b" \t\n\r".contains(byte));
        let (blank, json) = json.split_at_checked(blank.count()).unwrap_or((&[], json));
        Self {
            json,
            line,
            above: line.unwrap_or_default() + lines_in(blank),
        }
    }

    /// What the parser says of `text`, the document or a part of it from its beginning.
    fn refused(&self, text: &str, fault: &serde_json::Error, trail: &Trail) -> Error {
        match fault.classify() {
            Category::Data => {
                let at = place::start(text, trail.steps());
                let before = text.get(..at).unwrap_or_default();
                self.error(trail.kind(), trail.steps(), before)
            }
            Category::Eof => self.broken(ErrorKind::FhirMalformed, text),
            Category::Io | Category::Syntax => {
                let before = up_to(text, fault.line(), fault.column());
                self.broken(ErrorKind::FhirMalformed, before)
            }
        }
    }

    /// The text is no document: it goes wrong after `before`.
    fn broken(&self, kind: ErrorKind, before: &str) -> Error {
        self.error(kind, &place::steps_to_end(before), before)
    }

    fn error(&self, kind: ErrorKind, steps: &[Step], before: &str) -> Error {
        let line = self
            .line
            .map(|line| [Step::Field("line"), Step::Index(line)]);
        let steps = line.iter().flatten().chain(steps).copied().collect();
        let line = self.above + lines_in(before.as_bytes()) + 1;
        let line = u64::try_from(line).unwrap_or(u64::MAX);
        Error::in_json(kind, Trail::along(steps), line)
    }
}

fn lines_in(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// The text before the byte that the parser stopped at. It counts lines from 1, and has passed the
/// byte or stands before it; a line's end counts with the line that it ends.
fn up_to(text: &str, line: usize, column: usize) -> &str {
    let mut ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    let start = match line.checked_sub(2) {
        Some(passed) => ends.nth(passed).map_or(text.len(), |(at, _)| at + 1),
        None => 0,
    };
    let mut end = (start + column).saturating_sub(1).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
