//! Everything that one resource is found by.

use super::super::tree::{Element, Tree};
use super::added::Parameters;
use super::ask::Test;
use super::definitions::{Definition, Kind};
use super::fold::fold;
use super::primary::primary;
use super::request::{Asked, Request};
use super::value::{Value, values};
use crate::secret::SecretText;

/// What a resource is found by.
pub(crate) struct Derived<'a> {
    /// What others refer to it by: its type and id.
    pub(crate) named: Option<super::super::text::Text<'a>>,
    /// The time that its type is put in order by, where that is the record's.
    pub(crate) own: Option<(i64, i64)>,
    /// The parameter's number, and one of its values; `None` where there is something, but nothing
    /// that can be compared.
    pub(crate) values: Vec<(i64, Option<Value<'a>>)>,
}

/// Takes out what a resource of this type is found by; `None` where the type is not of R4 or this is
/// no JSON. `effective` is what its record is put in order by.
pub(crate) fn derive<'a>(
    kind: &str,
    parameters: &Parameters,
    effective: Option<(i64, i64)>,
    json: &'a str,
) -> Option<Derived<'a>> {
    let tree = Tree::read(json)?;
    let root = tree.root();
    let id = root.text_of("id");
    let mut derived = Derived {
        named: id.map(|id| super::super::text::Text::joined(&[kind, "/", &id])),
        own: None,
        values: Vec::new(),
    };
    let own = primary(kind);
    for definition in parameters.of(kind)? {
        let Some(expression) = &definition.expression else {
            continue;
        };
        if definition.code == "_id" || !definition.is_entered() {
            continue;
        }
        let found = values(definition.kind, expression, root, root);
        if own == Some(definition.code)
            && let [Value::Stretch(start, end)] = found.as_slice()
            && effective == Some((*start, *end))
        {
            derived.own = effective;
            continue;
        }
        let number = definition.number;
        let compares = |value: &Value<'_>| !matches!(value, Value::Label(_));
        let none = !found.iter().any(compares) && definition.kind != Kind::Composite;
        if none && expression.finds(root) {
            derived.values.push((number, None));
        }
        let found = found.into_iter().map(|value| (number, Some(value)));
        derived.values.extend(found);
    }
    Some(derived)
}

/// What a resource is referred to by, and what a parameter of its type refers to.
pub(crate) fn names<'a>(
    kind: &str,
    definition: Option<&Definition>,
    json: &'a str,
) -> Vec<super::super::text::Text<'a>> {
    let Some(tree) = Tree::read(json) else {
        return Vec::new();
    };
    let root = tree.root();
    let Some(definition) = definition else {
        let id = root.text_of("id");
        let named = id.map(|id| super::super::text::Text::joined(&[kind, "/", &id]));
        return named.into_iter().collect();
    };
    let expression = definition.expression.as_ref();
    let found = expression.map(|expression| values(definition.kind, expression, root, root));
    let named = found.into_iter().flatten().filter_map(|value| match value {
        Value::Reference(named) => Some(named),
        _ => None,
    });
    named.collect()
}

/// What a resource is put in order by where its codes or references tell: as they are compared.
pub(crate) fn texts(definition: &Definition, json: &str) -> Vec<SecretText> {
    let (Some(tree), Some(expression)) = (Tree::read(json), &definition.expression) else {
        return Vec::new();
    };
    let found = values(definition.kind, expression, tree.root(), tree.root());
    let texts = found.into_iter().filter_map(|value| match value {
        Value::Token { code, .. } => code.map(|code| fold(&code)),
        Value::Reference(named) => Some(SecretText::copy_of(&named)),
        _ => None,
    });
    texts.collect()
}

impl Request {
    /// Whether a resource that the index found is one that is meant.
    pub(crate) fn confirms(&self, json: &str) -> bool {
        let asked: Vec<_> = self.clauses.iter().filter(|asked| asked.confirm).collect();
        if asked.is_empty() {
            return true;
        }
        let Some(tree) = Tree::read(json) else {
            return false;
        };
        asked.iter().all(|asked| asked.is_met_by(tree.root()))
    }

    /// Whether every find has to be confirmed.
    pub(crate) fn needs_confirmation(&self) -> bool {
        self.clauses.iter().any(|asked| asked.confirm)
    }
}

impl Asked {
    fn is_met_by(&self, root: Element<'_, '_>) -> bool {
        let met = match self.definition.kind {
            Kind::Composite => {
                let mut tests = self.any.iter();
                tests.any(|test| match test {
                    Test::Together(parts) => together(self.definition, parts, root),
                    _ => false,
                })
            }
            kind => {
                let expression = self.definition.expression.as_ref();
                let found = expression.map(|expression| values(kind, expression, root, root));
                let found = found.unwrap_or_default();
                let is_there = || expression.is_some_and(|expression| expression.finds(root));
                self.any.iter().any(|test| match test {
                    Test::Any => is_there(),
                    test => found.iter().any(|value| test.meets(value)),
                })
            }
        };
        met != self.none
    }
}

/// Whether one element meets a test of each part.
fn together(definition: &Definition, tests: &[Vec<Test>], root: Element<'_, '_>) -> bool {
    let Some(expression) = &definition.expression else {
        return false;
    };
    expression.elements(root).into_iter().any(|element| {
        let mut parts = definition.parts.iter().zip(tests);
        parts.all(|(part, tests)| {
            let found = values(part.kind, &part.expression, root, element);
            tests
                .iter()
                .any(|test| found.iter().any(|value| test.meets(value)))
        })
    })
}
