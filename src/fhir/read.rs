//! From bytes to resources.
//!
//! **Does** check a document against the limits, then read it as a resource, a Bundle or NDJSON.
//! **Never** parses what the scan has not passed, or lets the document's words into an error.
//! **Format** FHIR R4 JSON in UTF-8 without a byte order mark.

use serde::de::IgnoredAny;

use super::bundle;
use super::limits::Limits;
use super::object::{Step, Trail};
use super::resource::Resource;
use super::scan::scan;
use crate::error::{ErrorKind, Result};

/// Reads FHIR R4 JSON within [`Limits`].
///
/// A document is read whole or refused: JSON that breaks RFC 8259 (text that is not UTF-8, a byte
/// order mark, half a surrogate pair, a raw control character in a string, anything after the
/// document) is [`FhirMalformed`](ErrorKind::FhirMalformed), and so is a member that is there
/// twice where this crate reads it. What a resource holds is otherwise not judged. Work and memory
/// grow in step with the document, whatever is in it.
///
/// # Security
///
/// Errors carry a kind and, where the fault is not the document as a whole, its place: names of
/// members that this crate knows and positions counted from 0, such as `entry[17].resource.id`.
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
    /// [`FhirMalformed`](ErrorKind::FhirMalformed), [`FhirTooDeep`](ErrorKind::FhirTooDeep) and
    /// [`FhirTooLarge`](ErrorKind::FhirTooLarge).
    pub fn resource<'a>(&self, json: &'a [u8]) -> Result<Resource<'a>> {
        self.check_length(json)?;
        self.one(json, &mut Trail::default())
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
        self.guarded(json, &mut Trail::default(), read)
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
    /// starts with the line, counted from 0 and with the blank ones: `line[17].resourceType`.
    ///
    /// Each item's error is [`FhirMalformed`](ErrorKind::FhirMalformed),
    /// [`FhirTooDeep`](ErrorKind::FhirTooDeep) or [`FhirTooLarge`](ErrorKind::FhirTooLarge);
    /// [`FhirTooMany`](ErrorKind::FhirTooMany), or `FhirTooLarge` for the whole, is the last item.
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
            Some(Trail::default().down(Step::Field("line"), |trail| {
                trail.down(Step::Index(index), |trail| match may_read {
                    true => reader.one(line, trail),
                    false => Err(trail.error(ErrorKind::FhirTooMany)),
                })
            }))
        });
        too_large.map(Err).into_iter().chain(resources)
    }

    fn one<'a>(&self, json: &'a [u8], trail: &mut Trail) -> Result<Resource<'a>> {
        self.guarded(json, trail, |text, trail| {
            Resource::read(text, self.limits, trail)
        })
    }

    /// Scans `json`, then reads it. What the scan refuses is read up to there, because where the
    /// reading breaks off is the place of the fault.
    fn guarded<'a, T>(
        &self,
        json: &'a [u8],
        trail: &mut Trail,
        read: impl Fn(&'a str, &mut Trail) -> Result<T, serde_json::Error>,
    ) -> Result<T> {
        match scan(json, self.limits.depth) {
            Ok(text) => read(text, trail).map_err(|_| trail.error(trail.kind())),
            Err(fault) => match read(fault.before, trail) {
                Err(earlier) if !earlier.is_eof() => Err(trail.error(trail.kind())),
                _ => Err(trail.error(fault.kind)),
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
