//! The paths of search parameters, as far as they lead from element to element: no conditions but on
//! the type of a value or of what is referred to.

use serde_json::Value;

/// One alternative of an expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The element of this name, or one of a type that its name ends in.
    Element(String),
    /// The element of this name and type.
    Typed { element: String, of: &'static str },
    /// References to resources of this type alone.
    To(String),
}

/// A value that a path leads to, with the last element's name and, where the name tells it, the type.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a, 'p> {
    pub(crate) value: &'a Value,
    pub(crate) element: &'p str,
    pub(crate) of: Option<&'static str>,
}

/// The types that an element's name may end in.
const TYPES: [&str; 16] = [
    "Age",
    "Boolean",
    "CodeableConcept",
    "Date",
    "DateTime",
    "Decimal",
    "Instant",
    "Integer",
    "Period",
    "Quantity",
    "Range",
    "Reference",
    "SampledData",
    "String",
    "Timing",
    "Uri",
];

impl Path {
    /// One alternative of an expression, such as `(Observation.value as Quantity)`. `None` if it asks
    /// for more than a path.
    pub(crate) fn of(alternative: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let rest = match alternative.strip_prefix('(') {
            None => alternative,
            Some(inner) => {
                let (inner, rest) = inner.split_once(')')?;
                let (path, name) = inner.split_once(" as ")?;
                steps = Self::dotted(path)?;
                become_typed(&mut steps, name)?;
                // A path starts with the type, which a rest does not.
                match rest.strip_prefix('.') {
                    Some(rest) => steps.extend(Self::dotted(&format!("_.{rest}"))?),
                    None if rest.is_empty() => {}
                    None => return None,
                }
                return Some(Self { steps });
            }
        };
        steps.extend(Self::dotted(rest)?);
        Some(Self { steps })
    }

    /// The steps behind the type's name.
    fn dotted(path: &str) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let (_, mut rest) = path.split_once('.')?;
        loop {
            let bracket = rest.find('(');
            let end = match (rest.find('.'), bracket) {
                (Some(dot), Some(bracket)) if bracket < dot => closing(rest, bracket)? + 1,
                (None, Some(bracket)) => closing(rest, bracket)? + 1,
                (Some(dot), _) => dot,
                (None, None) => rest.len(),
            };
            let (step, after) = rest.split_at(end);
            if let Some(name) = inside(step, "as(") {
                become_typed(&mut steps, name)?;
            } else if let Some(kind) = inside(step, "where(resolve() is ") {
                steps.push(Step::To(kind.to_owned()));
            } else if step.chars().all(|letter| letter.is_ascii_alphanumeric()) {
                steps.push(Step::Element(step.to_owned()));
            } else {
                return None;
            }
            match after.strip_prefix('.') {
                Some(after) => rest = after,
                None if after.is_empty() => return Some(steps),
                None => return None,
            }
        }
    }

    /// Calls back for every value that the path leads to.
    pub(crate) fn walk<'a, 'p>(
        &'p self,
        resource: &'a Value,
        visit: &mut impl FnMut(Found<'a, 'p>),
    ) {
        let found = Found {
            value: resource,
            element: "",
            of: None,
        };
        follow(&self.steps, found, visit);
    }

    pub(crate) fn ends_in(&self, element: &str) -> bool {
        self.steps.last() == Some(&Step::Element(element.to_owned()))
    }
}

fn follow<'a, 'p>(steps: &'p [Step], at: Found<'a, 'p>, visit: &mut impl FnMut(Found<'a, 'p>)) {
    if let Value::Array(values) = at.value {
        for value in values {
            follow(steps, Found { value, ..at }, visit);
        }
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        return visit(at);
    };
    let mut go_on = |value, element, of| follow(rest, Found { value, element, of }, visit);
    match step {
        Step::Element(element) => match at.value.get(element) {
            Some(value) => go_on(value, element, None),
            None => {
                let members = at.value.as_object().into_iter().flatten();
                for (name, value) in members {
                    let of = name.strip_prefix(element.as_str());
                    let of = of.and_then(|of| TYPES.iter().find(|name| **name == of));
                    if let Some(of) = of {
                        go_on(value, element, Some(*of));
                    }
                }
            }
        },
        Step::Typed { element, of } => {
            let members = at.value.as_object();
            let value = members.and_then(|members| {
                let is = |name: &&String| name.strip_prefix(element.as_str()) == Some(of);
                members.keys().find(is).map(|name| &members[name])
            });
            if let Some(value) = value {
                go_on(value, element, Some(of));
            }
        }
        Step::To(kind) => {
            let reference = at.value["reference"].as_str();
            let to = reference.and_then(|reference| reference.split_once('/'));
            if to.is_some_and(|(to, _)| to == kind) {
                follow(rest, at, visit);
            }
        }
    }
}

/// Makes the last step one to a value of this type.
fn become_typed(steps: &mut Vec<Step>, name: &str) -> Option<()> {
    let of = TYPES.iter().find(|of| of.eq_ignore_ascii_case(name))?;
    match steps.pop()? {
        Step::Element(element) => steps.push(Step::Typed { element, of }),
        _ => return None,
    }
    Some(())
}

fn inside<'a>(step: &'a str, opening: &str) -> Option<&'a str> {
    step.strip_prefix(opening)?.strip_suffix(')')
}

/// Where the bracket at `open` is closed.
fn closing(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, letter) in text.char_indices().skip(open) {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}
