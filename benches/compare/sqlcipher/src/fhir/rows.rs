//! The rows by which a resource is found, derived as the SDK's indexer does.

use std::borrow::Cow;

use serde_json::Value;

use super::dates;
use super::parameters::{Kind, Parameter, Parameters};
use super::path::Found;

/// One row of one of the tables.
#[derive(PartialEq)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) columns: Columns<'a>,
}

#[derive(PartialEq)]
pub(crate) enum Columns<'a> {
    Date(i64, i64),
    DateTime(i64, i64),
    Number(f64),
    Quantity {
        system: &'a str,
        code: &'a str,
        value: f64,
    },
    Reference(&'a str),
    String(Cow<'a, str>),
    Token {
        system: Option<&'a str>,
        value: &'a str,
    },
    Uri(&'a str),
}

/// The elements that are a `date` and an `instant`, which JSON does not tell from a `dateTime`.
const DATES: [&str; 1] = ["birthDate"];
const INSTANTS: [&str; 2] = ["issued", "lastUpdated"];

/// Every row once.
pub(crate) fn derive<'a>(parameters: &Parameters, resource: &'a Value) -> Vec<Row<'a>> {
    let kind = resource["resourceType"].as_str().expect("it has a type");
    let mut rows = Vec::new();
    for parameter in parameters.of(kind) {
        let first = rows.len();
        for path in &parameter.paths {
            path.walk(resource, &mut |found| {
                columns(parameter, found, &mut |columns| {
                    let row = Row {
                        name: parameter.name,
                        path: parameter.text,
                        columns,
                    };
                    if !rows[first..].contains(&row) {
                        rows.push(row);
                    }
                });
            });
        }
    }
    rows
}

fn columns<'a>(parameter: &Parameter, found: Found<'a, '_>, add: &mut impl FnMut(Columns<'a>)) {
    let value = found.value;
    match parameter.kind {
        Kind::Date => date(found).into_iter().for_each(add),
        Kind::Number => value
            .as_f64()
            .map(Columns::Number)
            .into_iter()
            .for_each(add),
        Kind::Quantity => quantity(value, add),
        Kind::Reference => {
            let reference = value.as_str().or_else(|| value["reference"].as_str());
            reference.map(Columns::Reference).into_iter().for_each(add);
        }
        Kind::String => string(value).map(Columns::String).into_iter().for_each(add),
        Kind::Token => token(value, add),
        Kind::Uri => value.as_str().map(Columns::Uri).into_iter().for_each(add),
    }
}

fn date<'a>(found: Found<'a, '_>) -> Option<Columns<'a>> {
    let value = found.value;
    if let Some(text) = value.as_str() {
        if found.of == Some("Date") || DATES.contains(&found.element) {
            let (from, to) = dates::days(text)?;
            return Some(Columns::Date(from, to));
        }
        let (from, to) = dates::millis(text)?;
        let is_instant = found.of == Some("Instant") || INSTANTS.contains(&found.element);
        return Some(Columns::DateTime(from, if is_instant { from } else { to }));
    }
    let end = |name: &str| value[name].as_str().and_then(dates::millis);
    if value["event"].is_array() {
        let events = value["event"].as_array().into_iter().flatten();
        let events = events.filter_map(|event| dates::millis(event.as_str()?));
        let (from, to): (Vec<_>, Vec<_>) = events.unzip();
        return Some(Columns::DateTime(
            from.into_iter().min()?,
            to.into_iter().max()?,
        ));
    }
    (value.get("start").is_some() || value.get("end").is_some()).then(|| {
        Columns::DateTime(
            end("start").map_or(0, |(from, _)| from),
            end("end").map_or(i64::MAX, |(_, to)| to),
        )
    })
}

/// By the unit for people and by the coded one. The SDK also brings the latter to a canonical unit,
/// which changes no number of rows.
fn quantity<'a>(quantity: &'a Value, add: &mut impl FnMut(Columns<'a>)) {
    let text = |name: &str| quantity[name].as_str();
    let Some(value) = quantity["value"].as_f64() else {
        return;
    };
    if let Some(code) = text("unit") {
        let system = "";
        add(Columns::Quantity {
            system,
            code,
            value,
        });
    }
    let (system, code) = (text("system").unwrap_or(""), text("code").unwrap_or(""));
    add(Columns::Quantity {
        system,
        code,
        value,
    });
}

/// A name or an address is one string of all its parts.
fn string(value: &Value) -> Option<Cow<'_, str>> {
    if let Some(text) = value.as_str() {
        return Some(text.into());
    }
    let is_name = value.get("family").is_some() || value.get("given").is_some();
    let (parts, between) = match is_name {
        true => (&["prefix", "given", "family", "suffix", "text"][..], " "),
        false => (
            &[
                "line",
                "city",
                "district",
                "state",
                "country",
                "postalCode",
                "text",
            ][..],
            ", ",
        ),
    };
    let parts = parts.iter().flat_map(|part| match &value[part] {
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
        part => Vec::from_iter(part.as_str()),
    });
    let text = parts.collect::<Vec<_>>().join(between);
    (!text.is_empty()).then_some(text.into())
}

fn token<'a>(token: &'a Value, add: &mut impl FnMut(Columns<'a>)) {
    let text = |of: &'a Value, name: &str| of[name].as_str();
    let mut coding = |coding: &'a Value, name: &str| {
        if let Some(value) = text(coding, name) {
            let system = text(coding, "system");
            add(Columns::Token { system, value });
        }
    };
    match token {
        Value::Bool(yes) => {
            let value = if *yes { "true" } else { "false" };
            let system = None;
            add(Columns::Token { system, value });
        }
        Value::String(value) => {
            let system = None;
            add(Columns::Token { system, value });
        }
        _ => match token["coding"].as_array() {
            Some(codings) => codings.iter().for_each(|one| coding(one, "code")),
            None if token.get("code").is_some() => coding(token, "code"),
            None => coding(token, "value"),
        },
    }
}
