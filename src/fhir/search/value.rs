//! What a resource can be found by: the values of one parameter, each as its kind compares it.
//!
//! **Does** read the data types that a parameter of each kind may meet.
//! **Never** refuses a resource: what is not of the kind gives no value.
//! **Format** FHIR R4, "Search" (3.1.1.4); the tables of each parameter type.

use super::super::date;
use super::super::text::Text;
use super::super::tree::{Element, Tree};
use super::definitions::Kind;
use super::path::{Expression, Found, Item};
use crate::time::Timestamp;

/// One value that a resource has for a parameter.
pub(crate) enum Value<'a> {
    /// A code or an identifier.
    Token {
        system: System<'a>,
        code: Option<Text<'a>>,
    },
    /// What `:text` looks at.
    Label(Text<'a>),
    /// An identifier by a code of its type, for `:of-type`.
    Typed {
        system: Text<'a>,
        code: Text<'a>,
        value: Text<'a>,
    },
    /// What a reference names, without a version.
    Reference(Text<'a>),
    /// The identifier in a reference, for `:identifier`.
    Referred {
        system: System<'a>,
        code: Option<Text<'a>>,
    },
    Text(Text<'a>),
    Uri(Text<'a>),
    /// From the first moment to the one that no longer belongs to it, which is later.
    Stretch(i64, i64),
    /// A number, or the lowest and the highest of a range; with a unit where it is a quantity.
    Amount {
        low: f64,
        high: f64,
        unit: Option<Unit<'a>>,
    },
}

/// Where a code comes from.
pub(crate) enum System<'a> {
    /// The element has no place for one: a `code`, a boolean, a string.
    Implied,
    None,
    Named(Text<'a>),
}

/// The unit of a quantity, as a code and as people read it.
pub(crate) struct Unit<'a> {
    pub(crate) system: Option<Text<'a>>,
    pub(crate) code: Option<Text<'a>>,
    pub(crate) text: Option<Text<'a>>,
}

/// The system of ISO 4217, which a `Money` does not name.
pub(crate) const CURRENCIES: &str = "urn:iso:std:iso:4217";

/// The parts of a name or an address that a string is looked for in.
const TEXTS: &[&str] = &[
    "text",
    "family",
    "given",
    "prefix",
    "suffix",
    "line",
    "city",
    "district",
    "state",
    "postalCode",
    "country",
];

/// Every value of a parameter of this kind that an expression finds from `start` on.
pub(super) fn values<'a>(
    kind: Kind,
    expression: &Expression,
    resource: Element<'_, 'a>,
    start: Element<'_, 'a>,
) -> Vec<Value<'a>> {
    let mut values = Vec::new();
    match expression.find(resource, start) {
        Found::Items(items) => {
            for item in items {
                read(kind, item, &mut values);
            }
        }
        Found::Answer(answer) => values.push(Value::Token {
            system: System::Implied,
            code: Some(Text::Lent(if answer { "true" } else { "false" })),
        }),
    }
    values
}

fn read<'a>(kind: Kind, item: Item<'_, 'a>, values: &mut Vec<Value<'a>>) {
    let element = item.element;
    match kind {
        Kind::Token => token(element, values),
        Kind::String => string(element, values),
        Kind::Reference => reference(element, values),
        Kind::Uri => values.extend(element.text().map(Value::Uri)),
        Kind::Date => values.extend(stretch(element)),
        Kind::Number => values.extend(number(element).map(|value| Value::Amount {
            low: value,
            high: value,
            unit: None,
        })),
        Kind::Quantity => values.extend(quantity(element)),
        Kind::Composite | Kind::Special => {}
    }
}

fn token<'a>(element: Element<'_, 'a>, values: &mut Vec<Value<'a>>) {
    if !element.is_object() {
        values.extend(element.plain().map(|code| Value::Token {
            system: System::Implied,
            code: Some(code),
        }));
        return;
    }
    if element.member("coding").is_some() {
        for coding in element.each("coding") {
            token(coding, values);
        }
        values.extend(element.text_of("text").map(Value::Label));
        return;
    }
    let system = element.text_of("system");
    let is_contact = system.as_ref().is_some_and(is_contact_system);
    let code = element.text_of("code").or_else(|| element.text_of("value"));
    let (system, value) = match system {
        Some(_) if is_contact => (System::Implied, code),
        Some(system) => (System::Named(system), code),
        None => (System::None, code),
    };
    if value.is_some() || matches!(system, System::Named(_)) {
        values.push(Value::Token {
            system,
            code: value,
        });
    }
    values.extend(element.text_of("display").map(Value::Label));
    values.extend(element.text_of("text").map(Value::Label));
    let Some(kind) = element.member("type").filter(|kind| kind.is_object()) else {
        return;
    };
    values.extend(kind.text_of("text").map(Value::Label));
    for coding in kind.each("coding") {
        let (system, code) = (coding.text_of("system"), coding.text_of("code"));
        if let (Some(system), Some(code), Some(value)) = (system, code, element.text_of("value")) {
            values.push(Value::Typed {
                system,
                code,
                value,
            });
        }
    }
}

/// What a ContactPoint is for; it is no system of codes.
fn is_contact_system(system: &Text<'_>) -> bool {
    matches!(
        &**system,
        "phone" | "fax" | "email" | "pager" | "url" | "sms" | "other"
    )
}

fn string<'a>(element: Element<'_, 'a>, values: &mut Vec<Value<'a>>) {
    if !element.is_object() {
        values.extend(element.text().map(Value::Text));
        return;
    }
    for name in TEXTS {
        let texts = element.each(name).filter_map(Element::text);
        values.extend(texts.map(Value::Text));
    }
}

fn reference<'a>(element: Element<'_, 'a>, values: &mut Vec<Value<'a>>) {
    if !element.is_object() {
        let canonical = element.text();
        let Some(canonical) = canonical.filter(|named| !named.starts_with('#')) else {
            return;
        };
        if let Some((url, _)) = canonical.split_once('|') {
            values.push(Value::Reference(Text::joined(&[url])));
        }
        values.push(Value::Reference(canonical));
        return;
    }
    if let Some(kind) = element.text_of("resourceType") {
        let id = element.text_of("id");
        values.extend(id.map(|id| Value::Reference(Text::joined(&[&kind, "/", &id]))));
        return;
    }
    let named = element
        .text_of("reference")
        .filter(|named| !named.starts_with('#'));
    values.extend(named.map(|named| Value::Reference(without_version(named))));
    if let Some(identifier) = element.member("identifier").filter(|it| it.is_object()) {
        let system = identifier.text_of("system");
        values.push(Value::Referred {
            system: system.map_or(System::None, System::Named),
            code: identifier.text_of("value"),
        });
    }
}

fn without_version(reference: Text<'_>) -> Text<'_> {
    match reference.split_once("/_history/") {
        None => reference,
        Some((thing, _)) => Text::joined(&[thing]),
    }
}

/// The type of resource that a reference names: relative or absolute, with a version or without.
pub(super) fn type_of(reference: &str) -> Option<&str> {
    let thing = reference
        .split_once("/_history/")
        .map_or(reference, |(thing, _)| thing);
    let mut parts = thing.rsplit('/');
    parts.next()?;
    parts
        .next()
        .filter(|kind| kind.starts_with(|first: char| first.is_ascii_uppercase()))
}

fn stretch(element: Element<'_, '_>) -> Option<Value<'static>> {
    let (start, end) = match element.is_object() {
        false => date::interval(&element.text()?)?,
        true => outer(element)?,
    };
    let (start, end) = (start.to_micros(), end.to_micros());
    Some(Value::Stretch(start, end.max(start.saturating_add(1))))
}

/// From the first to the last moment of a Timing, from its JSON.
pub(in crate::fhir) fn outer_limits(timing: &str) -> Option<(Timestamp, Timestamp)> {
    outer(Tree::read(timing)?.root())
}

/// A Period, or the outer limits of a Timing: its bounds, else from its first event to its last.
fn outer(element: Element<'_, '_>) -> Option<(Timestamp, Timestamp)> {
    let bounds = element
        .member("repeat")
        .and_then(|repeat| repeat.member("boundsPeriod"));
    if let Some(bounds) = bounds {
        return outer(bounds);
    }
    let events = element.each("event").filter_map(Element::text);
    let events = events.filter_map(|event| date::interval(&event));
    let all = events.reduce(|(start, end), (from, to)| (start.min(from), end.max(to)));
    all.or_else(|| {
        let (start, end) = (element.text_of("start"), element.text_of("end"));
        date::period(start.as_deref(), end.as_deref())
    })
}

fn number(element: Element<'_, '_>) -> Option<f64> {
    let raw = element.raw();
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let value = is_number.then(|| raw.parse::<f64>().ok())??;
    value.is_finite().then_some(value)
}

fn quantity<'a>(element: Element<'_, 'a>) -> Option<Value<'a>> {
    let bound = |name: &str| element.member(name).filter(|bound| bound.is_object());
    if let (low, high) = (bound("low"), bound("high"))
        && (low.is_some() || high.is_some())
    {
        let value = |bound: Option<Element<'_, '_>>, none: f64| match bound {
            Some(bound) => number(bound.member("value")?),
            None => Some(none),
        };
        return Some(Value::Amount {
            low: value(low, f64::MIN)?,
            high: value(high, f64::MAX)?,
            unit: unit(low.or(high)?),
        });
    }
    let value = number(element.member("value")?)?;
    Some(Value::Amount {
        low: value,
        high: value,
        unit: unit(element),
    })
}

fn unit<'a>(quantity: Element<'_, 'a>) -> Option<Unit<'a>> {
    if let Some(currency) = quantity.text_of("currency") {
        return Some(Unit {
            system: Some(Text::Lent(CURRENCIES)),
            code: Some(currency),
            text: None,
        });
    }
    Some(Unit {
        system: quantity.text_of("system"),
        code: quantity.text_of("code"),
        text: quantity.text_of("unit"),
    })
}
