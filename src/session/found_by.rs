//! What a resource is found by, in the numbers of its class, and what is looked for, in the same.
//!
//! Codes and names become keyed numbers of 64 bits, systems of 32; what they are compared in is told
//! by the parameter. Only words and URIs are kept as they are compared.

use std::sync::Arc;

use super::open_class::OpenClass;
use crate::error::{ErrorKind, Result};
use crate::fhir::search::{
    AskedUnit, Definition, FIRST_ADDED, From, Request, System, Test, Unit, Value, cut, derive,
    fold, word,
};
use crate::fhir::{CONTENT_TYPE, Reader, Text};
use crate::keys::{ClassKeys, TokenSpace};
use crate::records::Record;
use crate::secret::SecretText;
use crate::storage::{
    Clause, Direction, Entered, Entries, Entry, FoundBy, IMPLIED, IndexEntry, LONGEST_WORD,
    NewEntries, Own, Probe, Reading, Search,
};

/// Where what was added begins in the index.
const ADDED: i64 = FIRST_ADDED * 2;

impl OpenClass {
    /// What a record is found by as a resource; `None` where it is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRecord`] where it says that it is a resource and is no text.
    pub(super) fn found_by(&self, record: &Record) -> Result<Option<FoundBy>> {
        if record.body_type() != CONTENT_TYPE {
            return Ok(None);
        }
        let json = std::str::from_utf8(record.body()).map_err(|_| ErrorKind::InvalidRecord)?;
        let effective = record.effective_time().map(|(start, end)| {
            let (start, end) = (start.to_micros(), end.to_micros());
            (start, end.max(start.saturating_add(1)))
        });
        let Some(derived) = derive(record.kind(), &self.parameters(), effective, json) else {
            // A type that R4 does not have is kept, and not found by what is in it.
            return Ok(None);
        };
        let mut entries = NewEntries::default();
        for (number, value) in &derived.values {
            match value {
                Some(value) => enter(&self.keys, number * 2, value, &mut entries),
                None => entries.push(&Entry::Token {
                    parameter: number * 2 + 1,
                    value: 0,
                    system: 0,
                }),
            }
        }
        Ok(Some(FoundBy {
            own: Own {
                named: derived.named.map(|named| number(&self.keys, &named)),
                time: derived.own,
            },
            entries: entries.finish(),
        }))
    }
}

impl OpenClass {
    /// How many entries lead to the record at a place; `None` where they are not those that it is to
    /// be found by.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub(super) fn as_found(
        &self,
        reading: &Reading<'_>,
        place: i64,
        index: &IndexEntry,
        record: &Record,
    ) -> Result<Option<Entered>> {
        let stored = reading.found_by(place)?;
        let generation = self.parameters().generation();
        // Before the job is done some resources have entries of what was added, and others none.
        let under_way = generation > 0 && self.indexed(reading)?.complete != generation;
        let same = |derived: &Entries, entries: &Entries| match under_way {
            true => derived.below(ADDED).as_bytes() == entries.below(ADDED).as_bytes(),
            false => derived.as_bytes() == entries.as_bytes(),
        };
        Ok(match (self.found_by(record), stored) {
            (Ok(None), None) => Some(Entered::default()),
            (Ok(Some(derived)), Some((own, entries)))
                if derived.own == own && same(&derived.entries, &entries) =>
            {
                reading.entered_for(place, index, &entries)?
            }
            _ => None,
        })
    }
}

/// Checks a record that says it is a resource, before anything is written.
///
/// # Errors
///
/// Those of the reader, and [`ErrorKind::InvalidRecord`] where it is a resource of another type.
pub(super) fn check_resource(record: &Record) -> Result<()> {
    if record.body_type() != CONTENT_TYPE || record.read {
        return Ok(());
    }
    match Reader::new().resource(record.body())?.kind() == record.kind() {
        true => Ok(()),
        false => Err(ErrorKind::InvalidRecord.into()),
    }
}

/// 64 bits that stand for a text.
pub(super) fn number(keys: &ClassKeys, text: &str) -> i64 {
    let token = keys.token(TokenSpace::Search, text);
    token
        .first_chunk()
        .map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

/// 32 bits that stand for a system, none of them the two that have a meaning.
fn system_number(keys: &ClassKeys, text: &str) -> i64 {
    (number(keys, text) & 0xFFFF_FFFF).max(IMPLIED + 1)
}

fn named_system(keys: &ClassKeys, system: Option<&str>) -> i64 {
    system.map_or(0, |system| system_number(keys, system))
}

fn enter(keys: &ClassKeys, parameter: i64, value: &Value<'_>, entries: &mut NewEntries) {
    let token = |parameter: i64, text: &str, system: i64| Entry::Token {
        parameter,
        value: number(keys, text),
        system,
    };
    let from = |system: &System<'_>| match system {
        System::Implied => IMPLIED,
        System::None => 0,
        System::Named(system) => system_number(keys, system),
    };
    match value {
        Value::Token { system, code } => {
            let code = code.as_ref().map(|code| fold(code));
            let code = code.as_ref().map_or("", SecretText::expose);
            entries.push(&token(parameter, code, from(system)));
        }
        Value::Label(_) => {}
        Value::Typed {
            system,
            code,
            value,
        } => {
            let typed = typed(&fold(code), &fold(value));
            entries.push(&token(parameter + 1, &typed, system_number(keys, system)));
        }
        Value::Reference(named) => entries.push(&token(parameter, named, 0)),
        Value::Referred { system, code } => {
            let code = code.as_ref().map(|code| fold(code));
            let code = code.as_ref().map_or("", SecretText::expose);
            entries.push(&token(parameter + 1, code, from(system)));
        }
        Value::Text(text) => {
            let word = word(text);
            entries.push(&Entry::Word {
                parameter,
                word: SecretText::copy_of(cut(word.expose(), LONGEST_WORD)),
            });
        }
        Value::Uri(uri) => entries.push(&Entry::Word {
            parameter,
            word: SecretText::copy_of(cut(uri, LONGEST_WORD)),
        }),
        Value::Stretch(start, end) => entries.push(&Entry::Stretch {
            parameter,
            start: *start,
            end: *end,
        }),
        Value::Amount { low, high, unit } => {
            // What is a range has a number of its own, so that the others are found by their value.
            let parameter = parameter + i64::from(low < high);
            let amount = |unit: i64, system: i64| Entry::Amount {
                parameter,
                unit,
                // There is one zero.
                low: low + 0.0,
                high: high + 0.0,
                system,
            };
            entries.push(&amount(0, 0));
            let Some(Unit { system, code, text }) = unit else {
                return;
            };
            if let Some(code) = code {
                let system = named_system(keys, system.as_deref());
                entries.push(&amount(number(keys, code), system));
            }
            let differs = code.as_deref() != text.as_deref();
            if let Some(text) = text.as_ref().filter(|_| differs) {
                entries.push(&amount(number(keys, text), 0));
            }
        }
    }
}

/// A type of identifier and a value of it, as one text.
fn typed(code: &SecretText, value: &SecretText) -> Text<'static> {
    Text::joined(&[code.expose(), "\n", value.expose()])
}

/// The probes for a parameter that refers to any of these; the numbers are in order.
pub(super) fn in_any(definition: &Definition, values: &Arc<[i64]>) -> Vec<Probe> {
    let probe = |number: &i64| Probe::TokenIn {
        parameter: number * 2,
        values: Arc::clone(values),
    };
    definition.found_under.iter().map(probe).collect()
}

/// A request in the numbers of a class.
pub(super) fn search(keys: &ClassKeys, request: &Request, kind: i64) -> Search {
    let clauses = request.clauses.iter().filter_map(|asked| {
        let mut any = Vec::new();
        for test in &asked.any {
            let definition = asked.definition;
            if definition.only.is_some() && !matches!(test, Test::Reference(_)) {
                return None;
            }
            for number in &definition.found_under {
                let code = definition.code;
                probes(keys, request.kind, code, number * 2, test, &mut any)?;
            }
        }
        Some(Clause {
            any,
            none: asked.none,
        })
    });
    Search {
        kind,
        clauses: clauses.collect(),
        direction: match request.newest_first {
            true => Direction::Descending,
            false => Direction::Ascending,
        },
    }
}

/// The probes of a test; `None` where the index cannot tell.
fn probes(
    keys: &ClassKeys,
    kind: &str,
    code: &str,
    parameter: i64,
    test: &Test,
    any: &mut Vec<Probe>,
) -> Option<()> {
    let from = |system: &From| match system {
        From::Any => None,
        From::None => Some(0),
        From::Named(system) => Some(system_number(keys, system.expose())),
    };
    let coded = |parameter: i64, system: &From, code: &Option<SecretText>| match code {
        Some(code) => Some(Probe::Token {
            parameter,
            value: number(keys, code.expose()),
            system: from(system),
        }),
        None => Some(Probe::System {
            parameter,
            system: from(system)?,
        }),
    };
    match test {
        Test::Any => {
            any.extend([0, 1].map(|variant| Probe::Any {
                parameter: parameter + variant,
            }));
            match code {
                "_id" => any.push(Probe::Identified),
                code if crate::fhir::search::primary(kind) == Some(code) => any.push(Probe::Dated),
                _ => {}
            }
        }
        Test::Token {
            system: _,
            code: Some(id),
        } if code == "_id" => {
            let named = Text::joined(&[kind, "/", id.expose()]);
            any.push(Probe::Named(number(keys, &named)));
        }
        Test::Token { system, code } => any.push(coded(parameter, system, code)?),
        Test::Referred { system, code } => any.push(coded(parameter + 1, system, code)?),
        Test::Label(_) | Test::Together(_) => return None,
        Test::Typed {
            system,
            code,
            value,
        } => any.push(Probe::Token {
            parameter: parameter + 1,
            value: number(keys, &typed(code, value)),
            system: Some(system_number(keys, system.expose())),
        }),
        Test::Reference(named) => any.push(Probe::Token {
            parameter,
            value: number(keys, named.expose()),
            system: None,
        }),
        Test::Word { word, how, .. } => any.push(Probe::Word {
            parameter,
            word: SecretText::copy_of(cut(word.expose(), LONGEST_WORD)),
            how: *how,
        }),
        Test::Uri { text, how } => any.push(Probe::Word {
            parameter,
            word: text.clone(),
            how: *how,
        }),
        // Where a resource's record is put in order by another time, it is an entry like others.
        Test::Own(bounds) => any.extend([None, Some(parameter)].map(|parameter| Probe::Stretch {
            parameter,
            bounds: *bounds,
        })),
        Test::Stretch(bounds) => any.push(Probe::Stretch {
            parameter: Some(parameter),
            bounds: *bounds,
        }),
        Test::Amount { bounds, unit } => {
            for points in [true, false] {
                let (unit, system) = match unit {
                    None => (0, None),
                    Some(AskedUnit { system, code }) => {
                        let system = system.as_ref().map(SecretText::expose);
                        let system = system.map(|system| system_number(keys, system));
                        (number(keys, code.expose()), system)
                    }
                };
                any.push(Probe::Amount {
                    parameter: parameter + i64::from(!points),
                    unit,
                    system,
                    bounds: *bounds,
                    points,
                });
            }
        }
    }
    Some(())
}
