//! One value of a search, as its parameter compares it.
//!
//! **Does** read prefixes, precision, systems and units.
//! **Never** takes a value of another kind for one of its own.
//! **Format** FHIR R4, "Search" (3.1.1.4): number, date, string, token, reference, quantity, uri.

use super::bounds::{amount, stretch};
use super::definitions::{Definition, Kind, types};
use super::fold::{fold, word};
use super::primary::primary;
use super::value::type_of;
use super::words::{split, unescaped};
use crate::error::ErrorKind;
use crate::secret::SecretText;
use crate::storage::{Bounds, LONGEST_WORD, Whole};

/// What a value has to be.
#[derive(Clone)]
pub(crate) enum Test {
    /// Anything.
    Any,
    Token {
        system: From,
        code: Option<SecretText>,
    },
    /// The text of a code.
    Label(SecretText),
    Typed {
        system: SecretText,
        code: SecretText,
        value: SecretText,
    },
    Reference(SecretText),
    Referred {
        system: From,
        code: Option<SecretText>,
    },
    Word {
        word: SecretText,
        how: Whole,
        /// It has to stand there letter for letter.
        exact: Option<SecretText>,
    },
    Uri {
        text: SecretText,
        how: Whole,
    },
    /// The time that the type is put in order by.
    Own(Bounds<i64>),
    Stretch(Bounds<i64>),
    Amount {
        bounds: Bounds<f64>,
        unit: Option<AskedUnit>,
    },
    /// Any of each part, in one element.
    Together(Vec<Vec<Self>>),
}

/// The system that a code has to be of.
#[derive(Clone)]
pub(crate) enum From {
    Any,
    None,
    Named(SecretText),
}

/// A unit by its code in a system, or by its code or text in any.
#[derive(Clone)]
pub(crate) struct AskedUnit {
    pub(crate) system: Option<SecretText>,
    pub(crate) code: SecretText,
}

pub(super) type Parsed<T> = Result<T, ErrorKind>;

pub(super) const INVALID: ErrorKind = ErrorKind::SearchInvalid;

impl Test {
    /// Whether it is for a resource of this type.
    pub(crate) fn names(&self, kind: &str) -> bool {
        matches!(self, Self::Reference(named) if type_of(named.expose()) == Some(kind))
    }
}

/// Adds the tests that one value of a parameter comes to; whether what the index finds by them has to
/// be confirmed.
pub(super) fn tests(
    of: &str,
    definition: &Definition,
    modifier: Option<&str>,
    value: &str,
    tests: &mut Vec<Test>,
) -> Parsed<bool> {
    match definition.kind {
        // An id is compared as it stands.
        Kind::Token if definition.code == "_id" && modifier.is_none_or(|it| it == "not") => {
            let code = Some(text(value)?);
            let system = From::Any;
            tests.push(Test::Token { system, code });
            Ok(false)
        }
        Kind::Token => token(modifier, value, tests),
        Kind::String => string(modifier, value, tests),
        Kind::Reference => reference(definition, modifier, value, tests).map(|()| false),
        Kind::Uri => uri(modifier, value, tests),
        Kind::Date => {
            plain(modifier)?;
            let is_own = primary(of) == Some(definition.code);
            let bounds = stretch(value)?.into_iter();
            tests.extend(bounds.map(|bounds| match is_own {
                true => Test::Own(bounds),
                false => Test::Stretch(bounds),
            }));
            Ok(false)
        }
        Kind::Number => {
            plain(modifier)?;
            let unit = None;
            let bounds = amount(value)?;
            tests.push(Test::Amount { bounds, unit });
            Ok(false)
        }
        Kind::Quantity => {
            plain(modifier)?;
            tests.push(quantity(value)?);
            Ok(false)
        }
        Kind::Composite | Kind::Special => Err(ErrorKind::SearchUnsupported),
    }
}

/// No modifier belongs to parameters of this kind.
fn plain(modifier: Option<&str>) -> Parsed<()> {
    match modifier {
        None => Ok(()),
        Some(_) => Err(INVALID),
    }
}

fn text(value: &str) -> Parsed<SecretText> {
    unescaped(value).ok_or(INVALID)
}

/// `[system]|[code]`, `|[code]`, `[system]|` or `[code]`.
fn coded(value: &str) -> Parsed<(From, Option<SecretText>)> {
    let (system, code) = match *split(value, '|') {
        [code] => (From::Any, code),
        ["", code] if !code.is_empty() => (From::None, code),
        [system, code] if !system.is_empty() => (From::Named(text(system)?), code),
        _ => return Err(INVALID),
    };
    let code = match code {
        "" => None,
        code => Some(text(code)?),
    };
    Ok((system, code))
}

fn token(modifier: Option<&str>, value: &str, tests: &mut Vec<Test>) -> Parsed<bool> {
    match modifier {
        None | Some("not") => {
            let (system, code) = coded(value)?;
            let code = code.map(|code| fold(code.expose()));
            tests.push(Test::Token { system, code });
            Ok(false)
        }
        Some("text") => {
            tests.push(Test::Label(word(text(value)?.expose())));
            Ok(true)
        }
        Some("of-type") => match *split(value, '|') {
            [system, code, value] if ![system, code, value].contains(&"") => {
                tests.push(Test::Typed {
                    system: text(system)?,
                    code: fold(text(code)?.expose()),
                    value: fold(text(value)?.expose()),
                });
                Ok(false)
            }
            _ => Err(INVALID),
        },
        Some("in" | "not-in" | "above" | "below") => Err(ErrorKind::SearchUnsupported),
        Some(_) => Err(INVALID),
    }
}

fn string(modifier: Option<&str>, value: &str, tests: &mut Vec<Test>) -> Parsed<bool> {
    let asked = text(value)?;
    let word = word(asked.expose());
    let (how, exact) = match modifier {
        None => (Whole::Start, None),
        Some("contains") => (Whole::Part, None),
        Some("exact") => (Whole::All, Some(asked)),
        Some(_) => return Err(INVALID),
    };
    // Words of the index are cut: what is longer, or may lie beyond, is looked for in the resource.
    let long = word.expose().len() >= LONGEST_WORD;
    if how == Whole::Part && long {
        return Err(ErrorKind::SearchUnsupported);
    }
    let confirm = long || exact.is_some();
    tests.push(Test::Word { word, how, exact });
    Ok(confirm)
}

fn reference(
    definition: &Definition,
    modifier: Option<&str>,
    value: &str,
    tests: &mut Vec<Test>,
) -> Parsed<()> {
    if modifier == Some("identifier") {
        let (system, code) = coded(value)?;
        let code = code.map(|code| fold(code.expose()));
        tests.push(Test::Referred { system, code });
        return Ok(());
    }
    let asked = text(value)?;
    let asked = asked.expose();
    let asked = asked
        .split_once("/_history/")
        .map_or(asked, |(thing, _)| thing);
    let whole = asked.contains(['/', ':', '|']);
    let of_type = |kind: &str| Test::Reference(SecretText::copy_of(&format_reference(kind, asked)));
    match modifier {
        Some(kind) if !types().any(|known| known == kind) => return Err(INVALID),
        Some(kind) if !whole => tests.push(of_type(kind)),
        Some(kind) if type_of(asked) != Some(kind) => return Err(INVALID),
        None if !whole && definition.targets.is_empty() => return Err(INVALID),
        None if !whole => tests.extend(definition.targets.iter().map(|kind| of_type(kind))),
        _ => tests.push(Test::Reference(SecretText::copy_of(asked))),
    }
    Ok(())
}

fn format_reference(kind: &str, id: &str) -> super::super::text::Text<'static> {
    super::super::text::Text::joined(&[kind, "/", id])
}

fn uri(modifier: Option<&str>, value: &str, tests: &mut Vec<Test>) -> Parsed<bool> {
    let asked = text(value)?;
    if asked.expose().len() >= LONGEST_WORD {
        return Err(ErrorKind::SearchUnsupported);
    }
    let test = |text: &str, how| Test::Uri {
        text: SecretText::copy_of(text),
        how,
    };
    tests.push(test(asked.expose(), Whole::All));
    match modifier {
        None => {}
        Some("below") => {
            let whole = asked.expose().trim_end_matches('/');
            let inside = super::super::text::Text::joined(&[whole, "/"]);
            tests.push(test(whole, Whole::All));
            tests.push(test(&inside, Whole::Start));
        }
        Some("above") => {
            let mut rest = asked.expose();
            while let Some((above, _)) = rest.rsplit_once('/') {
                if above.ends_with('/') || above.is_empty() {
                    break;
                }
                let with_sign = rest.get(..=above.len()).unwrap_or(above);
                tests.push(test(with_sign, Whole::All));
                tests.push(test(above, Whole::All));
                rest = above;
            }
        }
        Some(_) => return Err(INVALID),
    }
    Ok(false)
}

/// `[number]`, `[number]|[system]|[code]` or `[number]||[code]`.
fn quantity(value: &str) -> Parsed<Test> {
    let (number, unit) = match *split(value, '|') {
        [number] | [number, "", ""] => (number, None),
        [number, system, code] if !code.is_empty() => {
            let system = match system {
                "" => None,
                system => Some(text(system)?),
            };
            let code = text(code)?;
            (number, Some(AskedUnit { system, code }))
        }
        _ => return Err(INVALID),
    };
    let bounds = amount(number)?;
    Ok(Test::Amount { bounds, unit })
}
