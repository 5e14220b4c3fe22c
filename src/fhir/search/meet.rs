//! Whether a value is what is asked for.

use super::super::text::Text;
use super::ask::{AskedUnit, From, Test};
use super::fold::{fold, word};
use super::value::{System, Unit, Value};
use crate::secret::SecretText;

impl Test {
    /// Whether a value is what is asked for.
    pub(super) fn meets(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (
                Self::Token {
                    system: asked,
                    code: wanted,
                },
                Value::Token { system, code },
            )
            | (
                Self::Referred {
                    system: asked,
                    code: wanted,
                },
                Value::Referred { system, code },
            ) => asked.is(system) && same_code(wanted.as_ref(), code.as_deref()),
            (Self::Label(wanted), Value::Label(text)) => {
                word(text).expose().starts_with(wanted.expose())
            }
            (Self::Reference(wanted), Value::Reference(named)) => wanted.expose() == &**named,
            (
                Self::Word {
                    word: wanted,
                    how,
                    exact,
                },
                Value::Text(text),
            ) => match exact {
                Some(exact) => exact.expose() == &**text,
                None => how.is_in(wanted.expose(), word(text).expose()),
            },
            (Self::Uri { text: wanted, how }, Value::Uri(text)) => how.is_in(wanted.expose(), text),
            (Self::Own(bounds) | Self::Stretch(bounds), Value::Stretch(start, end)) => {
                bounds.hold(*start, *end)
            }
            (
                Self::Amount {
                    bounds,
                    unit: asked,
                },
                Value::Amount { low, high, unit },
            ) => {
                let is_of = asked.as_ref().is_none_or(|asked| {
                    let unit = unit.as_ref();
                    unit.is_some_and(|unit| asked.is(unit))
                });
                is_of && bounds.hold(*low, *high)
            }
            _ => false,
        }
    }
}

fn same_code(wanted: Option<&SecretText>, code: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| code.is_some_and(|code| fold(code) == *wanted))
}

impl From {
    fn is(&self, system: &System<'_>) -> bool {
        match (self, system) {
            (Self::Any, _) | (_, System::Implied) | (Self::None, System::None) => true,
            (Self::Named(asked), System::Named(system)) => asked.expose() == &**system,
            _ => false,
        }
    }
}

impl AskedUnit {
    fn is(&self, unit: &Unit<'_>) -> bool {
        let is = |part: &Option<Text<'_>>, asked: &SecretText| {
            part.as_ref().is_some_and(|part| **part == *asked.expose())
        };
        match &self.system {
            Some(system) => is(&unit.system, system) && is(&unit.code, &self.code),
            None => is(&unit.code, &self.code) || is(&unit.text, &self.code),
        }
    }
}
