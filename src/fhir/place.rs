//! Where in a document something stands, for errors.
//!
//! **Does** name the place where a text breaks off, and find the place that a trail names.
//! **Never** runs while all is well, judges the grammar, or names what this crate does not know.
//! **Format** JSON.

use super::effective::MEMBERS;
use super::object::{Step, known_place};

/// The most steps that are told: the deepest of the official R4 examples takes 21.
const MOST_STEPS: usize = 32;

/// The steps to the place where `before` ends, up to the first that this crate has no name for.
pub(super) fn steps_to_end(before: &str) -> Vec<Step> {
    let mut walk = Walk::of(before);
    while walk.next_value().is_some() {}
    let mut steps: Vec<Step> = Vec::new();
    for level in walk.levels {
        let step = match (level, steps.last()) {
            (Level::Object(Some(name)), _) => known(name).map(Step::Field),
            // FHIR has no arrays in arrays.
            (Level::Array(_), Some(Step::Index(_))) | (Level::Object(None), _) => None,
            (Level::Array(index), _) => Some(Step::Index(index)),
        };
        match step {
            Some(step) if steps.len() < MOST_STEPS => steps.push(step),
            _ => break,
        }
    }
    steps
}

/// Where in `text` the value begins that `steps` lead to, or, where there is none, the one that it
/// is missing in.
pub(super) fn start(text: &str, steps: &[Step]) -> usize {
    let mut walk = Walk::of(text);
    let mut missing_in = 0;
    while let Some(at) = walk.next_value() {
        let levels = walk.levels.as_slice();
        if levels.len() > steps.len() || levels.len() + 1 < steps.len() {
            continue;
        }
        if levels.iter().zip(steps).all(|(level, step)| level.is(step)) {
            match levels.len() == steps.len() {
                true => return at,
                false => missing_in = at,
            }
        }
    }
    missing_in
}

/// Counts the lines of a document up to parts of it.
pub(crate) struct LineCount<'a> {
    document: &'a [u8],
    passed: usize,
    line: u64,
}

impl<'a> LineCount<'a> {
    pub(crate) fn of(document: &'a [u8]) -> Self {
        Self {
            document,
            passed: 0,
            line: 1,
        }
    }

    /// The line that `part`, a part of the document after those asked for before, begins on.
    pub(crate) fn line_of(&mut self, part: &str) -> u64 {
        let at = part
            .as_ptr()
            .addr()
            .checked_sub(self.document.as_ptr().addr());
        if let Some(at) = at
            && let Some(between) = self.document.get(self.passed..at)
        {
            let ends = between.iter().filter(|byte| **byte == b'\n').count();
            self.line += u64::try_from(ends).unwrap_or_default();
            self.passed = at;
        }
        self.line
    }
}

/// A pass over the values of a text that may break off.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// What the walk is inside of.
    levels: Vec<Level<'a>>,
    /// What the last value opened.
    opened: Option<Level<'a>>,
}

#[derive(Clone, Copy)]
enum Level<'a> {
    /// The name of the member.
    Object(Option<&'a str>),
    Array(usize),
}

impl<'a> Walk<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            levels: Vec::new(),
            opened: None,
        }
    }

    /// Goes on to the next value; where it begins.
    fn next_value(&mut self) -> Option<usize> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let blank = rest.iter().take_while(|byte| b" \t\n\r:".contains(byte));
            self.at += blank.count();
            let start = self.at;
            let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
            self.levels.extend(self.opened.take());
            self.at += match rest.as_bytes().first()? {
                b'"' => string_length(rest),
                b'{' | b'}' | b'[' | b']' | b',' => 1,
                _ => rest.find(DELIMITERS).unwrap_or(rest.len()),
            };
            match rest.as_bytes().first()? {
                b'{' => self.opened = Some(Level::Object(None)),
                b'[' => self.opened = Some(Level::Array(0)),
                b'}' | b']' => {
                    self.levels.pop();
                    continue;
                }
                b',' => {
                    match self.levels.last_mut() {
                        Some(Level::Object(name)) => *name = None,
                        Some(Level::Array(index)) => *index += 1,
                        None => {}
                    }
                    continue;
                }
                b'"' => {
                    if let Some(Level::Object(name @ None)) = self.levels.last_mut() {
                        let quoted = rest.get(..self.at - start).unwrap_or_default();
                        *name = quoted.get(1..).and_then(|name| name.strip_suffix('"'));
                        continue;
                    }
                }
                _ => {}
            }
            return Some(start);
        }
    }
}

impl Level<'_> {
    fn is(&self, step: &Step) -> bool {
        match (self, step) {
            (Self::Object(Some(name)), Step::Field(known)) => known_place(name, &[known]).is_some(),
            (Self::Array(index), Step::Index(meant)) => index == meant,
            _ => false,
        }
    }
}

const DELIMITERS: [char; 11] = ['"', '{', '}', '[', ']', ',', ':', ' ', '\t', '\n', '\r'];

/// The length of the string that `text` begins with, its quotes included; all of it if it does not
/// end.
fn string_length(text: &str) -> usize {
    let mut escape = false;
    let mut inner = text.bytes().skip(1);
    let end = inner.position(|byte| {
        let ends = byte == b'"' && !escape;
        escape = byte == b'\\' && !escape;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The name as this crate has it.
fn known(name: &str) -> Option<&'static str> {
    let lists = [MEMBERS, OTHERS].into_iter();
    let mut found = lists.filter_map(|list| list.get(known_place(name, list)?).copied());
    found.next()
}

/// Names of members besides [`MEMBERS`]: those that the reader looks for elsewhere, and those of
/// the datatypes that are in nearly every resource.
const OTHERS: &[&str] = &[
    "address",
    "category",
    "code",
    "coding",
    "collectedDateTime",
    "collectedPeriod",
    "component",
    "contact",
    "contained",
    "display",
    "div",
    "entry",
    "event",
    "extension",
    "family",
    "fullUrl",
    "given",
    "identifier",
    "interpretation",
    "lastUpdated",
    "line",
    "link",
    "modifierExtension",
    "name",
    "note",
    "performer",
    "profile",
    "reference",
    "referenceRange",
    "repeat",
    "request",
    "resource",
    "response",
    "status",
    "system",
    "tag",
    "telecom",
    "text",
    "type",
    "unit",
    "url",
    "value",
    "valueCodeableConcept",
    "valueQuantity",
    "valueString",
    "versionId",
];

#[cfg(test)]
mod tests {
    use super::super::object::Trail;
    use super::*;

    fn end(before: &str) -> String {
        Trail::along(steps_to_end(before)).to_string()
    }

    #[test]
    fn a_text_that_breaks_off_is_named_as_far_as_it_is_known() {
        for (before, path) in [
            ("", ""),
            ("7", ""),
            ("{", ""),
            (r#"{"id"#, ""),
            (r#"{"id""#, "id"),
            (r#"{"\u0069d": "#, "id"),
            (r#"{"id":"a\"b"#, "id"),
            (r#"{"id":"a","#, ""),
            (r#"{"id":"a","Zanzibar":{"id":"#, ""),
            (r#"{"entry":["#, "entry"),
            (r#"{"entry":[{"#, "entry[0]"),
            (
                r#"{"entry":[{},{"resource":{"code":{"coding":[{},{"#,
                "entry[1].resource.code.coding[1]",
            ),
            (
                r#"{"entry":[{"resource":{"a":[1,2],"id":["x", "y"]}},nul"#,
                "entry[1]",
            ),
            (r#"{"id":[[[1,[2"#, "id[0]"),
            ("[1,2", "[1]"),
            ("]]}{\"id\":", "id"),
        ] {
            assert_eq!(end(before), path, "{before}");
        }
        let deep = "{\"code\":".repeat(100);
        assert_eq!(steps_to_end(&deep).len(), MOST_STEPS);
    }

    #[test]
    fn a_value_is_found_where_it_begins() {
        let text = r#" {"a":{"entry":[1]}, "entry" : [ {"resource":{}} , {"\u0069d" : 7}] }"#;
        let rest = |steps: &[Step]| text.get(start(text, steps)..).expect("inside");
        let entry = |index| [Step::Field("entry"), Step::Index(index)];
        assert!(rest(&[]).starts_with("{\"a\""));
        assert!(rest(&[Step::Field("entry")]).starts_with("[ {"));
        assert!(rest(&entry(0)).starts_with("{\"resource"));
        let [first, second] = entry(1);
        assert!(rest(&[first, second, Step::Field("id")]).starts_with("7}"));
        assert!(rest(&[first, second, Step::Field("resource")]).starts_with("{\"\\u"));
        assert!(rest(&[Step::Field("id")]).starts_with("{\"a\""));
    }
}
