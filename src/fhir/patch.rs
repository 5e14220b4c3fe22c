//! JSON Patch, on the text of a document.
//!
//! **Does** apply each operation to the bytes it is about, so that the order of members, the spelling
//! of strings and the precision of numbers stay as they were everywhere else.
//! **Never** leaves a copy of its own that is not wiped, or puts a word of either document in an error.
//! **Format** JSON Patch (RFC 6902); JSON Pointer (RFC 6901).

use super::edit::{Edits, member};
use super::text::Text;
use super::tree::{Element, Tree};
use crate::error::{Error, ErrorKind, Result};
use crate::records::Record;
use crate::secret::SecretBytes;

/// The most operations of one patch.
const MOST: usize = 1000;

/// Applies a patch. The reader has passed the document, and any bytes may be the patch.
///
/// # Errors
///
/// [`ErrorKind::FhirMalformed`] where the patch is none, [`ErrorKind::PatchFailed`] where an operation
/// does not fit the document, both with the operation's place; [`ErrorKind::FhirTooLarge`] where the
/// document grows beyond what a record may hold.
pub(crate) fn patched(json: &str, patch: &str) -> Result<SecretBytes> {
    let tree = Tree::read(patch).ok_or(ErrorKind::FhirMalformed)?;
    if !tree.root().is_array() {
        return Err(ErrorKind::FhirMalformed.into());
    }
    let mut document = SecretBytes::copy_of(json.as_bytes());
    for (at, operation) in tree.root().children().enumerate() {
        let fail = |kind| Error::at_json_path(kind, format!("[{at}]"));
        if at >= MOST {
            return Err(fail(ErrorKind::FhirTooMany));
        }
        let text = std::str::from_utf8(document.expose()).map_err(|_| ErrorKind::FhirMalformed)?;
        document = apply(text, operation).map_err(fail)?;
        if document.expose().len() > Record::MAX_BODY {
            return Err(fail(ErrorKind::FhirTooLarge));
        }
    }
    Ok(document)
}

type Applied<T> = Result<T, ErrorKind>;

fn apply(json: &str, operation: Element<'_, '_>) -> Applied<SecretBytes> {
    let malformed = ErrorKind::FhirMalformed;
    let failed = ErrorKind::PatchFailed;
    let text = |name: &str| member(operation, name).and_then(Element::text);
    let value = || member(operation, "value").ok_or(malformed);
    let pointer = |name: &str| Pointer::read(&text(name).ok_or(malformed)?).ok_or(malformed);
    let tree = Tree::read(json).ok_or(failed)?;
    let root = tree.root();
    let path = pointer("path")?;
    let mut edits = Edits::of(json);
    match &*text("op").ok_or(malformed)? {
        "add" => add(&mut edits, root, &path, value()?.raw())?,
        "remove" => remove(&mut edits, root, &path)?,
        "replace" => {
            let held = path.find(root).ok_or(failed)?;
            edits.replace(held.place(), &[value()?.raw()]);
        }
        "copy" => {
            let held = pointer("from")?.find(root).ok_or(failed)?;
            add(&mut edits, root, &path, held.raw())?;
        }
        "move" => {
            let from = pointer("from")?;
            let held = from.find(root).ok_or(failed)?;
            if path.is_below(&from) {
                return Err(failed);
            }
            if !path.is(&from) {
                // What it is added to is the document without it.
                remove(&mut edits, root, &from)?;
                let without = edits.finish();
                let without = std::str::from_utf8(without.expose()).map_err(|_| failed)?;
                let tree = Tree::read(without).ok_or(failed)?;
                let mut adding = Edits::of(without);
                add(&mut adding, tree.root(), &path, held.raw())?;
                return Ok(adding.finish());
            }
        }
        "test" => {
            let held = path.find(root).ok_or(failed)?;
            if !is_equal(held, value()?) {
                return Err(failed);
            }
        }
        _ => return Err(malformed),
    }
    Ok(edits.finish())
}

fn add(edits: &mut Edits<'_>, root: Element<'_, '_>, path: &Pointer, value: &str) -> Applied<()> {
    let failed = ErrorKind::PatchFailed;
    let Some((parent, last)) = path.last() else {
        edits.replace(root.place(), &[value]);
        return Ok(());
    };
    let parent = follow(root, parent).ok_or(failed)?;
    let end = parent.place().end.checked_sub(1).ok_or(failed)?;
    let after = parent.children().last().map(|last| last.place().end);
    if parent.is_object() {
        match (member(parent, last), after) {
            (Some(held), _) => edits.replace(held.place(), &[value]),
            (None, after) => {
                let comma = if after.is_some() { "," } else { "" };
                let name = quoted(last).ok_or(failed)?;
                edits.insert(after.unwrap_or(end), &[comma, &name, ":", value]);
            }
        }
        return Ok(());
    }
    if !parent.is_array() {
        return Err(failed);
    }
    let count = parent.children().count();
    let at = match last {
        "-" => count,
        index => read_index(index).filter(|at| *at <= count).ok_or(failed)?,
    };
    match (parent.children().nth(at), after) {
        (Some(next), _) => edits.insert(next.place().start, &[value, ","]),
        (None, Some(after)) => edits.insert(after, &[",", value]),
        (None, None) => edits.insert(end, &[value]),
    }
    Ok(())
}

/// Takes a member or an element out, with the comma that it had.
fn remove(edits: &mut Edits<'_>, root: Element<'_, '_>, path: &Pointer) -> Applied<()> {
    let failed = ErrorKind::PatchFailed;
    let own = path.find(root).ok_or(failed)?;
    let (parent, _) = path.last().ok_or(failed)?;
    let parent = follow(root, parent).ok_or(failed)?;
    let whole = |child: Element<'_, '_>| match parent.is_object() {
        true => child.place_with_name(),
        false => child.place(),
    };
    let mut before = None;
    let mut children = parent.children();
    for child in children.by_ref() {
        if child.place() == own.place() {
            break;
        }
        before = Some(child);
    }
    let place = match (children.next(), before) {
        (Some(next), _) => whole(own).start..whole(next).start,
        (None, Some(before)) => before.place().end..own.place().end,
        (None, None) => whole(own),
    };
    edits.replace(place, &[]);
    Ok(())
}

/// The steps of a JSON Pointer, each as it is spelt out.
struct Pointer(Vec<Text<'static>>);

impl Pointer {
    fn read(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix('/') else {
            return text.is_empty().then(|| Self(Vec::new()));
        };
        let step = |step: &str| {
            let mut parts = Vec::new();
            let mut pieces = step.split('~');
            parts.extend(pieces.next());
            for piece in pieces {
                let (sign, rest) = match piece.as_bytes().first()? {
                    b'0' => ("~", piece.get(1..)?),
                    b'1' => ("/", piece.get(1..)?),
                    _ => return None,
                };
                parts.extend([sign, rest]);
            }
            Some(Text::joined(&parts))
        };
        rest.split('/').map(step).collect::<Option<_>>().map(Self)
    }

    fn find<'t, 'a>(&self, root: Element<'t, 'a>) -> Option<Element<'t, 'a>> {
        follow(root, &self.0)
    }

    /// The parent's steps, and the last one; `None` for the whole document.
    fn last(&self) -> Option<(&[Text<'static>], &str)> {
        let (last, parent) = self.0.split_last()?;
        Some((parent, last))
    }

    fn is(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.starts_with(other)
    }

    fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.starts_with(other)
    }

    fn starts_with(&self, other: &Self) -> bool {
        let mut both = self.0.iter().zip(&other.0);
        both.all(|(own, other)| **own == **other)
    }
}

fn follow<'t, 'a>(root: Element<'t, 'a>, steps: &[Text<'_>]) -> Option<Element<'t, 'a>> {
    steps.iter().try_fold(root, |element, step| {
        if element.is_object() {
            return member(element, step);
        }
        let index = read_index(step).filter(|_| element.is_array())?;
        element.children().nth(index)
    })
}

/// An index of an array: digits without a zero before them.
fn read_index(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    (digits && plain).then(|| text.parse().ok())?
}

/// A member's name as JSON; `None` where it holds a control character, which no name of FHIR does.
fn quoted(name: &str) -> Option<Text<'static>> {
    if name.chars().any(char::is_control) {
        return None;
    }
    let mut parts = vec!["\""];
    for piece in name.split_inclusive(['"', '\\']) {
        let end = piece.len() - usize::from(piece.ends_with(['"', '\\']));
        let (plain, sign) = piece.split_at_checked(end)?;
        let escape = if sign.is_empty() { "" } else { "\\" };
        parts.extend([plain, escape, sign]);
    }
    parts.push("\"");
    Some(Text::joined(&parts))
}

/// Whether two values are equal as RFC 6902 has it (4.6).
fn is_equal(one: Element<'_, '_>, other: Element<'_, '_>) -> bool {
    if one.is_object() && other.is_object() {
        let (Some(one), Some(other)) = (members(one), members(other)) else {
            return false;
        };
        let mut both = one.iter().zip(&other);
        return one.len() == other.len()
            && both.all(|((name, one), (other_name, other))| {
                **name == **other_name && is_equal(*one, *other)
            });
    }
    if one.is_array() && other.is_array() {
        let mut both = one.children().zip(other.children());
        return one.children().count() == other.children().count()
            && both.all(|(one, other)| is_equal(one, other));
    }
    match (one.text(), other.text()) {
        (Some(one), Some(other)) => *one == *other,
        (None, None) => match (number(one.raw()), number(other.raw())) {
            (Some(one), Some(other)) => one == other,
            _ => one.raw() == other.raw(),
        },
        _ => false,
    }
}

/// The members of an object in the order of their names.
#[expect(
    clippy::unnecessary_sort_by,
    reason = "a key would be borrowed from what is being sorted"
)]
fn members<'t, 'a>(object: Element<'t, 'a>) -> Option<Vec<(Text<'a>, Element<'t, 'a>)>> {
    let named = |child: Element<'t, 'a>| {
        let name = match child.name().contains('\\') {
            true => Text::unescaped(child.name())?,
            false => Text::Lent(child.name()),
        };
        Some((name, child))
    };
    let mut members: Vec<_> = object.children().map(named).collect::<Option<_>>()?;
    members.sort_by(|(one, _), (other, _)| (**one).cmp(&**other));
    Some(members)
}

/// A number as its sign, its digits without zeros at either end, and how far the first is from the
/// point: equal numbers are equal so, however they are written.
fn number(raw: &str) -> Option<(bool, Text<'static>, i64)> {
    let (negative, rest) = match raw.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, raw),
    };
    rest.as_bytes()
        .first()
        .filter(|byte| byte.is_ascii_digit())?;
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let exponent: i64 = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = Text::joined(&[whole, fraction]);
    let leading = digits.bytes().take_while(|byte| *byte == b'0').count();
    let digits = digits.trim_matches('0');
    if digits.is_empty() {
        return Some((false, Text::joined(&[]), 0));
    }
    let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
    Some((
        negative,
        Text::joined(&[digits]),
        exponent.checked_add(point)?,
    ))
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(json: &str, patch: &str) -> Result<String> {
        patched(json, patch).map(|done| String::from_utf8(done.expose().to_vec()).unwrap())
    }

    #[test]
    fn only_what_is_patched_changes() {
        let json = "{\n  \"b\" : 1.00,\n  \"a\" : [ \"\\u00e9\", {\"x\":1e2} ]\n}";
        for (operation, expected) in [
            (
                r#"{"op":"replace","path":"/a/1/x","value":2.50}"#,
                "{\n  \"b\" : 1.00,\n  \"a\" : [ \"\\u00e9\", {\"x\":2.50} ]\n}",
            ),
            (
                r#"{"op":"remove","path":"/b"}"#,
                "{\n  \"a\" : [ \"\\u00e9\", {\"x\":1e2} ]\n}",
            ),
            (r#"{"op":"remove","path":"/a"}"#, "{\n  \"b\" : 1.00\n}"),
            (
                r#"{"op":"add","path":"/a/0","value":null}"#,
                "{\n  \"b\" : 1.00,\n  \"a\" : [ null,\"\\u00e9\", {\"x\":1e2} ]\n}",
            ),
            (
                r#"{"op":"add","path":"/a/-","value":[]}"#,
                "{\n  \"b\" : 1.00,\n  \"a\" : [ \"\\u00e9\", {\"x\":1e2},[] ]\n}",
            ),
            (
                r#"{"op":"move","from":"/b","path":"/a/1/b"}"#,
                "{\n  \"a\" : [ \"\\u00e9\", {\"x\":1e2,\"b\":1.00} ]\n}",
            ),
        ] {
            assert_eq!(patch(json, &format!("[{operation}]")).unwrap(), expected);
        }
    }

    #[test]
    fn numbers_are_equal_however_they_are_written() {
        for (one, other, equal) in [
            ("1.00", "1", true),
            ("1e2", "100", true),
            ("0.0", "-0", true),
            ("120E-1", "12.0", true),
            ("0.012", "1.2e-2", true),
            ("1", "-1", false),
            ("1", "10", false),
            ("9007199254740993", "9007199254740992", false),
            ("1e999999", "1e999998", false),
        ] {
            let test = format!(r#"[{{"op":"test","path":"/a","value":{other}}}]"#);
            let done = patch(&format!(r#"{{"a":{one}}}"#), &test);
            assert_eq!(done.is_ok(), equal, "{one} {other}");
        }
    }

    #[test]
    fn what_fails_is_told_by_its_place() {
        let operations =
            r#"[{"op":"test","path":"/a","value":1},{"op":"remove","path":"/Zanzibar"}]"#;
        let error = patch(r#"{"a":1}"#, operations).unwrap_err();
        assert_eq!(
            (error.kind(), error.json_path()),
            (ErrorKind::PatchFailed, Some("[1]"))
        );
        for (malformed, place) in [
            ("{}", None),
            ("[1]", Some("[0]")),
            (r#"[{"op":"add","path":"a","value":1}]"#, Some("[0]")),
            (r#"[{"op":"add","path":"/~2","value":1}]"#, Some("[0]")),
            (r#"[{"op":"add","path":"/a"}]"#, Some("[0]")),
            (r#"[{"op":"spam","path":"/a"}]"#, Some("[0]")),
        ] {
            let error = patch(r#"{"a":1}"#, malformed).unwrap_err();
            assert_eq!(
                (error.kind(), error.json_path()),
                (ErrorKind::FhirMalformed, place)
            );
        }
        let doubling = r#"{"op":"copy","from":"","path":"/a/-"},"#.repeat(40);
        let doubling = format!("[{}]", doubling.trim_end_matches(','));
        let long = format!(r#"{{"a":["{}"]}}"#, "x".repeat(1 << 20));
        let error = patch(&long, &doubling).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FhirTooLarge);
    }
}
