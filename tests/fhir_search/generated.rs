//! Generated searches over real resources, each held against an evaluator that reads all of them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::oracle::{self, Table};
use crate::{Store, support};

/// So many searches, and every so-manieth bundle of the real data.
const SEARCHES: usize = 2000;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// One parameter of a search: its text, and whether a resource meets it.
type Condition = (String, Box<dyn Fn(&[(String, Value)]) -> bool>);

#[test]
fn answers_are_those_of_an_evaluator_that_reads_every_resource() {
    let mut resources = Vec::new();
    let Some(folder) = support::data::unpacked("fhir/synthea-r4-500-patients.tar.xz") else {
        return;
    };
    let step = if std::env::var_os("VITALOCK_SOAK").is_some() {
        1
    } else {
        40
    };
    for file in support::data::json_files(&folder).iter().step_by(step) {
        let bundle: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let entries = bundle["entry"].as_array().unwrap().iter();
        resources.extend(entries.map(|entry| entry["resource"].clone()));
    }
    if let Some(folder) = support::data::unpacked("fhir/hl7-r4-examples-4.0.1.tar.xz") {
        for file in support::data::json_files(&folder) {
            let resource: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            // Definitions of the specification itself are many and alike.
            let skipped = [
                "StructureDefinition",
                "SearchParameter",
                "CodeSystem",
                "ValueSet",
            ];
            let kind = resource["resourceType"].as_str().unwrap_or("");
            if !kind.is_empty()
                && !skipped.contains(&kind)
                && file.metadata().unwrap().len() < 200_000
            {
                resources.push(resource);
            }
        }
    }
    // The examples use an id more than once: a number tells them apart.
    for (at, resource) in resources.iter_mut().enumerate() {
        resource["id"] = Value::from(format!("r{at}"));
    }
    let store = Store::of(&resources);
    let mut by_kind: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for resource in &resources {
        let kind = resource["resourceType"].as_str().unwrap().to_owned();
        by_kind.entry(kind).or_default().push(resource);
    }
    let table = oracle::table();
    let mut random = Random(20_240_229);
    let kinds: Vec<_> = by_kind.keys().cloned().collect();
    let (mut done, mut matched, mut used) = (0, 0, BTreeMap::new());
    while done < SEARCHES {
        // The frequent types as often as all the rare ones.
        let kind = match random.below(2) {
            0 => random.pick(&[
                "Observation",
                "Encounter",
                "Patient",
                "Condition",
                "Procedure",
                "Claim",
            ]),
            _ => random.pick(&kinds).as_str(),
        };
        let Some(all) = by_kind.get(kind) else {
            continue;
        };
        let wanted = 1 + random.below(3);
        let codes: Vec<_> = table
            .range((kind, "")..)
            .take_while(|((of, _), _)| *of == kind)
            .collect();
        if codes.is_empty() {
            continue;
        }
        let mut conditions: Vec<(&str, Condition)> = Vec::new();
        for _ in 0..wanted * 4 {
            let ((_, code), (of, expression)) = random.pick(&codes);
            let seed = *random.pick(all);
            let Some(condition) = condition(&mut random, code, of, expression, seed) else {
                continue;
            };
            *used.entry((kind.to_owned(), *code)).or_insert(0) += 1;
            conditions.push((expression, condition));
            if conditions.len() == wanted {
                break;
            }
        }
        if conditions.is_empty() {
            continue;
        }
        let words: Vec<_> = conditions
            .iter()
            .map(|(_, (text, _))| text.as_str())
            .collect();
        let mut search = format!("{kind}?{}", words.join("&"));
        let meets = |resource: &Value| {
            let mut conditions = conditions.iter();
            conditions.all(|(path, (_, meets))| meets(&oracle::evaluate(path, resource)))
        };
        let mut expected: Vec<_> = all.iter().filter(|resource| meets(resource)).collect();
        let sorts = sort_of(&table, kind, &mut random);
        let id = |resource: &&&Value| resource["id"].as_str().unwrap().to_owned();
        if let Some((sort, expression)) = sorts {
            search.push_str("&_sort=");
            search.push_str(sort);
            let found = store.ids(&search);
            // In order, as far as resources have the date; the others may stand anywhere.
            let start = |resource: &Value| {
                let found = oracle::evaluate(expression, resource);
                found
                    .first()
                    .and_then(|(_, value)| oracle::stretch(value))
                    .map(|(start, _)| start)
            };
            let starts: BTreeMap<_, _> = expected.iter().map(|it| (id(it), start(it))).collect();
            let dated: Vec<_> = found
                .iter()
                .filter_map(|id| starts.get(id).copied().flatten())
                .collect();
            let sorted = match sort.starts_with('-') {
                true => dated.is_sorted_by(|a, b| oracle::latest_first(Some(*a), Some(*b)).is_le()),
                false => dated.is_sorted(),
            };
            assert!(sorted, "{search}: {dated:?}");
        }
        let mut found = store.ids(&search);
        let count = store.session().fhir().search_count(&search).unwrap();
        assert_eq!(count, found.len() as u64, "{search}");
        found.sort();
        expected.sort_by_key(id);
        let expected: Vec<_> = expected.iter().map(id).collect();
        assert_eq!(found, expected, "{search}");
        matched += usize::from(!found.is_empty());
        done += 1;
    }
    eprintln!(
        "{done} searches over {} resources, {matched} with matches, {} pairs of type and parameter",
        resources.len(),
        used.len()
    );
    assert!(matched > done / 3, "{matched}");
    assert!(used.len() > 200, "{}", used.len());
}

/// An order that the type has.
fn sort_of(table: &Table, kind: &str, random: &mut Random) -> Option<(&'static str, &'static str)> {
    let sorts = [
        ("Observation", "date", "-date"),
        ("Encounter", "date", "-date"),
        ("Condition", "onset-date", "-onset-date"),
        ("Procedure", "date", "-date"),
        ("Immunization", "date", "-date"),
        ("MedicationRequest", "authoredon", "-authoredon"),
    ];
    let (kind, code, down) = sorts.iter().find(|(of, ..)| *of == kind)?;
    let (_, expression) = table.get(&(*kind, *code))?;
    match random.below(3) {
        0 => None,
        1 => Some((code, expression)),
        _ => Some((down, expression)),
    }
}

/// A value as it stands in a search.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            ',' | '|' | '$' | '\\' => {
                out.push_str("%5C");
                out.push_str(&format!("%{:02X}", u32::from(character)));
            }
            '&' | '%' | '+' | '#' | '=' => out.push_str(&format!("%{:02X}", u32::from(character))),
            other => out.push(other),
        }
    }
    out
}

/// A condition on a parameter, made of what a resource has for it where it has something.
fn condition(
    random: &mut Random,
    code: &str,
    kind: &str,
    expression: &'static str,
    seed: &Value,
) -> Option<Condition> {
    if expression.is_empty() {
        return None;
    }
    let found = oracle::evaluate(expression, seed);
    if random.below(12) == 0 && !["composite", "special"].contains(&kind) {
        let missing = random.below(2) == 0;
        let text = format!("{code}:missing={missing}");
        return Some((text, Box::new(move |found| found.is_empty() == missing)));
    }
    let (_, value) = found.get(random.below(found.len().max(1)))?.clone();
    match kind {
        "token" => token(random, code, &value),
        "string" => string(random, code, &value),
        "date" => date(random, code, &value),
        "reference" => {
            let named = oracle::references(&value).into_iter().next()?;
            let text = format!("{code}={}", escaped(&named));
            Some((
                text,
                Box::new(move |found| {
                    found
                        .iter()
                        .any(|(_, value)| oracle::references(value).contains(&named))
                }),
            ))
        }
        "uri" => {
            let uri = value.as_str()?.to_owned();
            if uri.len() > 150 {
                return None;
            }
            let text = format!("{code}={}", escaped(&uri));
            Some((
                text,
                Box::new(move |found| found.iter().any(|(_, value)| *value == uri.as_str())),
            ))
        }
        "number" => number(random, code, value.as_f64()?, None),
        "quantity" => {
            let unit = value["code"]
                .as_str()
                .map(str::to_owned)
                .filter(|_| random.below(2) == 0);
            number(random, code, value["value"].as_f64()?, unit)
        }
        _ => None,
    }
}

fn token(random: &mut Random, code: &str, value: &Value) -> Option<Condition> {
    let (system, held) = oracle::tokens(value).into_iter().next()?;
    let held = held.unwrap_or_default();
    let asked = match (&system, random.below(3)) {
        (oracle::System::Named(system), 0) => format!("{system}|{held}"),
        (oracle::System::Named(system), 1) if random.below(4) == 0 => format!("{system}|"),
        (oracle::System::None, 0) if !held.is_empty() => format!("|{held}"),
        _ if held.is_empty() => return None,
        _ => held,
    };
    if asked.matches('|').count() > 1 || asked.ends_with("||") {
        return None;
    }
    let parts: Vec<_> = asked.split('|').map(escaped).collect();
    let not = random.below(6) == 0;
    let modifier = if not { ":not" } else { "" };
    let text = format!("{code}{modifier}={}", parts.join("|"));
    Some((
        text,
        Box::new(move |found| {
            found
                .iter()
                .any(|(_, value)| oracle::is_token(&asked, value))
                != not
        }),
    ))
}

fn string(random: &mut Random, code: &str, value: &Value) -> Option<Condition> {
    let text = oracle::strings(value)
        .into_iter()
        .find(|text| !text.trim().is_empty())?;
    if text.chars().any(char::is_control) || text.len() > 100 || text.trim() != text {
        return None;
    }
    let letters: Vec<char> = text.chars().collect();
    match random.below(3) {
        0 => {
            let whole = text.clone();
            Some((
                format!("{code}:exact={}", escaped(&text)),
                Box::new(move |found| {
                    found
                        .iter()
                        .any(|(_, value)| oracle::strings(value).contains(&whole))
                }),
            ))
        }
        way => {
            let from = if way == 1 {
                0
            } else {
                random.below(letters.len())
            };
            let length = 1 + random.below((letters.len() - from).min(6));
            let part: String = letters[from..from + length].iter().collect();
            let part = part.trim().to_owned();
            if part.is_empty() {
                return None;
            }
            let modifier = if way == 1 { "" } else { ":contains" };
            let folded = oracle::folded(&part);
            if folded.is_empty() {
                return None;
            }
            Some((
                format!("{code}{modifier}={}", escaped(&part.to_uppercase())),
                Box::new(move |found| {
                    let strings = found.iter().flat_map(|(_, value)| oracle::strings(value));
                    strings
                        .map(|text| oracle::folded(&text))
                        .any(|text| match way {
                            1 => text.starts_with(&folded),
                            _ => text.contains(&folded),
                        })
                }),
            ))
        }
    }
}

fn date(random: &mut Random, code: &str, value: &Value) -> Option<Condition> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other["start"].as_str()?.to_owned(),
    };
    let cut = *random.pick(&[4, 7, 10, 10, text.len()]);
    let text = text.get(..cut.min(text.len()))?.to_owned();
    let prefix = *random.pick(&["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]);
    let mut asked = oracle::stretch(&Value::from(text.clone()))?;
    if text.len() > 10 {
        // A whole time lasts as long as its last digit.
        let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
        let digits = fraction
            .chars()
            .take_while(char::is_ascii_digit)
            .count()
            .min(6) as u32;
        asked.1 = asked.0 + 1_000_000 / 10_i64.pow(digits);
    }
    let text = format!("{code}={prefix}{}", escaped(&text));
    Some((
        text,
        Box::new(move |found| {
            let stretches = found.iter().filter_map(|(_, value)| oracle::stretch(value));
            stretches
                .into_iter()
                .any(|held| oracle::compares(prefix, asked, held))
        }),
    ))
}

fn number(random: &mut Random, code: &str, value: f64, unit: Option<String>) -> Option<Condition> {
    let places = random.below(3);
    let text = format!("{value:.places$}");
    let exact: f64 = text.parse().unwrap();
    let half: f64 = format!("5e-{}", places + 1).parse().unwrap();
    let prefix = *random.pick(&["", "eq", "gt", "lt", "ge", "le"]);
    let suffix = unit
        .as_ref()
        .map_or(String::new(), |unit| format!("||{}", escaped(unit)));
    let words = format!("{code}={prefix}{text}{suffix}");
    // What lies just at the edge is a matter of how decimals are rounded.
    Some((
        words,
        Box::new(move |found| {
            found.iter().any(|(_, held)| {
                let of_unit = unit.as_ref().is_none_or(|unit| {
                    held["code"] == unit.as_str() || held["unit"] == unit.as_str()
                });
                let (low, high) = match held {
                    Value::Object(_) if held.get("low").is_some() || held.get("high").is_some() => {
                        (
                            held["low"]["value"].as_f64().unwrap_or(f64::MIN),
                            held["high"]["value"].as_f64().unwrap_or(f64::MAX),
                        )
                    }
                    Value::Object(_) => match held["value"].as_f64() {
                        Some(value) => (value, value),
                        None => return false,
                    },
                    other => match other.as_f64() {
                        Some(value) => (value, value),
                        None => return false,
                    },
                };
                let edge = 1e-9;
                of_unit
                    && match prefix {
                        "gt" => high > exact,
                        "lt" => low < exact,
                        "ge" => high >= exact,
                        "le" => low <= exact,
                        _ => low >= exact - half - edge && high < exact + half - edge,
                    }
            })
        }),
    ))
}
