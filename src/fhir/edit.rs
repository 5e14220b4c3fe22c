//! A resource's text, changed where it has to be and nowhere else.
//!
//! **Does** set what a store sets in a resource (`id`, `meta.versionId`, `meta.lastUpdated`), follow
//! links to where their target went, and take white space out.
//! **Never** touches a byte that nothing asked for, or leaves a copy of its own that is not wiped.
//! **Format** FHIR R4 JSON, "RESTful API" (3.1.0): what a server sets, and how a transaction's links
//! are replaced.

use std::ops::Range;

use super::links::Links;
use super::place::LineCount;
use super::text::Text;
use super::tree::{Element, Tree};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;
use crate::time::Timestamp;

/// What a store sets in a resource.
pub(crate) struct Stamp<'a> {
    pub(crate) id: &'a str,
    /// The version, and when it was made; `None` where both stay as they stand.
    pub(crate) version: Option<(u64, Updated<'a>)>,
}

/// When a resource was last changed.
pub(crate) enum Updated<'a> {
    At(Timestamp),
    /// As it stands in another resource.
    As(Text<'a>),
}

/// Changes to a document, each at a place of its own.
pub(super) struct Edits<'a> {
    json: &'a str,
    changes: Vec<(Range<usize>, SecretBytes)>,
}

impl<'a> Edits<'a> {
    pub(super) fn of(json: &'a str) -> Self {
        Self {
            json,
            changes: Vec::new(),
        }
    }

    /// Puts the parts in the place of what stands there. Of two changes at one place the first comes
    /// first.
    pub(super) fn replace(&mut self, place: Range<usize>, parts: &[&str]) {
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
        self.changes
            .push((place, SecretBytes::concatenation(&parts)));
    }

    pub(super) fn insert(&mut self, at: usize, parts: &[&str]) {
        self.replace(at..at, parts);
    }

    /// The document with the changes.
    pub(super) fn finish(mut self) -> SecretBytes {
        self.changes.sort_by_key(|(place, _)| place.start);
        let json = self.json.as_bytes();
        let mut parts = Vec::with_capacity(self.changes.len() * 2 + 1);
        let mut at = 0;
        for (place, text) in &self.changes {
            parts.push(json.get(at..place.start).unwrap_or_default());
            parts.push(text.expose());
            at = at.max(place.end);
        }
        parts.push(json.get(at..).unwrap_or_default());
        SecretBytes::concatenation(&parts)
    }
}

/// A resource as a store keeps it: with what the store sets, and with its links followed. The reader
/// has passed it.
///
/// # Errors
///
/// [`ErrorKind::FhirMalformed`] where `meta` is no object.
pub(crate) fn stamped(
    json: &str,
    stamp: Option<&Stamp<'_>>,
    links: Option<(&Links, Option<&str>)>,
) -> Result<SecretBytes> {
    let tree = Tree::read(json).ok_or(ErrorKind::FhirMalformed)?;
    let mut edits = Edits::of(json);
    if let Some(stamp) = stamp {
        set(&mut edits, json, tree.root(), stamp)?;
    }
    if let Some((links, base)) = links {
        links.follow(&mut edits, tree.root(), base);
    }
    Ok(edits.finish())
}

fn set(edits: &mut Edits<'_>, json: &str, root: Element<'_, '_>, stamp: &Stamp<'_>) -> Result<()> {
    let malformed = || Error::from(ErrorKind::FhirMalformed);
    let kind = member(root, "resourceType").ok_or_else(malformed)?;
    let after_kind = kind.place().end;
    match member(root, "id") {
        Some(id) => edits.replace(id.place(), &["\"", stamp.id, "\""]),
        None => edits.insert(after_kind, &[",\"id\":\"", stamp.id, "\""]),
    }
    let Some((version, updated)) = &stamp.version else {
        return Ok(());
    };
    let version = version.to_string();
    let made;
    let updated: &str = match updated {
        Updated::At(at) => {
            made = at.to_instant();
            &made
        }
        Updated::As(text) => text,
    };
    let Some(meta) = member(root, "meta") else {
        let after = member(root, "id").map_or(after_kind, |id| id.place().end);
        let parts = [
            ",\"meta\":{\"versionId\":\"",
            &version,
            "\",\"lastUpdated\":\"",
            updated,
            "\"}",
        ];
        edits.insert(after, &parts);
        return Ok(());
    };
    if !meta.is_object() {
        let line = LineCount::of(json.as_bytes()).line_of(meta.raw());
        return Err(Error::in_json(ErrorKind::FhirMalformed, "meta", line));
    }
    let mut is_empty = meta.children().next().is_none();
    // What is inserted first stands first, so the last goes before what was there.
    let first = meta.place().start + 1;
    for (name, value) in [("lastUpdated", updated), ("versionId", &version)] {
        match member(meta, name) {
            Some(held) => edits.replace(held.place(), &["\"", value, "\""]),
            None => {
                let comma = if is_empty { "" } else { "," };
                edits.insert(first, &["\"", name, "\":\"", value, "\"", comma]);
                is_empty = false;
            }
        }
    }
    // Both were inserted at one place: the one that has no comma behind it has to be the last.
    edits.changes.reverse();
    Ok(())
}

/// The member of that name, however it is spelt.
pub(super) fn member<'t, 'a>(object: Element<'t, 'a>, name: &str) -> Option<Element<'t, 'a>> {
    let mut children = object.children();
    children.find(|child| child.is_named(name))
}

/// When a resource says that it was last changed, as it stands there.
pub(crate) fn last_updated(json: &str) -> Option<Text<'_>> {
    let tree = Tree::read(json)?;
    member(member(tree.root(), "meta")?, "lastUpdated")?.text()
}

/// A document without white space between its parts, so that it is one line.
pub(crate) fn in_one_line(json: &str) -> SecretBytes {
    let mut parts: Vec<&[u8]> = Vec::new();
    let bytes = json.as_bytes();
    let (mut from, mut at, mut in_string) = (0, 0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => {
                parts.extend(bytes.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.extend(bytes.get(from..));
    SecretBytes::concatenation(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_in(json: &str) -> String {
        let stamp = Stamp {
            id: "new",
            version: Some((
                7,
                Updated::At(Timestamp::from_micros(1_700_000_000_123_456)),
            )),
        };
        let done = stamped(json, Some(&stamp), None).unwrap();
        String::from_utf8(done.expose().to_vec()).unwrap()
    }

    #[test]
    fn what_a_store_sets_is_set_and_every_other_byte_stays() {
        const META: &str = r#""versionId":"7","lastUpdated":"2023-11-14T22:13:20.123456Z""#;
        for (given, kept) in [
            (
                r#"{"resourceType":"Basic"}"#,
                format!(r#"{{"resourceType":"Basic","id":"new","meta":{{{META}}}}}"#),
            ),
            (
                r#"{ "a" : 1.00, "resourceType" : "Basic" , "id":"old"  }"#,
                format!(r#"{{ "a" : 1.00, "resourceType" : "Basic" , "id":"new","meta":{{{META}}}  }}"#),
            ),
            (
                r#"{"meta":{ },"id":"old","resourceType":"Basic"}"#,
                format!(r#"{{"meta":{{{META} }},"id":"new","resourceType":"Basic"}}"#),
            ),
            (
                r#"{"resourceType":"Basic","meta":{"tag":[{"code":"x"}]},"id":"old"}"#,
                format!(r#"{{"resourceType":"Basic","meta":{{{META},"tag":[{{"code":"x"}}]}},"id":"new"}}"#),
            ),
            (
                r#"{"resourceType":"Basic","meta":{"lastUpdated":"x","source":"s"},"id":"old"}"#,
                r#"{"resourceType":"Basic","meta":{"versionId":"7","lastUpdated":"2023-11-14T22:13:20.123456Z","source":"s"},"id":"new"}"#.to_owned(),
            ),
            (
                r#"{"resourceType":"Basic","meta":{"version\u0049d":3},"\u0069d":"old"}"#,
                r#"{"resourceType":"Basic","meta":{"lastUpdated":"2023-11-14T22:13:20.123456Z","version\u0049d":"7"},"\u0069d":"new"}"#.to_owned(),
            ),
        ] {
            assert_eq!(set_in(given), kept);
            assert_eq!(set_in(&kept), kept, "once more changes nothing");
        }
    }

    #[test]
    fn a_meta_that_is_no_object_is_refused_with_its_place() {
        for meta in ["null", "[]", "\"x\"", "1"] {
            let json = format!(r#"{{"resourceType":"Basic","meta":{meta}}}"#);
            let stamp = Stamp {
                id: "a",
                version: Some((1, Updated::At(Timestamp::from_micros(0)))),
            };
            let error = stamped(&json, Some(&stamp), None).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::FhirMalformed);
            assert_eq!(error.json_path(), Some("meta"));
        }
    }

    #[test]
    fn white_space_goes_from_between_and_stays_in_strings() {
        let json = "{ \"a b\" :\n[ 1 ,\t\"x \\\" \\\\\" , \" y\"] }\r\n";
        let line = in_one_line(json);
        assert_eq!(line.expose(), br#"{"a b":[1,"x \" \\"," y"]}"#);
    }
}
