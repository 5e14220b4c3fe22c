//! What the entries of a transaction or a batch ask for.
//!
//! **Does** read each entry's request, and lends its resource as it stands.
//! **Never** carries one out, or takes a method or a header that it does not know.
//! **Format** FHIR R4, "batch/transaction" (3.1.0.11).

use std::fmt;

use base64ct::{Base64, Encoding};
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::limits::Limits;
use super::object::{Members, ReadMembers, Step, Trail, no_plain_value};
use super::read::Reader;
use super::text::Text;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// How the entries of a Bundle belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    /// All or none.
    Transaction,
    /// Each by itself.
    Batch,
}

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Delete,
    Post,
    Put,
    Patch,
    Get,
}

/// An entry of any Bundle.
pub(crate) struct Enclosed<'a> {
    pub(crate) full_url: Option<Text<'a>>,
    pub(crate) resource: Option<&'a str>,
}

/// An entry that asks for something.
pub(crate) struct Interaction<'a> {
    pub(crate) method: Method,
    /// `Type`, `Type/id` or `Type?search`.
    pub(crate) url: Text<'a>,
    pub(crate) full_url: Option<Text<'a>>,
    /// The version that has to be there.
    pub(crate) if_match: Option<u64>,
    /// Nothing may be there.
    pub(crate) if_none_match: bool,
    /// What may not be there, without its type.
    pub(crate) if_none_exist: Option<Text<'a>>,
    /// Of a patch it is a Binary.
    pub(crate) resource: Option<&'a str>,
    /// The request and its URL as they stand in the Bundle.
    request: &'a str,
    raw_url: &'a str,
}

impl<'a> Interaction<'a> {
    /// The part of the Bundle that the lines of a fault are counted from: what its place begins with.
    pub(crate) fn part_of(&self, fault: &Error) -> &'a str {
        match (fault.json_path(), self.resource) {
            (Some("request.url"), _) => self.raw_url,
            (Some("request"), _) | (_, None) => self.request,
            (_, Some(resource)) => resource,
        }
    }
}

/// The JSON Patch in a Binary; `None` where it holds none.
pub(crate) fn patch_in(binary: &str) -> Option<SecretBytes> {
    let names = &["resourceType", "contentType", "data"];
    let members = Members::read(binary, names, &mut Trail::default()).ok()?;
    let is = |name: &str, text: &str| members.text(name).is_some_and(|own| *own == *text);
    if !is("resourceType", "Binary") || !is("contentType", "application/json-patch+json") {
        return None;
    }
    let data = members
        .value("data")?
        .strip_prefix('"')?
        .strip_suffix('"')?;
    let mut bytes = SecretBytes::copy_of(data.as_bytes());
    let length = Base64::decode_in_place(bytes.expose_mut()).ok()?.len();
    Some(SecretBytes::copy_of(bytes.expose().get(..length)?))
}

const BUNDLE: &[&str; 3] = &["resourceType", "type", "entry"];
const ENTRY: &[&str; 3] = &["fullUrl", "resource", "request"];
const REQUEST: &[&str; 6] = &[
    "method",
    "url",
    "ifNoneMatch",
    "ifModifiedSince",
    "ifMatch",
    "ifNoneExist",
];

type Parsed<T> = Result<T, serde_json::Error>;

impl Reader {
    /// Reads the requests of a Bundle.
    ///
    /// # Errors
    ///
    /// Those of [`bundle`](Self::bundle).
    pub(crate) fn interactions<'a>(
        &self,
        json: &'a [u8],
    ) -> Result<(Together, Vec<Interaction<'a>>)> {
        let limits = self.limits();
        self.whole(json, |text, trail| {
            let members = Members::read(text, BUNDLE, trail)?;
            let together = match members.text("type").as_deref() {
                Some("transaction") => Together::Transaction,
                Some("batch") => Together::Batch,
                _ => return trail.down(Step::Field("type"), |_| Err(malformed())),
            };
            Ok((together, read(&members, limits, trail, interaction)?))
        })
    }

    /// Reads the entries of a Bundle of any type.
    ///
    /// # Errors
    ///
    /// Those of [`bundle`](Self::bundle).
    pub(crate) fn enclosed<'a>(&self, json: &'a [u8]) -> Result<Vec<Enclosed<'a>>> {
        let limits = self.limits();
        self.whole(json, |text, trail| {
            let members = Members::read(text, BUNDLE, trail)?;
            read(&members, limits, trail, |entry, _| {
                Ok(Enclosed {
                    full_url: entry.text("fullUrl"),
                    resource: entry.value("resource"),
                })
            })
        })
    }
}

type Entry<'a> = Members<'a, { ENTRY.len() }>;

/// Reads each entry of a Bundle.
fn read<'a, T, F: Fn(&Entry<'a>, &mut Trail) -> Parsed<T>>(
    members: &Members<'a, { BUNDLE.len() }>,
    limits: Limits,
    trail: &mut Trail,
    each: F,
) -> Parsed<Vec<T>> {
    if members.text("resourceType").as_deref() != Some("Bundle") {
        return trail.down(Step::Field("resourceType"), |_| Err(malformed()));
    }
    let Some(entries) = members.value("entry") else {
        return Ok(Vec::new());
    };
    trail.down(Step::Field("entry"), |trail| {
        let mut parser = serde_json::Deserializer::from_str(entries);
        let seed = ReadEntries {
            limits,
            trail,
            each,
        };
        let entries = seed.deserialize(&mut parser)?;
        parser.end()?;
        Ok(entries)
    })
}

struct ReadEntries<'t, F> {
    limits: Limits,
    trail: &'t mut Trail,
    each: F,
}

impl<'a, T, F: Fn(&Entry<'a>, &mut Trail) -> Parsed<T>> DeserializeSeed<'a> for ReadEntries<'_, F> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a, T, F: Fn(&Entry<'a>, &mut Trail) -> Parsed<T>> Visitor<'a> for ReadEntries<'_, F> {
    type Value = Vec<T>;

    no_plain_value!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entries of a Bundle")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Self {
            limits,
            trail,
            each,
        } = self;
        let mut entries = Vec::new();
        for index in 0.. {
            let more = trail.down(Step::Index(index), |trail| {
                let names = ENTRY;
                let seed = ReadMembers { names, trail };
                let Some(entry) = seq.next_element_seed(seed)? else {
                    return Ok(false);
                };
                if index >= limits.resources {
                    return Err(trail.beyond(ErrorKind::FhirTooMany));
                }
                entries.push(each(&entry, trail).map_err(de::Error::custom)?);
                Ok(true)
            })?;
            if !more {
                break;
            }
        }
        Ok(entries)
    }
}

fn interaction<'a>(entry: &Entry<'a>, trail: &mut Trail) -> Parsed<Interaction<'a>> {
    trail.down(Step::Field("request"), |trail| {
        let raw = entry.value("request").ok_or_else(malformed)?;
        let request = Members::read(raw, REQUEST, trail)?;
        let known = |name: &'static str, trail: &mut Trail| {
            let read = || request.text(name).ok_or_else(malformed);
            trail.down(Step::Field(name), |_| read())
        };
        let method = match &*known("method", trail)? {
            "DELETE" => Method::Delete,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "GET" => Method::Get,
            _ => return trail.down(Step::Field("method"), |_| Err(malformed())),
        };
        let if_match = match request.value("ifMatch") {
            None => None,
            Some(_) => {
                let tag = known("ifMatch", trail)?;
                let version = tag
                    .strip_prefix("W/\"")
                    .and_then(|tag| tag.strip_suffix('"'));
                let version = version.and_then(|version| version.parse().ok());
                trail.down(Step::Field("ifMatch"), |_| {
                    version.ok_or_else(malformed).map(Some)
                })?
            }
        };
        let if_none_match = match request.value("ifNoneMatch") {
            None => false,
            Some(_) if &*known("ifNoneMatch", trail)? == "*" => true,
            Some(_) => return trail.down(Step::Field("ifNoneMatch"), |_| Err(malformed())),
        };
        if request.value("ifModifiedSince").is_some() {
            return trail.down(Step::Field("ifModifiedSince"), |_| Err(malformed()));
        }
        Ok(Interaction {
            method,
            url: known("url", trail)?,
            full_url: entry.text("fullUrl"),
            if_match,
            if_none_match,
            if_none_exist: request.text("ifNoneExist"),
            resource: entry.value("resource"),
            request: raw,
            raw_url: request.value("url").unwrap_or(raw),
        })
    })
}

fn malformed() -> serde_json::Error {
    de::Error::custom("not what belongs here")
}
