//! The search parameters that a vault has beside the official ones.
//!
//! **Does** read SearchParameter resources, give each parameter of a type a number that none had
//! before, and write the list of them down.
//! **Never** takes what it could not find resources by, or one word for two parameters.
//! **Format** FHIR R4 SearchParameter; docs/spec/05-schema-and-pragmas.md, "Added search parameters".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::read::Reader;
use super::super::tree::{Element, Tree};
use super::definitions::{Definition, Kind, definition, definitions, kind_named, types};
use super::path::Expression;
use crate::error::{Error, ErrorKind, Result};

/// Numbers begin here; below are those of the official parameters.
pub(crate) const FIRST_ADDED: i64 = 13_000;
/// Numbers end here: the index keeps two bytes for twice the number.
const END: i64 = 32_768;
/// The most parameters of types at one time.
const MOST: usize = 1_024;
const LONGEST_CODE: usize = 64;
const LONGEST_URL: usize = 1_024;
const LONGEST_EXPRESSION: usize = 4_096;

/// What the resources of a vault are searched by: the official parameters, and those that were added.
#[derive(Clone, Default)]
pub(crate) struct Parameters(Arc<List>);

#[derive(Clone, Default)]
struct List {
    /// How often the list was changed.
    generation: u64,
    /// How many numbers were given.
    given: i64,
    added: Vec<Added>,
}

/// A parameter of one type that was added.
#[derive(Clone)]
pub(crate) struct Added {
    /// The canonical URL of its SearchParameter.
    pub(crate) url: Arc<str>,
    pub(crate) kind: &'static str,
    pub(crate) definition: &'static Definition,
}

/// What a SearchParameter says, for one type or for several.
struct Wanted {
    url: String,
    kinds: Vec<&'static str>,
    code: String,
    named: String,
    expression: String,
    targets: String,
}

impl Parameters {
    /// How often the list was changed; zero where nothing was ever added.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation
    }

    pub(crate) fn added(&self) -> &[Added] {
        &self.0.added
    }

    /// The parameters of a type; `None` where R4 has no such type.
    pub(super) fn of(&self, kind: &str) -> Option<impl Iterator<Item = &'static Definition>> {
        let added = self.0.added.iter().filter(move |it| it.kind == kind);
        let added: Vec<_> = added.map(|it| it.definition).collect();
        Some(definitions(kind)?.iter().chain(added))
    }

    /// A parameter of a type by its code.
    pub(super) fn definition(&self, kind: &str, code: &str) -> Option<&'static Definition> {
        let is = |it: &&Added| it.kind == kind && it.definition.code == code;
        let added = || self.0.added.iter().find(is).map(|it| it.definition);
        definition(kind, code).or_else(added)
    }

    /// The list with a SearchParameter, in the place of one with the same URL; `None` where it is there
    /// as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FhirMalformed`] and [`ErrorKind::SearchUnsupported`] with the place,
    /// [`ErrorKind::Conflict`] where a type has another parameter of that code,
    /// [`ErrorKind::FhirTooMany`], and those of the reader.
    pub(crate) fn with(&self, json: &[u8]) -> Result<Option<Self>> {
        let wanted = Wanted::read(json)?;
        let mut list = List::clone(&self.0);
        let is_same = |it: &Added| {
            let own = it.definition;
            *it.url == wanted.url
                && own.code == wanted.code
                && kind_named(&wanted.named) == Some(own.kind)
                && own.text == wanted.expression
                && own.targets.join(" ") == wanted.targets
        };
        let same = list.added.iter().filter(|it| *it.url == wanted.url);
        let kinds: Vec<_> = same.clone().map(|it| it.kind).collect();
        if kinds == wanted.kinds && same.clone().all(is_same) {
            return Ok(None);
        }
        list.added.retain(|it| *it.url != wanted.url);
        list.generation += 1;
        let url: Arc<str> = wanted.url.as_str().into();
        for kind in &wanted.kinds {
            let taken = |it: &Added| it.kind == *kind && it.definition.code == wanted.code;
            if definition(kind, &wanted.code).is_some() || list.added.iter().any(taken) {
                return Err(Error::at_json_path(ErrorKind::Conflict, "code"));
            }
            let number = FIRST_ADDED + list.given;
            if number >= END || list.added.len() >= MOST {
                return Err(ErrorKind::FhirTooMany.into());
            }
            list.given += 1;
            let line = Line {
                number,
                since: list.generation,
                kind,
                rest: [
                    &wanted.code,
                    &wanted.named,
                    &wanted.expression,
                    &wanted.targets,
                ],
            };
            let unsupported = Error::at_json_path(ErrorKind::SearchUnsupported, "expression");
            list.added.push(Added {
                url: Arc::clone(&url),
                kind,
                definition: line.interned().ok_or(unsupported)?,
            });
        }
        Ok(Some(Self(Arc::new(list))))
    }

    /// The list without the SearchParameter of that URL; `None` where there is none.
    pub(crate) fn without(&self, url: &str) -> Option<Self> {
        let mut list = List::clone(&self.0);
        list.added.retain(|it| *it.url != *url);
        (list.added.len() < self.0.added.len()).then(|| {
            list.generation += 1;
            Self(Arc::new(list))
        })
    }

    /// The list as it is written down.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{}\t{}\n", self.0.generation, self.0.given);
        for Added {
            url,
            kind,
            definition,
        } in &self.0.added
        {
            let rest = [
                definition.code,
                definition.kind.name(),
                definition.text,
                &definition.targets.join(" "),
            ];
            let line = Line {
                number: definition.number,
                since: definition.since,
                kind,
                rest,
            };
            text.push_str(&format!("{}\t{url}\n", line.to_text()));
        }
        text
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` where it did not.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let (generation, given) = first.split_once('\t')?;
        let mut list = List {
            generation: generation.parse().ok()?,
            given: given.parse().ok()?,
            added: Vec::new(),
        };
        for line in rest.lines() {
            let mut fields = line.split('\t');
            let number: i64 = fields.next()?.parse().ok()?;
            let since = fields.next()?.parse().ok()?;
            let kind = known_type(fields.next()?)?;
            let rest = [
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            ];
            let url = fields.next()?.into();
            if !(FIRST_ADDED..FIRST_ADDED.checked_add(list.given)?).contains(&number) {
                return None;
            }
            let definition = Line {
                number,
                since,
                kind,
                rest,
            }
            .interned()?;
            list.added.push(Added {
                url,
                kind,
                definition,
            });
        }
        Some(Self(Arc::new(list)))
    }
}

/// One parameter of one type: its code, its kind, its expression and its targets.
struct Line<'a> {
    number: i64,
    since: u64,
    kind: &'static str,
    rest: [&'a str; 4],
}

impl Line<'_> {
    fn to_text(&self) -> String {
        let Self {
            number,
            since,
            kind,
            rest,
        } = self;
        format!("{number}\t{since}\t{kind}\t{}", rest.join("\t"))
    }

    /// The definition, which stays for as long as the process does, as those of the official parameters
    /// do: once, however often vaults with it are opened.
    #[expect(
        clippy::disallowed_methods,
        reason = "a definition is of the app's making and no secret, and is kept once"
    )]
    fn interned(&self) -> Option<&'static Definition> {
        static KNOWN: Mutex<BTreeMap<String, &'static Definition>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.to_text();
        if let Some(definition) = known.get(&text) {
            return Some(definition);
        }
        let [code, named, expression, targets] = self.rest;
        let targets = targets.split(' ').filter(|target| !target.is_empty());
        let root = match expression.split(['.', ' ', '(']).find(|it| !it.is_empty()) {
            Some("Resource") => "Resource",
            _ => self.kind,
        };
        let definition = Definition {
            code: String::from(code).leak(),
            kind: kind_named(named)?,
            number: self.number,
            since: self.since,
            found_under: vec![self.number],
            only: None,
            expression: Some(Expression::compile(expression, root)?),
            text: String::from(expression).leak(),
            targets: targets.map(known_type).collect::<Option<_>>()?,
            parts: Vec::new(),
        };
        let definition: &'static Definition = Box::leak(Box::new(definition));
        known.insert(text, definition);
        Some(definition)
    }
}

impl Wanted {
    fn read(json: &[u8]) -> Result<Self> {
        let malformed = |place: &str| Error::at_json_path(ErrorKind::FhirMalformed, place);
        if Reader::new().resource(json)?.kind() != "SearchParameter" {
            return Err(malformed("resourceType"));
        }
        let text = std::str::from_utf8(json).map_err(|_| malformed("resourceType"))?;
        let tree = Tree::read(text).ok_or_else(|| malformed("resourceType"))?;
        let root = tree.root();
        let field = |name: &'static str, longest: usize| {
            let text = root.text_of(name).filter(|text| {
                let plain = !text.is_empty() && text.len() <= longest;
                plain && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
            });
            let text = text.ok_or_else(|| malformed(name))?;
            // Tabs and ends of lines are what the list is divided by.
            Ok::<_, Error>(text.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let code = field("code", LONGEST_CODE)?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !code.starts_with(|first: char| first.is_ascii_alphabetic())
            || !code.bytes().all(is_letter)
        {
            return Err(malformed("code"));
        }
        let named = field("type", LONGEST_CODE)?;
        match kind_named(&named) {
            None => return Err(malformed("type")),
            Some(Kind::Composite | Kind::Special) => {
                return Err(Error::at_json_path(ErrorKind::SearchUnsupported, "type"));
            }
            Some(_) => {}
        }
        let bases = listed(root, "base")?;
        let is_all = |base: &str| base == "Resource" || base == "DomainResource";
        let kinds: Vec<_> = match bases.as_slice() {
            [] => return Err(malformed("base")),
            [all] if is_all(all) => types().collect(),
            bases => {
                let known = bases.iter().map(|base| known_type(base));
                known
                    .collect::<Option<_>>()
                    .ok_or_else(|| malformed("base"))?
            }
        };
        let targets = listed(root, "target")?;
        if targets.iter().any(|target| known_type(target).is_none()) {
            return Err(malformed("target"));
        }
        Ok(Self {
            url: field("url", LONGEST_URL)?,
            kinds,
            code,
            named,
            expression: field("expression", LONGEST_EXPRESSION)?,
            targets: targets.join(" "),
        })
    }
}

/// The texts of a list, each once.
fn listed(root: Element<'_, '_>, name: &'static str) -> Result<Vec<String>> {
    let malformed = || Error::at_json_path(ErrorKind::FhirMalformed, name);
    let mut all: Vec<String> = Vec::new();
    for text in root.each(name) {
        let text = text.text().ok_or_else(malformed)?.to_string();
        if all.len() >= MOST {
            return Err(malformed());
        }
        if !all.contains(&text) {
            all.push(text);
        }
    }
    Ok(all)
}

fn known_type(kind: &str) -> Option<&'static str> {
    types().find(|known| *known == kind)
}
