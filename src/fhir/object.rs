//! The members of a JSON object that this crate knows, still as they stand.
//!
//! **Does** pick known members out of an object, refuse a repeated one, and keep the trail to
//! whatever went wrong.
//! **Never** puts a name from the document on the trail, copies a value, or recurses into one.
//! **Format** JSON.

use std::fmt;

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::text::{Text, characters};
use crate::error::ErrorKind;

/// The longest string, with its quotes and escapes, that is worth reading: no identifier,
/// reference or date is longer.
const LONGEST_TEXT: usize = 2048;

/// One step from a document's top to a place in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Field(&'static str),
    Index(usize),
}

/// Where in the document the reader is. It grows on the way down and shrinks on the way back, so
/// after a failure it still names the place.
#[derive(Debug, Default)]
pub(super) struct Trail {
    steps: Vec<Step>,
    beyond: Option<ErrorKind>,
}

impl Trail {
    /// A trail that is at the end of these steps.
    pub(super) fn along(steps: Vec<Step>) -> Self {
        Self {
            steps,
            beyond: None,
        }
    }

    /// Goes one step down, does `work`, and comes back if that succeeds.
    pub(super) fn down<T, E>(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.steps.push(step);
        let done = work(self)?;
        self.steps.pop();
        Ok(done)
    }

    /// A parser's failure because of a limit, which the parser itself does not know.
    pub(super) fn beyond<E: serde::de::Error>(&mut self, limit: ErrorKind) -> E {
        self.beyond = Some(limit);
        E::custom("beyond a limit")
    }

    /// What went wrong, if the parser failed: a limit or, else, the document.
    pub(super) fn kind(&self) -> ErrorKind {
        self.beyond.unwrap_or(ErrorKind::FhirMalformed)
    }

    /// The steps down to where it is.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The values of an object's members with the given names.
pub(super) struct Members<'a, const N: usize> {
    names: &'static [&'static str; N],
    values: [Option<&'a str>; N],
}

impl<'a, const N: usize> Members<'a, N> {
    /// Reads the object that `json` consists of.
    pub(super) fn read(
        json: &'a str,
        names: &'static [&'static str; N],
        trail: &mut Trail,
    ) -> Result<Self, serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(json);
        let members = ReadMembers { names, trail }.deserialize(&mut parser)?;
        parser.end()?;
        Ok(members)
    }

    /// The JSON text of one member.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(known, _)| *known == name)?.1
    }

    /// The text of one member, if it is a string.
    pub(super) fn text(&self, name: &str) -> Option<Text<'a>> {
        self.value(name).and_then(text)
    }

    /// Every name in the order given, with the JSON text of the member where there is one.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, Option<&'a str>)> {
        self.names.iter().copied().zip(self.values)
    }
}

/// What a JSON string says, if `json` is one and it is not unreasonably long.
pub(super) fn text(json: &str) -> Option<Text<'_>> {
    if json.len() > LONGEST_TEXT {
        return None;
    }
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return Text::unescaped(inner);
    }
    Some(Text::Lent(inner))
}

/// For a visitor that wants no plain value: it refuses one by itself, since the parser's own error
/// would quote it. That is why such a visitor is asked for anything and not for a map or a sequence.
macro_rules! no_plain_value {
    () => {
        $crate::fhir::object::no_plain_value!(visit_bool bool, visit_f64 f64, visit_i64 i64,
            visit_str &str, visit_u64 u64);
    };
    ($($visit:ident $plain:ty),+) => {
        $(fn $visit<E: serde::de::Error>(self, _plain: $plain) -> Result<Self::Value, E> {
            Err(E::custom("a plain value is not what belongs here"))
        })+
    };
}
pub(super) use no_plain_value;

/// Reads [`Members`] out of whatever a parser is at.
pub(super) struct ReadMembers<'t, const N: usize> {
    pub(super) names: &'static [&'static str; N],
    pub(super) trail: &'t mut Trail,
}

impl<'a, const N: usize> DeserializeSeed<'a> for ReadMembers<'_, N> {
    type Value = Members<'a, N>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a, const N: usize> Visitor<'a> for ReadMembers<'_, N> {
    type Value = Members<'a, N>;

    no_plain_value!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(known) = map.next_key_seed(KnownName(self.names))? {
            let slots = self.names.iter().zip(values.iter_mut());
            let slot = known.and_then(|known| slots.into_iter().nth(known));
            let Some((name, slot)) = slot else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            self.trail.down(Step::Field(name), |_| {
                match slot.replace(map.next_value::<&RawValue>()?.get()) {
                    None => Ok(()),
                    Some(_) => Err(A::Error::custom("a member is there twice")),
                }
            })?;
        }
        Ok(Members {
            names: self.names,
            values,
        })
    }
}

/// Reads a member's name as its place in a list of known ones. It is taken as it stands, since the
/// parser would leave a copy of one with escapes behind.
pub(super) struct KnownName(pub(super) &'static [&'static str]);

impl<'a> DeserializeSeed<'a> for KnownName {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        let name = <&RawValue>::deserialize(parser)?.get();
        let name = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        Ok(name.and_then(|name| known_place(name, self.0)))
    }
}

/// Where in the list the name is that this one, as it stands between the quotes, spells.
pub(super) fn known_place(name: &str, known: &[&str]) -> Option<usize> {
    let mut known = known.iter();
    match name.contains('\\') {
        true => known.position(|known| characters(name).eq(known.chars())),
        false => known.position(|known| name == *known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str; 2] = &["a", "b"];

    fn read(json: &str) -> Result<Members<'_, 2>, String> {
        let mut trail = Trail::default();
        let members = Members::read(json, NAMES, &mut trail);
        members.map_err(|_| trail.to_string())
    }

    #[test]
    fn known_members_come_back_as_they_stand() {
        let members = read(r#"{"x":[{}], "b" : [1.00, 2] ,"\u0061":"q\"" }"#).expect("an object");
        assert_eq!(members.value("b"), Some("[1.00, 2]"));
        assert_eq!(members.value("a"), Some(r#""q\"""#));
        assert_eq!(members.text("a").as_deref(), Some("q\""));
        assert!(members.text("b").is_none());
    }

    #[test]
    fn a_repeated_member_is_refused_however_it_is_spelt() {
        assert_eq!(read(r#"{"a":1,"\u0061":2}"#).err().expect("repeated"), "a");
        assert!(read(r#"{"x":1,"x":2}"#).is_ok(), "left to the scan");
    }

    #[test]
    fn an_unknown_name_never_gets_on_the_trail() {
        assert_eq!(read(r#"{"secret":nul}"#).err().expect("malformed"), "");
        assert_eq!(read(r#"{"b":nul}"#).err().expect("malformed"), "b");
    }

    #[test]
    fn a_long_string_is_not_copied() {
        let long = format!("\"\\n{}\"", "x".repeat(LONGEST_TEXT));
        assert!(text(&long).is_none());
        assert!(matches!(text("\"short\""), Some(Text::Lent("short"))));
    }
}
