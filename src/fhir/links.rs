//! The links between the resources of one Bundle, and where they lead once those have ids.
//!
//! **Does** replace what a link named by the type and id that its target has now: in references, in
//! elements of the types uri, url, oid and uuid, and in what a narrative links to.
//! **Never** replaces a canonical, an identifier's value or any other text that only looks the same.
//! **Format** FHIR R4, "Transactional consistency" and "Resolving references in Bundles".

use std::collections::BTreeMap;

use super::edit::Edits;
use super::text::Text;
use super::tree::{Element, Tree};
use crate::secret::SecretText;

/// What resources were called, and their type and id.
#[derive(Default)]
pub(crate) struct Links {
    /// `None`: two resources were called so, and a link leads to neither.
    targets: BTreeMap<SecretText, Option<SecretText>>,
}

impl Links {
    /// A resource that was called `full_url` is now `named`.
    pub(crate) fn add(&mut self, full_url: &str, named: &str) {
        let (from, to) = (SecretText::copy_of(full_url), SecretText::copy_of(named));
        let held = self.targets.entry(from).or_insert_with(|| Some(to.clone()));
        if held.as_ref() != Some(&to) {
            *held = None;
        }
    }

    /// Where a link leads; `base` is what the resource it stands in was called.
    pub(crate) fn target(&self, link: &str, base: Option<&str>) -> Option<&str> {
        let find = |link: &str| {
            let target = self.targets.get(link)?;
            target.as_ref().map(SecretText::expose)
        };
        find(link).or_else(|| find(&absolute(link, base?)?))
    }

    /// Follows every link below an element.
    pub(super) fn follow(
        &self,
        edits: &mut Edits<'_>,
        element: Element<'_, '_>,
        base: Option<&str>,
    ) {
        for child in element.children() {
            // An element of an array is what the array is called.
            let name = match element.is_array() {
                true => element.name(),
                false => child.name(),
            };
            if child.is_object() || child.is_array() {
                self.follow(edits, child, base);
            } else if name == "div" {
                self.follow_in_narrative(edits, child);
            } else if NAMES.binary_search(&name).is_ok()
                && let Some(link) = child.text()
            {
                let (link, version) = match link.split_once("/_history/") {
                    Some((link, version)) => (link, Some(version)),
                    None => (&*link, None),
                };
                if let Some(target) = self.target(link, base) {
                    let version = version.map_or([""; 2], |version| ["/_history/", version]);
                    edits.replace(child.place(), &["\"", target, version[0], version[1], "\""]);
                }
            }
        }
    }

    /// A narrative is XHTML in a string: what its attributes `href` and `src` say, as it stands.
    fn follow_in_narrative(&self, edits: &mut Edits<'_>, div: Element<'_, '_>) {
        let (text, start) = (div.raw(), div.place().start);
        for attribute in ["href=", "src="] {
            for (at, _) in text.match_indices(attribute) {
                let from = at + attribute.len();
                let rest = text.get(from..).unwrap_or_default();
                let Some(quote) = ["\\\"", "'"]
                    .into_iter()
                    .find(|quote| rest.starts_with(quote))
                else {
                    continue;
                };
                let rest = rest.get(quote.len()..).unwrap_or_default();
                let Some(length) = rest.find(quote) else {
                    continue;
                };
                let link = rest.get(..length).unwrap_or_default();
                if let Some(target) = self.target(link, None) {
                    let from = start + from + quote.len();
                    edits.replace(from..from + length, &[target]);
                }
            }
        }
    }
}

/// The references of a resource that are searches, such as `Patient?identifier=1`.
pub(crate) fn conditional_references(json: &str) -> Vec<Text<'static>> {
    let Some(tree) = Tree::read(json) else {
        return Vec::new();
    };
    let condition = |element: Element<'_, '_>| {
        let text = element.text().filter(|_| element.is_named("reference"))?;
        let (kind, _) = text.split_once('?')?;
        let known = super::search::is_type(kind);
        known.then(|| Text::joined(&[&text]))
    };
    tree.all().filter_map(condition).collect()
}

/// What a resource refers to by type and id, without versions.
pub(crate) fn references(json: &str) -> Vec<Text<'static>> {
    let Some(tree) = Tree::read(json) else {
        return Vec::new();
    };
    let named = |element: Element<'_, '_>| {
        let text = element.text().filter(|_| element.is_named("reference"))?;
        let plain = text
            .split_once("/_history/")
            .map_or(&*text, |(named, _)| named);
        let (kind, id) = plain.split_once('/')?;
        let known = super::search::is_type(kind) && super::resource::is_id(id);
        known.then(|| Text::joined(&[plain]))
    };
    tree.all().filter_map(named).collect()
}

/// A relative reference beside a resource that was called `base`, such as `http://a.org/Patient/1`.
fn absolute(link: &str, base: &str) -> Option<Text<'static>> {
    let (kind, id) = link.split_once('/')?;
    if kind.contains(':') || id.contains('/') || !base.starts_with("http") {
        return None;
    }
    let (root, _) = base.rsplit_once('/')?;
    let (root, _) = root.rsplit_once('/')?;
    Some(Text::joined(&[root, "/", link]))
}

/// The elements of R4 that are of type uri, url, oid or uuid somewhere, and `reference`; in order.
const NAMES: &[&str] = &[
    "address",
    "authority",
    "authorizationUrl",
    "contentReference",
    "defaultValueOid",
    "defaultValueUri",
    "defaultValueUrl",
    "defaultValueUuid",
    "definition",
    "definitionUri",
    "derivedFromUri",
    "detail",
    "endpoint",
    "eventUri",
    "fixedOid",
    "fixedUri",
    "fixedUrl",
    "fixedUuid",
    "identifier",
    "implicitRules",
    "instantiates",
    "instantiatesUri",
    "issuer",
    "jurisdiction",
    "link",
    "location",
    "moduleUri",
    "nameUrl",
    "onlineInformation",
    "patternOid",
    "patternUri",
    "patternUrl",
    "patternUuid",
    "policy",
    "project",
    "property",
    "protocol",
    "reference",
    "relativePath",
    "rendering",
    "source",
    "sourceUri",
    "system",
    "target",
    "targetUri",
    "type",
    "uri",
    "url",
    "valueOid",
    "valueUri",
    "valueUrl",
    "valueUuid",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::edit::stamped;

    fn followed(json: &str, base: Option<&str>) -> String {
        let mut links = Links::default();
        links.add("urn:uuid:1", "Patient/p");
        links.add("http://a.org/r4/Patient/2", "Patient/q");
        links.add("urn:uuid:two", "Patient/p");
        links.add("urn:uuid:two", "Patient/q");
        let done = stamped(json, None, Some((&links, base))).unwrap();
        String::from_utf8(done.expose().to_vec()).unwrap()
    }

    #[test]
    fn links_are_followed_and_what_looks_the_same_is_left() {
        let json = r#"{"a":[{"reference":"urn:uuid:1"},{"reference":"urn:uuid:1/_history/3"}],
            "valueUri":"urn:uuid:1","instantiatesUri":["x","urn:uuid:1"],
            "identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:uuid:1"}],
            "valueCanonical":"urn:uuid:1","valueString":"urn:uuid:1",
            "b":{"reference":"urn:uuid:two"},"c":{"reference":"urn:uuid:12"},
            "text":{"div":"<a href=\"urn:uuid:1\">urn:uuid:1</a><img src='urn:uuid:1'/>"}}"#;
        let expected = r#"{"a":[{"reference":"Patient/p"},{"reference":"Patient/p/_history/3"}],
            "valueUri":"Patient/p","instantiatesUri":["x","Patient/p"],
            "identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:uuid:1"}],
            "valueCanonical":"urn:uuid:1","valueString":"urn:uuid:1",
            "b":{"reference":"urn:uuid:two"},"c":{"reference":"urn:uuid:12"},
            "text":{"div":"<a href=\"Patient/p\">urn:uuid:1</a><img src='Patient/p'/>"}}"#;
        assert_eq!(followed(json, Some("urn:uuid:9")), expected);
    }

    #[test]
    fn a_relative_reference_is_read_beside_its_own_resource() {
        let json = r#"{"reference":"Patient/2"}"#;
        let at = |base| followed(json, Some(base));
        assert_eq!(
            at("http://a.org/r4/Observation/9"),
            r#"{"reference":"Patient/q"}"#
        );
        assert_eq!(at("http://b.org/r4/Observation/9"), json);
        assert_eq!(at("urn:uuid:9"), json);
        assert_eq!(followed(json, None), json);
    }

    #[test]
    fn the_names_are_in_order() {
        assert!(NAMES.is_sorted());
    }
}
