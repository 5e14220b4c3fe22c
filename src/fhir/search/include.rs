//! `_include` and `_revinclude`: what comes along with the matches.

use super::added::Parameters;
use super::definitions::{Definition, Kind, types};
use super::derive::names;
use super::value::type_of;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretText;

/// Resources that are wanted besides those that match.
pub(crate) struct Include {
    /// The type that refers: that of the matches, or of what refers to them.
    pub(crate) from: &'static str,
    /// The parameter by which it refers.
    pub(crate) definition: &'static Definition,
    /// The others refer to the matches.
    pub(crate) reverse: bool,
    /// Only references to this type.
    target: Option<&'static str>,
}

impl Include {
    /// Reads `Type:parameter` or `Type:parameter:Target`. `matches` is the type of the matches.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SearchInvalid`], [`ErrorKind::SearchUnsupported`] for a chain of them (`:iterate`)
    /// and for `*`.
    pub(super) fn read(
        name: &'static str,
        value: &str,
        matches: &'static str,
        parameters: &Parameters,
    ) -> Result<Self> {
        let invalid = || Error::at_parameter(ErrorKind::SearchInvalid, name);
        if value == "*" || value.ends_with(":*") {
            return Err(Error::at_parameter(ErrorKind::SearchUnsupported, name));
        }
        let mut parts = value.split(':');
        let known = |kind: &str| types().find(|known| *known == kind).ok_or_else(invalid);
        let from = known(parts.next().ok_or_else(invalid)?)?;
        let code = parts.next().ok_or_else(invalid)?;
        let target = parts.next().map(known).transpose()?;
        let definition = parameters.definition(from, code).ok_or_else(invalid)?;
        let reverse = name == "_revinclude";
        if definition.kind != Kind::Reference || parts.next().is_some() {
            return Err(invalid());
        }
        if !reverse && from != matches {
            return Err(Error::at_parameter(ErrorKind::SearchUnsupported, name));
        }
        Ok(Self {
            from,
            definition,
            reverse,
            target,
        })
    }

    /// What brings others along with a match: what it refers to, or what it is referred to by.
    pub(crate) fn names(&self, matches: &str, json: &str) -> Vec<SecretText> {
        let of = (!self.reverse).then_some(self.definition);
        let wanted = |name: &&SecretText| {
            let kind = match self.reverse {
                true => Some(matches),
                false => type_of(name.expose()),
            };
            let is = |target: Option<&str>| target.is_none_or(|target| kind == Some(target));
            is(self.target) && (!self.reverse || is(self.definition.only))
        };
        let names = names(matches, of, json);
        let names: Vec<_> = names.iter().map(|name| SecretText::copy_of(name)).collect();
        names.iter().filter(wanted).cloned().collect()
    }
}
