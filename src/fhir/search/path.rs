//! The part of FHIRPath that search parameters are written in, compiled to steps.
//!
//! **Does** follow member names, choices (`value[x]`), `as`, `ofType`, `where` on a member's value or
//! on what a reference names, `extension`, an index, unions, and "exists and is not false".
//! **Never** evaluates anything else: what it does not know does not compile.
//! **Format** FHIRPath N1, the expressions of FHIR R4's SearchParameter resources and their like.

use super::super::tree::Element;

/// A compiled expression: the elements of all alternatives, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    alternatives: Vec<Path>,
    /// The expression asks whether there is an element that is not `false`.
    asks: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    /// It starts at the resource, wherever it is evaluated.
    from_resource: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A member, or a choice of that name.
    Member(String),
    /// Only what is of this type.
    As(String),
    /// Only what has a member with this value.
    Where { member: String, value: String },
    /// Only references to this type of resource.
    RefersTo(String),
    /// Only the one at this place.
    Index(usize),
}

/// An element that an expression gives.
#[derive(Clone, Copy)]
pub(super) struct Item<'t, 'a> {
    pub(super) element: Element<'t, 'a>,
    /// The type that a choice names, such as `Quantity`; else empty.
    pub(super) kind: &'a str,
}

/// What an expression comes to.
pub(super) enum Found<'t, 'a> {
    Items(Vec<Item<'t, 'a>>),
    Answer(bool),
}

/// The types that a choice element may name (FHIR R4, datatypes).
const TYPES: &[&str] = &[
    "Address",
    "Age",
    "Annotation",
    "Attachment",
    "Base64Binary",
    "Boolean",
    "Canonical",
    "Code",
    "CodeableConcept",
    "Coding",
    "ContactDetail",
    "ContactPoint",
    "Contributor",
    "Count",
    "DataRequirement",
    "Date",
    "DateTime",
    "Decimal",
    "Distance",
    "Dosage",
    "Duration",
    "Expression",
    "HumanName",
    "Id",
    "Identifier",
    "Instant",
    "Integer",
    "Markdown",
    "Meta",
    "Money",
    "Oid",
    "ParameterDefinition",
    "Period",
    "PositiveInt",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "RelatedArtifact",
    "SampledData",
    "Signature",
    "String",
    "Time",
    "Timing",
    "TriggerDefinition",
    "UnsignedInt",
    "Uri",
    "Url",
    "UsageContext",
    "Uuid",
];

impl Expression {
    /// The alternatives that are also those of others, if they are all: which of the others those are.
    /// Both are values of the same kind then.
    pub(super) fn made_of<'e>(
        &self,
        others: impl Iterator<Item = (i64, &'e Self)>,
    ) -> Option<Vec<i64>> {
        let inside = |other: &Self| {
            let mut paths = other.alternatives.iter();
            !self.asks && !other.asks && paths.all(|path| self.alternatives.contains(path))
        };
        let parts: Vec<_> = others.filter(|(_, other)| inside(other)).collect();
        let mut paths = self.alternatives.iter();
        let whole = paths.all(|path| {
            let mut parts = parts.iter();
            parts.any(|(_, part)| part.alternatives.contains(path))
        });
        let numbers = parts.into_iter().map(|(number, _)| number);
        whole.then(|| numbers.collect())
    }

    pub(super) fn width(&self) -> usize {
        self.alternatives.len()
    }

    /// Whether it looks at what references name.
    pub(super) fn asks_for_types(&self) -> bool {
        let mut steps = self.alternatives.iter().flat_map(|path| &path.steps);
        steps.any(|step| matches!(step, Step::RefersTo(_)))
    }

    /// The type of resource that every element is a reference to, and the expression without asking
    /// for that.
    pub(super) fn without_type(&self) -> Option<(&str, Self)> {
        let [path] = self.alternatives.as_slice() else {
            return None;
        };
        let (last, steps) = path.steps.split_last()?;
        let Step::RefersTo(kind) = last else {
            return None;
        };
        let without = Path {
            steps: steps.to_vec(),
            ..*path
        };
        Some((
            kind,
            Self {
                alternatives: vec![without],
                asks: self.asks,
            },
        ))
    }

    /// Compiles an expression about resources of this type, or about an element where `kind` is empty;
    /// `None` where it holds something that is not of this part of FHIRPath.
    pub(super) fn compile(text: &str, kind: &str) -> Option<Self> {
        if let Some((exists, not_false)) = text.split_once(" and ") {
            let path = exists.strip_suffix(".exists()")?;
            (not_false.strip_suffix(" != false")? == path).then_some(())?;
            return Some(Self {
                alternatives: vec![Path::compile(path, kind)?],
                asks: true,
            });
        }
        let parts = text.split('|');
        let paths = parts.map(|part| Path::compile(part.trim(), kind));
        Some(Self {
            alternatives: paths.collect::<Option<_>>()?,
            asks: false,
        })
    }

    /// The elements of `resource` that the expression gives from `start` on.
    pub(super) fn find<'t, 'a>(
        &self,
        resource: Element<'t, 'a>,
        start: Element<'t, 'a>,
    ) -> Found<'t, 'a> {
        let mut found = Vec::new();
        for path in &self.alternatives {
            path.find(resource, start, &mut found);
        }
        match self.asks {
            true => Found::Answer(found.iter().any(|item| item.element.raw() != "false")),
            false => Found::Items(found),
        }
    }

    /// The elements that a path finds, whatever is asked of them.
    pub(super) fn elements<'t, 'a>(&self, root: Element<'t, 'a>) -> Vec<Element<'t, 'a>> {
        match self.find(root, root) {
            Found::Items(items) => items.into_iter().map(|item| item.element).collect(),
            Found::Answer(_) => Vec::new(),
        }
    }

    /// Whether there is anything at all.
    pub(super) fn finds(&self, root: Element<'_, '_>) -> bool {
        match self.find(root, root) {
            Found::Items(items) => !items.is_empty(),
            Found::Answer(_) => true,
        }
    }
}

impl Path {
    fn compile(text: &str, kind: &str) -> Option<Self> {
        let mut words = Words { rest: text };
        let mut path = Self {
            from_resource: text.starts_with("%resource."),
            steps: Vec::new(),
        };
        if path.from_resource {
            words.rest = text.strip_prefix("%resource.")?;
        }
        path.take(&mut words, kind)?;
        words.rest.is_empty().then_some(path)
    }

    /// Takes a path, in brackets or not, and what is called on it.
    fn take(&mut self, words: &mut Words<'_>, kind: &str) -> Option<()> {
        if words.eat("(") {
            self.take(words, kind)?;
            if words.eat(" as ") {
                self.steps.push(Step::As(capital(words.name()?)));
            }
            words.eat(")").then_some(())?;
        } else {
            let first = words.name()?;
            if kind.is_empty() || first != kind {
                self.steps.push(Step::Member(first.to_owned()));
            }
        }
        loop {
            if words.eat("[") {
                self.steps.push(Step::Index(words.number()?));
                words.eat("]").then_some(())?;
            } else if words.eat(".as(") || words.eat(".ofType(") {
                self.steps.push(Step::As(capital(words.name()?)));
                words.eat(")").then_some(())?;
            } else if words.eat(".where(resolve() is ") {
                self.steps.push(Step::RefersTo(words.name()?.to_owned()));
                words.eat(")").then_some(())?;
            } else if words.eat(".where(") {
                let member = words.name()?.to_owned();
                (words.eat("='") || words.eat(" = '")).then_some(())?;
                let value = words.quoted()?;
                self.steps.push(Step::Where { member, value });
                words.eat(")").then_some(())?;
            } else if words.eat(".extension('") {
                let value = words.quoted()?;
                let member = "url".to_owned();
                self.steps.push(Step::Member("extension".to_owned()));
                self.steps.push(Step::Where { member, value });
                words.eat(")").then_some(())?;
            } else if words.eat(".") {
                self.steps.push(Step::Member(words.name()?.to_owned()));
            } else if words.rest.starts_with(" as ") && !words.rest.contains(')') {
                words.eat(" as ");
                self.steps.push(Step::As(capital(words.name()?)));
            } else {
                return Some(());
            }
        }
    }

    fn find<'t, 'a>(
        &self,
        resource: Element<'t, 'a>,
        start: Element<'t, 'a>,
        found: &mut Vec<Item<'t, 'a>>,
    ) {
        let element = match self.from_resource {
            true => resource,
            false => start,
        };
        let first = found.len();
        found.push(Item { element, kind: "" });
        for step in &self.steps {
            let items: Vec<_> = found.drain(first..).collect();
            match step {
                Step::Index(index) => found.extend(items.get(*index)),
                step => {
                    for item in items {
                        step.find(item, found);
                    }
                }
            }
        }
    }
}

impl Step {
    fn find<'t, 'a>(&self, item: Item<'t, 'a>, found: &mut Vec<Item<'t, 'a>>) {
        let keeps = match self {
            Self::Member(name) => {
                if !item.element.is_object() {
                    return;
                }
                for child in item.element.children() {
                    let Some(kind) = child.name().strip_prefix(name.as_str()) else {
                        continue;
                    };
                    if kind.is_empty() || TYPES.binary_search(&kind).is_ok() {
                        let items = child.flat().map(|element| Item { element, kind });
                        found.extend(items);
                    }
                }
                return;
            }
            Self::As(kind) => item.kind == kind || item.kind.is_empty(),
            Self::Where { member, value } => {
                let text = item.element.text_of(member);
                text.is_some_and(|text| *text == **value)
            }
            Self::RefersTo(kind) => refers_to(item.element, kind),
            Self::Index(_) => true,
        };
        if keeps {
            found.push(item);
        }
    }
}

/// Whether a reference names a resource of this type: by its own address, or by what it says.
fn refers_to(element: Element<'_, '_>, kind: &str) -> bool {
    let says = element.text_of("type");
    if let Some(says) = says {
        return *says == *kind;
    }
    let Some(reference) = element.text_of("reference") else {
        return false;
    };
    super::value::type_of(&reference) == Some(kind)
}

/// FHIRPath's primitive types start with a small letter, the names of choices with a capital.
fn capital(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn eat(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn name(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric());
        let (name, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    fn number(&mut self) -> Option<usize> {
        self.name()?.parse().ok()
    }

    /// Up to the closing quote, the opening one being taken.
    fn quoted(&mut self) -> Option<String> {
        let (text, rest) = self.rest.split_once('\'')?;
        self.rest = rest;
        (!text.contains('\\')).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tree::Tree;
    use super::*;

    const OBSERVATION: &str = r#"{"resourceType":"Observation","code":{"text":"x"},"codeSystem":1,
        "valueQuantity":{"value":5},"identifier":[{"value":"a"},{"value":"b"}],
        "telecom":[{"system":"phone","value":"1"},{"system":"email","value":"2"}],
        "subject":{"reference":"Patient/1"},"focus":[{"reference":"http://x/Device/2"},{"type":"Patient"}],
        "component":[{"valueString":"s"},{"valueQuantity":{"value":6}}],"active":false,
        "extension":[{"url":"http://u/e","valueCode":"c"}]}"#;

    fn found(expression: &str) -> Vec<String> {
        let tree = Tree::read(OBSERVATION).expect("a tree");
        let expression = Expression::compile(expression, "Observation").expect("an expression");
        match expression.find(tree.root(), tree.root()) {
            Found::Items(items) => {
                let show = |item: &Item<'_, '_>| format!("{}{}", item.kind, item.element.raw());
                items.iter().map(show).collect()
            }
            Found::Answer(answer) => vec![answer.to_string()],
        }
    }

    #[test]
    fn steps_lead_to_elements() {
        for (expression, elements) in [
            ("Observation.code", vec![r#"{"text":"x"}"#]),
            ("Observation.identifier.value", vec![r#""a""#, r#""b""#]),
            ("Observation.identifier[1].value", vec![r#""b""#]),
            ("(Observation.value as Quantity).value", vec!["5"]),
            (
                "Observation.value as Quantity",
                vec![r#"Quantity{"value":5}"#],
            ),
            ("Observation.value.as(string)", vec![]),
            (
                "Observation.component.value.as(string)",
                vec![r#"String"s""#],
            ),
            (
                "Observation.value.ofType(Quantity).value | Observation.component.value.ofType(Quantity).value",
                vec!["5", "6"],
            ),
            (
                "Observation.telecom.where(system='email').value",
                vec![r#""2""#],
            ),
            (
                "Observation.subject.where(resolve() is Patient).reference",
                vec![r#""Patient/1""#],
            ),
            ("Observation.subject.where(resolve() is Device)", vec![]),
            (
                "Observation.focus.where(resolve() is Device).reference",
                vec![r#""http://x/Device/2""#],
            ),
            (
                "Observation.focus.where(resolve() is Patient).type",
                vec![r#""Patient""#],
            ),
            (
                "Observation.extension('http://u/e').value",
                vec![r#"Code"c""#],
            ),
            (
                "Observation.active.exists() and Observation.active != false",
                vec!["false"],
            ),
            (
                "Observation.value.exists() and Observation.value != false",
                vec!["true"],
            ),
            (
                "Observation.none.exists() and Observation.none != false",
                vec!["false"],
            ),
            ("%resource.code.text", vec![r#""x""#]),
        ] {
            assert_eq!(found(expression), elements, "{expression}");
        }
    }

    #[test]
    fn the_types_are_sorted() {
        assert!(TYPES.is_sorted());
    }

    #[test]
    fn what_is_not_of_this_part_does_not_compile() {
        for text in [
            "",
            "a.b()",
            "a.first()",
            "a.where(b)",
            "a.where(b='c'",
            "a + b",
            "a.where(b='\\'')",
            "(a as b",
            "a.exists() and b != false",
            "a[x]",
            "a..b",
        ] {
            assert_eq!(Expression::compile(text, ""), None, "{text}");
        }
    }
}
