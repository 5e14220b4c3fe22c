//! An evaluator that reads every resource: the official expressions, walked as text over the JSON,
//! and the rules of comparison, each written down once more. It shares nothing with the crate.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

const TABLE: &str = include_str!("../../src/fhir/search/parameters.tsv");

/// Type and code to kind, expression and targets.
pub(crate) type Table = BTreeMap<(&'static str, &'static str), (&'static str, &'static str)>;

pub(crate) fn table() -> Table {
    let rows = TABLE.lines().skip(1);
    let row = |line: &'static str| {
        let fields: Vec<_> = line.split('\t').collect();
        ((fields[0], fields[1]), (fields[2], fields[3]))
    };
    rows.map(row).collect()
}

/// What an expression of one type finds in a resource, with the type that a choice names.
pub(crate) fn evaluate(expression: &str, resource: &Value) -> Vec<(String, Value)> {
    if let Some((path, _)) = expression.split_once(".exists() and ") {
        let found = evaluate(path, resource);
        let answer = found.iter().any(|(_, value)| *value != Value::Bool(false));
        return vec![("Boolean".to_owned(), Value::Bool(answer))];
    }
    let mut found = Vec::new();
    for part in expression.split(" | ") {
        found.extend(walk(part.trim(), resource));
    }
    found
}

fn walk(path: &str, resource: &Value) -> Vec<(String, Value)> {
    // `(A.b as C).d` is `A.b`, then `as C`, then `d`.
    let path = match path.strip_prefix('(').and_then(|path| path.split_once(')')) {
        Some((inner, rest)) => format!("{}){rest}", inner.replace(" as ", ".as(")),
        None => match path.split_once(" as ") {
            Some((path, kind)) => format!("{path}.as({kind})"),
            None => path.to_owned(),
        },
    };
    let mut steps = Vec::new();
    let (mut depth, mut step) = (0, String::new());
    for character in path.chars() {
        match character {
            '.' if depth == 0 => steps.push(std::mem::take(&mut step)),
            _ => {
                depth += i32::from(character == '(') - i32::from(character == ')');
                step.push(character);
            }
        }
    }
    steps.push(step);
    let mut now = vec![(String::new(), resource.clone())];
    for step in steps.into_iter().skip(1) {
        now = follow(&step, now);
    }
    now
}

fn follow(step: &str, now: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let argument = step
        .split_once('(')
        .map(|(_, rest)| rest.trim_end_matches(')'));
    if let Some(kind) = argument.filter(|_| step.starts_with("as(")) {
        let same = |name: &str| name.is_empty() || name.eq_ignore_ascii_case(kind);
        return now.into_iter().filter(|(name, _)| same(name)).collect();
    }
    if let Some(kind) = step.strip_prefix("where(resolve() is ") {
        let kind = kind.trim_end_matches(')');
        let is = |value: &Value| match (value["type"].as_str(), value["reference"].as_str()) {
            (Some(says), _) => says == kind,
            (None, Some(reference)) => {
                let thing = reference.split("/_history/").next().unwrap();
                let parts: Vec<_> = thing.split('/').collect();
                parts.len() >= 2 && parts[parts.len() - 2] == kind
            }
            _ => false,
        };
        return now.into_iter().filter(|(_, value)| is(value)).collect();
    }
    if let Some(condition) = argument.filter(|_| step.starts_with("where(")) {
        let (member, value) = condition.split_once('=').unwrap();
        let value = value.trim_matches('\'');
        return now
            .into_iter()
            .filter(|(_, it)| it[member] == value)
            .collect();
    }
    let (name, index) = match step.split_once('[') {
        Some((name, index)) => (
            name,
            Some(index.trim_end_matches(']').parse::<usize>().unwrap()),
        ),
        None => (step, None),
    };
    let mut found = Vec::new();
    for (_, value) in now {
        for (member, held) in value.as_object().into_iter().flatten() {
            let Some(kind) = member.strip_prefix(name) else {
                continue;
            };
            if !kind.is_empty() && !is_type(kind) {
                continue;
            }
            match held {
                Value::Array(all) => {
                    found.extend(all.iter().map(|it| (kind.to_owned(), it.clone())))
                }
                other => found.push((kind.to_owned(), other.clone())),
            }
        }
    }
    match index {
        Some(index) => found.into_iter().skip(index).take(1).collect(),
        None => found,
    }
}

fn is_type(name: &str) -> bool {
    const NAMES: &str = " Age Boolean CodeableConcept Date DateTime Duration Identifier Instant Integer \
        Period Quantity Range Reference SampledData String Timing Uri Canonical Decimal Time Ratio Money \
        Attachment Annotation Count Distance Coding Code ContactPoint HumanName Address ";
    NAMES.contains(&format!(" {name} "))
}

/// What a token's system is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum System {
    Implied,
    None,
    Named(String),
}

/// The codes of an element.
pub(crate) fn tokens(value: &Value) -> Vec<(System, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::Object(object) => {
            if let Some(coding) = object.get("coding") {
                return coding
                    .as_array()
                    .into_iter()
                    .flatten()
                    .flat_map(tokens)
                    .collect();
            }
            let contact = ["phone", "fax", "email", "pager", "url", "sms", "other"];
            let system = match object.get("system").and_then(Value::as_str) {
                Some(system) if contact.contains(&system) => System::Implied,
                Some(system) => System::Named(system.to_owned()),
                None => System::None,
            };
            let code = object
                .get("code")
                .or_else(|| object.get("value"))
                .and_then(text);
            match (&system, &code) {
                (System::Named(_), _) | (_, Some(_)) => vec![(system, code)],
                _ => Vec::new(),
            }
        }
        Value::String(code) => vec![(System::Implied, Some(code.clone()))],
        Value::Bool(_) | Value::Number(_) => vec![(System::Implied, Some(value.to_string()))],
        _ => Vec::new(),
    }
}

/// Whether a resource's token is `system|code`, `|code`, `system|` or `code`.
pub(crate) fn is_token(asked: &str, value: &Value) -> bool {
    let (system, code) = match asked.split_once('|') {
        None => (None, asked),
        Some((system, code)) => (Some(system), code),
    };
    tokens(value).into_iter().any(|(held, has)| {
        let same_system = match (system, &held) {
            (None, _) | (_, System::Implied) => true,
            (Some(""), System::None) => true,
            (Some(asked), System::Named(held)) => asked == held,
            _ => false,
        };
        let same_code =
            code.is_empty() || has.is_some_and(|has| has.to_lowercase() == code.to_lowercase());
        same_system && same_code
    })
}

/// From the first microsecond to the first that no longer belongs to it.
pub(crate) fn stretch(value: &Value) -> Option<(i64, i64)> {
    match value {
        Value::String(text) => day(text),
        Value::Object(object) => {
            let of = |name: &str| object.get(name).and_then(Value::as_str);
            if of("start").is_none() && of("end").is_none() {
                let events = object.get("event")?.as_array()?;
                let all = events.iter().filter_map(stretch);
                return all.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
            }
            let start = of("start").map_or(Some(i64::MIN), |text| Some(day(text)?.0));
            let end = of("end").map_or(Some(i64::MAX), |text| Some(day(text)?.1));
            start.zip(end).filter(|(start, end)| start <= end)
        }
        _ => None,
    }
}

fn day(text: &str) -> Option<(i64, i64)> {
    let micros = |date: jiff::civil::Date| {
        let epoch = jiff::civil::date(1970, 1, 1);
        date.duration_since(epoch).as_secs() * 1_000_000
    };
    let date = |text: &str| text.parse::<jiff::civil::Date>().ok();
    match text.len() {
        4 => {
            let first = date(&format!("{text}-01-01"))?;
            Some((micros(first), micros(first.last_of_year().tomorrow().ok()?)))
        }
        7 => {
            let first = date(&format!("{text}-01"))?;
            Some((
                micros(first),
                micros(first.last_of_month().tomorrow().ok()?),
            ))
        }
        10 => {
            let first = date(text)?;
            Some((micros(first), micros(first.tomorrow().ok()?)))
        }
        _ => {
            let text = match text.get(11..)?.contains(['Z', '+', '-']) {
                true => text.to_owned(),
                false => format!("{text}Z"),
            };
            let at = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
            Some((at, at + 1))
        }
    }
}

/// Whether a stretch compares so with another.
pub(crate) fn compares(prefix: &str, (from, to): (i64, i64), (start, end): (i64, i64)) -> bool {
    let within = from <= start && end <= to;
    match prefix {
        "eq" => within,
        "ne" => !within,
        "gt" => end > to,
        "lt" => start < from,
        "ge" => end > to || within,
        "le" => start < from || within,
        "sa" => start >= to,
        "eb" => end <= from,
        other => panic!("{other}"),
    }
}

/// A string as it is compared.
pub(crate) fn folded(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    use unicode_normalization::char::is_combining_mark;
    let plain: String = text
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .collect();
    let lower = plain.to_lowercase();
    let words: Vec<_> = lower.split_whitespace().collect();
    words.join(" ")
}

/// The strings of an element.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    let parts = [
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
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Object(object) => {
            let of = |part: &&str| object.get(*part).cloned().into_iter();
            let all = parts.iter().flat_map(of);
            all.flat_map(|value| match value {
                Value::Array(all) => all
                    .iter()
                    .filter_map(|it| it.as_str().map(str::to_owned))
                    .collect(),
                Value::String(text) => vec![text],
                _ => Vec::new(),
            })
            .collect()
        }
        _ => Vec::new(),
    }
}

/// What an element refers to.
pub(crate) fn references(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.starts_with('#') => Vec::new(),
        Value::String(text) => {
            let bare = text.split('|').next().unwrap().to_owned();
            vec![text.clone(), bare]
        }
        Value::Object(_) => {
            let named = value["reference"]
                .as_str()
                .filter(|named| !named.starts_with('#'));
            named
                .map(|named| named.split("/_history/").next().unwrap().to_owned())
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The order of two resources by a stretch, latest first.
pub(crate) fn latest_first(one: Option<i64>, other: Option<i64>) -> Ordering {
    other.unwrap_or(i64::MIN).cmp(&one.unwrap_or(i64::MIN))
}
