//! The official search parameters of FHIR R4, compiled when a type is first met.
//!
//! **Does** tell what a type can be searched by, under which number, and how.
//! **Never** changes a number: it is what the index in a vault's files is keyed by.
//! **Format** parameters.tsv, written by scripts/search-parameters.

use std::sync::OnceLock;

use super::path::Expression;
use super::primary::primary;

const TABLE: &str = include_str!("parameters.tsv");

/// Numbers of the parameters that every type has begin here; below are those of the table's lines.
const COMMON: i64 = 10_000;
/// So many numbers are kept for each type.
const COMMON_STEP: i64 = 16;

/// What a parameter's values are, and how they are compared (FHIR R4, SearchParamType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number.
    Number,
    /// A date, a time, or a stretch of it.
    Date,
    /// Text, compared without case and accents.
    String,
    /// A code or an identifier.
    Token,
    /// What another resource is referred to by.
    Reference,
    /// Several parameters that one element fulfils together.
    Composite,
    /// A number with a unit.
    Quantity,
    /// A URI, compared as it stands.
    Uri,
    /// None of these.
    Special,
}

/// A parameter of one type of resource.
pub(crate) struct Definition {
    pub(crate) code: &'static str,
    pub(crate) kind: Kind,
    /// What the index would know it by.
    pub(crate) number: i64,
    /// With which change of a vault's list it was added; zero for an official one.
    pub(crate) since: u64,
    /// What the index has its values under: its own number, or those of other parameters that have
    /// the same values between them.
    pub(crate) found_under: Vec<i64>,
    /// It has only the references to this type of those that are found there.
    pub(crate) only: Option<&'static str>,
    pub(super) expression: Option<Expression>,
    /// The expression as the definition has it.
    pub(super) text: &'static str,
    /// For a reference: the types it may name, where they are not all.
    pub(crate) targets: Vec<&'static str>,
    /// For a composite: what each part is, the parameter that finds it as well, and where it is.
    pub(crate) parts: Vec<Component>,
}

/// A part of a composite parameter.
pub(crate) struct Component {
    /// The parameter of the same type that finds everything this part finds.
    pub(crate) code: &'static str,
    pub(crate) kind: Kind,
    pub(super) expression: Expression,
}

struct Table {
    types: Vec<Type>,
}

struct Type {
    name: &'static str,
    lines: Vec<(i64, &'static str)>,
    definitions: OnceLock<Vec<Definition>>,
}

fn table() -> &'static Table {
    static READ: OnceLock<Table> = OnceLock::new();
    READ.get_or_init(|| {
        let mut lines = TABLE.lines();
        let names = lines.next().unwrap_or_default().split(' ');
        let mut types: Vec<_> = names
            .map(|name| Type {
                name,
                lines: Vec::new(),
                definitions: OnceLock::new(),
            })
            .collect();
        let mut common = 0;
        for (number, line) in (1..).zip(lines) {
            let Some((name, rest)) = line.split_once('\t') else {
                continue;
            };
            if name == "Resource" || name == "DomainResource" {
                for (at, kind) in (0..).zip(&mut types) {
                    kind.lines.push((COMMON + at * COMMON_STEP + common, rest));
                }
                common += 1;
            } else if let Ok(at) = types.binary_search_by_key(&name, |kind| kind.name)
                && let Some(kind) = types.get_mut(at)
            {
                kind.lines.push((number, rest));
            }
        }
        Table { types }
    })
}

impl Kind {
    /// The definitions' word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }
}

impl Definition {
    /// Whether the index has its values under its own number.
    pub(crate) fn is_entered(&self) -> bool {
        self.found_under == [self.number]
    }
}

/// The parameters of a type; `None` where R4 has no such type.
pub(crate) fn definitions(kind: &str) -> Option<&'static [Definition]> {
    let table = table();
    let at = table
        .types
        .binary_search_by_key(&kind, |kind| kind.name)
        .ok()?;
    let kind = table.types.get(at)?;
    Some(kind.definitions.get_or_init(|| compile(kind)))
}

/// A parameter of a type by its code.
pub(crate) fn definition(kind: &str, code: &str) -> Option<&'static Definition> {
    let mut all = definitions(kind)?.iter();
    all.find(|definition| definition.code == code)
}

/// Every type of R4 that is not abstract.
pub(crate) fn types() -> impl Iterator<Item = &'static str> {
    table().types.iter().map(|kind| kind.name)
}

/// Whether R4 has that type.
pub(crate) fn is_type(kind: &str) -> bool {
    types().any(|known| known == kind)
}

fn compile(kind: &Type) -> Vec<Definition> {
    let kinds: Vec<_> = kind.lines.iter().map(|(_, line)| fields(line)).collect();
    let kind_of = |code: &str| {
        let found = kinds.iter().find(|fields| fields[0] == code);
        found.and_then(|fields| kind_named(fields[1]))
    };
    let lines = kind.lines.iter().zip(&kinds);
    let compiled = lines.filter_map(|((number, _), [code, named, text, extra])| {
        let own = kind_named(named)?;
        let root = text.split(['.', ' ', '(']).find(|word| !word.is_empty());
        let root = match root {
            Some("Resource") => "Resource",
            _ => kind.name,
        };
        Some(Definition {
            code,
            kind: own,
            number: *number,
            since: 0,
            found_under: vec![*number],
            only: None,
            expression: match text.is_empty() || own == Kind::Special {
                true => None,
                false => Expression::compile(text, root),
            },
            text,
            targets: match own == Kind::Reference && *extra != "*" {
                true => extra.split(' ').filter(|kind| !kind.is_empty()).collect(),
                false => Vec::new(),
            },
            parts: match own {
                Kind::Composite => extra
                    .split(';')
                    .filter_map(|part| component(part, kind_of))
                    .collect(),
                _ => Vec::new(),
            },
        })
    });
    let mut compiled: Vec<_> = compiled.collect();
    share(kind.name, &mut compiled);
    compiled
}

/// Finds what needs no entries of its own: parameters whose alternatives are those of others, such as
/// `combo-code`, and those that are the references to one type among another's, such as `patient`.
fn share(kind: &str, all: &mut [Definition]) {
    let own = primary(kind);
    let may_share = |it: &Definition| {
        let shares = !matches!(it.kind, Kind::Composite | Kind::Special) && it.code != "_id";
        shares && Some(it.code) != own
    };
    let expressions: Vec<_> = all
        .iter()
        .filter(|it| may_share(it))
        .filter_map(|it| Some((it.number, it.kind, it.expression.clone()?)))
        .collect();
    for (number, of, expression) in &expressions {
        let others = expressions.iter().filter(|(other, kind, alternative)| {
            // Of two with the same values the first has them.
            let earlier = alternative.width() < expression.width() || other < number;
            other != number && kind == of && earlier && !alternative.asks_for_types()
        });
        let others = others.map(|(number, _, other)| (*number, other));
        let found = match (expression.made_of(others), expression.without_type()) {
            (Some(numbers), _) => Some((numbers, None)),
            (None, Some((only, without))) => {
                let same =
                    |(_, kind, other): &&(i64, Kind, Expression)| kind == of && *other == without;
                let number = expressions.iter().find(same).map(|(number, ..)| *number);
                let only = types().find(|known| *known == only);
                number
                    .zip(only)
                    .map(|(number, only)| (vec![number], Some(only)))
            }
            (None, None) => None,
        };
        if let Some((numbers, only)) = found
            && let Some(it) = all.iter_mut().find(|it| it.number == *number)
        {
            (it.found_under, it.only) = (numbers, only);
        }
    }
    // What others are made of may be made of others itself.
    while let Some(at) = all
        .iter()
        .position(|it| !it.is_entered() && !is_settled(it, all))
    {
        let parts = all.get(at).map(|it| it.found_under.clone());
        let parts = parts.into_iter().flatten().flat_map(|number| {
            let part = all.iter().find(|part| part.number == number);
            part.map_or_else(Vec::new, |part| part.found_under.clone())
        });
        let mut parts: Vec<_> = parts.collect();
        parts.sort_unstable();
        parts.dedup();
        if let Some(it) = all.get_mut(at) {
            it.found_under = parts;
        }
    }
}

/// Whether the index has values under each of the numbers.
fn is_settled(it: &Definition, all: &[Definition]) -> bool {
    let mut numbers = it.found_under.iter();
    numbers.all(|number| {
        all.iter()
            .any(|part| part.number == *number && part.is_entered())
    })
}

fn component(part: &'static str, kind_of: impl Fn(&str) -> Option<Kind>) -> Option<Component> {
    let (code, expression) = part.split_once('=')?;
    Some(Component {
        code,
        kind: kind_of(code)?,
        expression: Expression::compile(expression, "")?,
    })
}

fn fields(line: &'static str) -> [&'static str; 4] {
    let mut fields = line.split('\t');
    std::array::from_fn(|_| fields.next().unwrap_or_default())
}

pub(super) fn kind_named(name: &str) -> Option<Kind> {
    Some(match name {
        "number" => Kind::Number,
        "date" => Kind::Date,
        "string" => Kind::String,
        "token" => Kind::Token,
        "reference" => Kind::Reference,
        "composite" => Kind::Composite,
        "quantity" => Kind::Quantity,
        "uri" => Kind::Uri,
        "special" => Kind::Special,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_compiles() {
        let mut pairs = 0;
        for kind in types() {
            for definition in definitions(kind).expect("a type of the table") {
                pairs += 1;
                let compiles = definition.expression.is_some();
                let has_none = definition.text.is_empty() || definition.kind == Kind::Special;
                assert_eq!(compiles, !has_none, "{kind} {}", definition.code);
                let parts = definition.parts.len();
                let is_composite = definition.kind == Kind::Composite;
                assert_eq!(parts >= 2, is_composite, "{kind} {}", definition.code);
            }
        }
        assert_eq!(pairs, 1709 - 9 + 147 * 9);
    }

    #[test]
    fn what_has_no_entries_is_found_under_what_has() {
        let under = |kind: &str, code: &str| {
            let it = definition(kind, code).expect("a parameter");
            let all = definitions(kind).expect("a type").iter();
            let parts = all.filter(|part| it.found_under.contains(&part.number));
            let parts: Vec<_> = parts.map(|part| part.code).collect();
            (parts.join(" "), it.only)
        };
        let plain = |codes: &str| (codes.to_owned(), None);
        assert_eq!(under("Observation", "code"), plain("code"));
        assert_eq!(
            under("Observation", "combo-code"),
            plain("code component-code")
        );
        assert_eq!(under("Patient", "phonetic"), plain("name"));
        assert_eq!(
            under("Observation", "patient"),
            ("subject".to_owned(), Some("Patient"))
        );
        let mut shared = 0;
        for kind in types() {
            let all = definitions(kind).expect("a type of the table");
            for it in all.iter().filter(|it| !it.is_entered()) {
                assert!(is_settled(it, all), "{kind} {}", it.code);
                assert!(it.only.is_none() || it.kind == Kind::Reference);
                shared += 1;
            }
        }
        assert!(shared > 50, "{shared}");
    }

    #[test]
    fn no_number_means_two_parameters_and_each_fits_two_bytes_with_its_variant() {
        let mut numbers = std::collections::BTreeSet::new();
        for kind in types() {
            for definition in definitions(kind).expect("a type of the table") {
                assert!(numbers.insert(definition.number));
                assert!((1..1 << 14).contains(&definition.number));
            }
        }
    }
}
