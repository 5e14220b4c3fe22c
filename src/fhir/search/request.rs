//! A search string, understood.
//!
//! **Does** read `Type?parameter=value&...` with prefixes, modifiers, lists and escapes, and refuse
//! what it does not know.
//! **Never** ignores a parameter, or keeps a word of the search where it is not wiped.
//! **Format** FHIR R4, "Search" (3.1.1).

use super::added::Parameters;
use super::ask::{self, Test};
use super::definitions::{Definition, Kind};
use super::include::Include;
use super::primary::primary;
use super::words::{decoded, split};
use crate::error::{Error, ErrorKind, Result};

/// What is searched for, and how it is wanted.
pub(crate) struct Request {
    parameters: Parameters,
    pub(crate) kind: &'static str,
    pub(crate) clauses: Vec<Asked>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) includes: Vec<Include>,
    /// The latest first, by the time that the type is sorted by.
    pub(crate) newest_first: bool,
    /// Another order: by these, the next where one does not tell.
    pub(crate) sort: Vec<SortKey>,
    /// How many are wanted at once.
    pub(crate) page: Option<usize>,
}

/// One parameter's part: any of the tests has to be met, or none.
pub(crate) struct Asked {
    pub(crate) definition: &'static Definition,
    pub(crate) any: Vec<Test>,
    pub(crate) none: bool,
    /// The index finds too much: what it finds is held against the test again.
    pub(crate) confirm: bool,
}

/// A parameter that an order goes by.
pub(crate) struct SortKey {
    pub(crate) definition: &'static Definition,
    pub(crate) descending: bool,
}

/// A condition on other resources: those that a reference names, or those that refer to this one.
pub(crate) struct Chain {
    /// The parameter that refers: of this resource, or of the others.
    pub(crate) definition: &'static Definition,
    /// The others refer to this resource.
    pub(crate) reverse: bool,
    /// What is looked for among the others, for each type that they may be of.
    pub(crate) others: Vec<Request>,
}

/// The longest search that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// The most parameters, and the most values of one.
const MOST_CLAUSES: usize = 64;
const MOST_VALUES: usize = 1024;
/// The most parameters that one order goes by.
const MOST_SORT_KEYS: usize = 8;
/// How far a chain reaches.
const LONGEST_CHAIN: usize = 4;

impl Request {
    /// Reads a search.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SearchInvalid`] and [`ErrorKind::SearchUnsupported`], with the parameter's name
    /// where it is a known one.
    pub(crate) fn read(search: &str, parameters: &Parameters) -> Result<Self> {
        let invalid = || Error::from(ErrorKind::SearchInvalid);
        if search.len() > LONGEST {
            return Err(invalid());
        }
        let search = search.strip_prefix('/').unwrap_or(search);
        let (kind, rest) = search.split_once('?').unwrap_or((search, ""));
        let kind = known_type(kind).ok_or_else(invalid)?;
        let mut request = Self::of(kind, parameters);
        for pair in rest.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(invalid)?;
            let name = decoded(name).ok_or_else(invalid)?;
            let value = decoded(value).ok_or_else(invalid)?;
            request.add(name.expose(), value.expose(), LONGEST_CHAIN)?;
            if request.parts() > MOST_CLAUSES {
                return Err(invalid());
            }
        }
        Ok(request)
    }

    fn of(kind: &'static str, parameters: &Parameters) -> Self {
        Self {
            parameters: parameters.clone(),
            kind,
            clauses: Vec::new(),
            chains: Vec::new(),
            includes: Vec::new(),
            newest_first: true,
            sort: Vec::new(),
            page: None,
        }
    }

    fn parts(&self) -> usize {
        self.clauses.len() + self.chains.len() + self.includes.len()
    }

    fn add(&mut self, name: &str, value: &str, reach: usize) -> Result<()> {
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.referred(rest, value, reach);
        }
        if let Some((refers, rest)) = name.split_once('.') {
            return self.refers(refers, rest, value, reach);
        }
        match name {
            "_sort" | "_count" if reach < LONGEST_CHAIN => {
                return Err(ErrorKind::SearchInvalid.into());
            }
            "_sort" => return self.sort(value),
            "_count" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                self.page = Some(count.ok_or_else(|| at(ErrorKind::SearchInvalid, "_count"))?);
                return Ok(());
            }
            "_include" | "_revinclude" if reach == LONGEST_CHAIN => {
                let name = if name == "_include" {
                    "_include"
                } else {
                    "_revinclude"
                };
                self.includes
                    .push(Include::read(name, value, self.kind, &self.parameters)?);
                return Ok(());
            }
            _ => {}
        }
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        let Some(definition) = self.parameters.definition(self.kind, code) else {
            let result = [
                "_include",
                "_revinclude",
                "_summary",
                "_elements",
                "_total",
                "_contained",
            ];
            return Err(match result.contains(&code) {
                true => ErrorKind::SearchUnsupported.into(),
                // A name that is not known may be anything, so it is not repeated.
                false => ErrorKind::SearchInvalid.into(),
            });
        };
        if definition.expression.is_none() {
            return Err(at(ErrorKind::SearchUnsupported, definition.code));
        }
        self.ask(definition, modifier, value)
            .map_err(|kind| at(kind, definition.code))
    }

    /// `reference.parameter=value`, or `reference:Type.parameter=value`.
    fn refers(&mut self, refers: &str, rest: &str, value: &str, reach: usize) -> Result<()> {
        let (code, kind) = match refers.split_once(':') {
            Some((code, kind)) => (code, Some(kind)),
            None => (refers, None),
        };
        let definition = self.reference(self.kind, code)?;
        let invalid = || at(ErrorKind::SearchInvalid, definition.code);
        let further = reach.checked_sub(1);
        let reach = further.ok_or_else(|| at(ErrorKind::SearchUnsupported, definition.code))?;
        let named = kind
            .map(|kind| known_type(kind).ok_or_else(invalid))
            .transpose()?;
        let kinds = match named {
            Some(kind) => vec![kind],
            None => definition.targets.clone(),
        };
        // Of several types, those count that have the parameter.
        let mut others = Vec::new();
        let mut refused = None;
        for kind in &kinds {
            let mut other = Self::of(kind, &self.parameters);
            match other.add(rest, value, reach) {
                Ok(()) => others.push(other),
                Err(error) => refused = Some(error),
            }
        }
        if others.is_empty() {
            return Err(refused.unwrap_or_else(invalid));
        }
        self.chains.push(Chain {
            definition,
            reverse: false,
            others,
        });
        Ok(())
    }

    /// `_has:Type:reference:parameter=value`, without its first word.
    fn referred(&mut self, rest: &str, value: &str, reach: usize) -> Result<()> {
        let invalid = || Error::from(ErrorKind::SearchInvalid);
        let (kind, rest) = rest.split_once(':').ok_or_else(invalid)?;
        let (code, rest) = rest.split_once(':').ok_or_else(invalid)?;
        let kind = known_type(kind).ok_or_else(invalid)?;
        let definition = self.reference(kind, code)?;
        let further = reach.checked_sub(1);
        let reach = further.ok_or_else(|| at(ErrorKind::SearchUnsupported, definition.code))?;
        let mut other = Self::of(kind, &self.parameters);
        other.add(rest, value, reach)?;
        self.chains.push(Chain {
            definition,
            reverse: true,
            others: vec![other],
        });
        Ok(())
    }

    /// A parameter of a type that refers to other resources.
    fn reference(&self, kind: &str, code: &str) -> Result<&'static Definition> {
        let definition = self.parameters.definition(kind, code);
        let definition = definition.ok_or(ErrorKind::SearchInvalid)?;
        match definition.kind {
            Kind::Reference => Ok(definition),
            _ => Err(at(ErrorKind::SearchInvalid, definition.code)),
        }
    }

    /// The parameter that was added last of those that this request goes by itself, without the other
    /// resources of its chains.
    pub(crate) fn newest_parameter(&self) -> Option<&'static Definition> {
        let asked = self.clauses.iter().map(|asked| asked.definition);
        let chains = self.chains.iter().filter(|chain| !chain.reverse);
        let chains = chains.map(|chain| chain.definition);
        let sorted = self.sort.iter().map(|key| key.definition);
        let all = asked.chain(chains).chain(sorted);
        all.max_by_key(|definition| definition.since)
    }

    fn sort(&mut self, value: &str) -> Result<()> {
        let invalid = || at(ErrorKind::SearchInvalid, "_sort");
        let keys = value.split(',').map(|word| {
            let code = word.strip_prefix('-');
            let (descending, code) = (code.is_some(), code.unwrap_or(word));
            let definition = self.parameters.definition(self.kind, code);
            let definition = definition.ok_or_else(invalid)?;
            if definition.expression.is_none() || definition.kind == Kind::Composite {
                return Err(at(ErrorKind::SearchUnsupported, "_sort"));
            }
            Ok(SortKey {
                definition,
                descending,
            })
        });
        let keys: Vec<_> = keys.collect::<Result<_>>()?;
        if keys.len() > MOST_SORT_KEYS {
            return Err(invalid());
        }
        self.sort = match keys.as_slice() {
            // The records lie in that order already.
            [only] if primary(self.kind) == Some(only.definition.code) => {
                self.newest_first = only.descending;
                Vec::new()
            }
            _ => keys,
        };
        Ok(())
    }

    fn ask(
        &mut self,
        definition: &'static Definition,
        modifier: Option<&str>,
        value: &str,
    ) -> Result<(), ErrorKind> {
        if modifier == Some("missing") {
            if definition.kind == Kind::Composite {
                return Err(ErrorKind::SearchUnsupported);
            }
            let none = match value {
                "true" => true,
                "false" => false,
                _ => return Err(ErrorKind::SearchInvalid),
            };
            self.clauses.push(Asked {
                definition,
                any: vec![Test::Any],
                none,
                // Of the references that the index has, only some are of the type.
                confirm: definition.only.is_some(),
            });
            return Ok(());
        }
        let values = split(value, ',');
        if values.len() > MOST_VALUES || values.iter().any(|value| value.is_empty()) {
            return Err(ErrorKind::SearchInvalid);
        }
        if definition.kind == Kind::Composite {
            return match modifier {
                None => self.composite(definition, &values),
                Some(_) => Err(ErrorKind::SearchInvalid),
            };
        }
        let mut any = Vec::new();
        let mut confirm = false;
        for value in values {
            confirm |= ask::tests(self.kind, definition, modifier, value, &mut any)?;
        }
        confirm |= definition
            .only
            .is_some_and(|only| any.iter().any(|test| !test.names(only)));
        self.clauses.push(Asked {
            definition,
            any,
            none: modifier == Some("not"),
            confirm,
        });
        Ok(())
    }

    /// Every part is looked for by itself; that one element meets all of them is confirmed.
    fn composite(
        &mut self,
        definition: &'static Definition,
        values: &[&str],
    ) -> Result<(), ErrorKind> {
        let find = |code: &str| self.parameters.definition(self.kind, code);
        let mut whole = Vec::new();
        let mut each: Vec<Vec<Test>> = definition.parts.iter().map(|_| Vec::new()).collect();
        for value in values {
            let values = split(value, '$');
            if values.len() != definition.parts.len() {
                return Err(ErrorKind::SearchInvalid);
            }
            let mut tests = Vec::new();
            for ((part, value), each) in definition.parts.iter().zip(values).zip(&mut each) {
                let found = find(part.code).ok_or(ErrorKind::SearchUnsupported)?;
                let mut any = Vec::new();
                ask::tests(self.kind, found, None, value, &mut any)?;
                each.extend(any.iter().cloned());
                tests.push(any);
            }
            whole.push(Test::Together(tests));
        }
        for (part, any) in definition.parts.iter().zip(each) {
            let found = find(part.code);
            self.clauses.push(Asked {
                definition: found.ok_or(ErrorKind::SearchUnsupported)?,
                any,
                none: false,
                confirm: false,
            });
        }
        self.clauses.push(Asked {
            definition,
            any: whole,
            none: false,
            confirm: true,
        });
        Ok(())
    }
}

fn known_type(kind: &str) -> Option<&'static str> {
    super::definitions::types().find(|known| *known == kind)
}

fn at(kind: ErrorKind, code: &'static str) -> Error {
    Error::at_parameter(kind, code)
}
