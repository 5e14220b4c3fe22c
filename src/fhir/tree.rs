//! A resource laid flat: every value of its JSON in one list, still as it stands.
//!
//! **Does** give the elements of a document that the reader has passed, by name and in order.
//! **Never** copies a value, or spells one out before it is asked for.
//! **Format** JSON (RFC 8259).

use std::ops::Range;

use super::text::Text;

/// Deeper than any limit of the reader.
const DEEPEST: u32 = 128;

/// Every value, each before those inside it.
pub(super) struct Tree<'a> {
    json: &'a str,
    nodes: Vec<Node<'a>>,
}

struct Node<'a> {
    /// The member's name as it stands between the quotes; empty for an element of an array.
    name: &'a str,
    raw: &'a str,
    /// The first node that is no longer inside.
    end: usize,
}

/// A value in a tree.
#[derive(Clone, Copy)]
pub(super) struct Element<'t, 'a> {
    tree: &'t Tree<'a>,
    at: usize,
}

impl<'a> Tree<'a> {
    /// Lays out a document; `None` where it is not JSON after all.
    pub(super) fn read(json: &'a str) -> Option<Self> {
        let mut nodes = Vec::with_capacity(json.len() / 24 + 1);
        let rest = value(skip(json), "", &mut nodes, 0)?;
        skip(rest).is_empty().then_some(Self { json, nodes })
    }

    /// Every value, each before those inside it.
    pub(super) fn all(&self) -> impl Iterator<Item = Element<'_, 'a>> {
        (0..self.nodes.len()).map(|at| Element { tree: self, at })
    }

    pub(super) fn root(&self) -> Element<'_, 'a> {
        Element { tree: self, at: 0 }
    }
}

impl<'t, 'a> Element<'t, 'a> {
    fn node(self) -> Option<&'t Node<'a>> {
        self.tree.nodes.get(self.at)
    }

    /// The value as it stands.
    pub(super) fn raw(self) -> &'a str {
        self.node().map_or("", |node| node.raw)
    }

    /// The member's name as it stands.
    pub(super) fn name(self) -> &'a str {
        self.node().map_or("", |node| node.name)
    }

    pub(super) fn is_object(self) -> bool {
        self.raw().starts_with('{')
    }

    pub(super) fn is_array(self) -> bool {
        self.raw().starts_with('[')
    }

    /// Where the value stands in the document, in bytes.
    pub(super) fn place(self) -> Range<usize> {
        let start = self.raw().as_ptr().addr() - self.tree.json.as_ptr().addr();
        start..start + self.raw().len()
    }

    /// The same from the quote before the name on, for a member of an object.
    pub(super) fn place_with_name(self) -> Range<usize> {
        let name = self.name().as_ptr().addr() - self.tree.json.as_ptr().addr();
        name.saturating_sub(1)..self.place().end
    }

    /// Whether the member has that name, however it is spelt.
    pub(super) fn is_named(self, name: &str) -> bool {
        match self.name().contains('\\') {
            true => Text::unescaped(self.name()).is_some_and(|own| *own == *name),
            false => self.name() == name,
        }
    }

    /// The members of an object or the elements of an array.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        let end = self.node().map_or(0, |node| node.end);
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let child = (at < end).then_some(Self { at, ..self })?;
            at = child.node()?.end;
            Some(child)
        })
    }

    /// The member of that name.
    pub(super) fn member(self, name: &str) -> Option<Self> {
        let mut children = self.children();
        self.is_object()
            .then(|| children.find(|child| child.name() == name))?
    }

    /// What the member of that name holds: each of its elements where it is an array.
    pub(super) fn each(self, name: &str) -> impl Iterator<Item = Self> {
        self.member(name).into_iter().flat_map(Self::flat)
    }

    /// The elements of an array, or the value itself.
    pub(super) fn flat(self) -> impl Iterator<Item = Self> {
        let array = self.is_array();
        let own = (!array).then_some(self);
        let elements = array.then(|| self.children()).into_iter().flatten();
        own.into_iter().chain(elements)
    }

    /// A string, spelt out.
    pub(super) fn text(self) -> Option<Text<'a>> {
        let inner = self.raw().strip_prefix('"')?.strip_suffix('"')?;
        match inner.contains('\\') {
            true => Text::unescaped(inner),
            false => Some(Text::Lent(inner)),
        }
    }

    /// The string of a member.
    pub(super) fn text_of(self, name: &str) -> Option<Text<'a>> {
        self.member(name)?.text()
    }

    /// A string, number or boolean, as a code is compared with it.
    pub(super) fn plain(self) -> Option<Text<'a>> {
        match self.raw().as_bytes().first()? {
            b'"' => self.text(),
            b'{' | b'[' | b'n' => None,
            _ => Some(Text::Lent(self.raw())),
        }
    }
}

fn skip(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// Takes one value off the front of `text`; what follows it.
fn value<'a>(
    text: &'a str,
    name: &'a str,
    nodes: &mut Vec<Node<'a>>,
    depth: u32,
) -> Option<&'a str> {
    let at = nodes.len();
    nodes.push(Node {
        name,
        raw: "",
        end: 0,
    });
    let rest = match text.as_bytes().first()? {
        _ if depth > DEEPEST => return None,
        b'{' => inside(text.get(1..)?, '}', nodes, depth)?,
        b'[' => inside(text.get(1..)?, ']', nodes, depth)?,
        b'"' => text.get(string_length(text)?..)?,
        _ => {
            let end = text.find([',', '}', ']', ' ', '\t', '\n', '\r']);
            text.get(end.unwrap_or(text.len())..)?
        }
    };
    let end = nodes.len();
    let node = nodes.get_mut(at)?;
    node.raw = text.get(..text.len() - rest.len())?;
    node.end = end;
    (!node.raw.is_empty()).then_some(rest)
}

/// Takes the members or elements up to the closing bracket.
fn inside<'a>(
    text: &'a str,
    close: char,
    nodes: &mut Vec<Node<'a>>,
    depth: u32,
) -> Option<&'a str> {
    let mut rest = skip(text);
    if let Some(rest) = rest.strip_prefix(close) {
        return Some(rest);
    }
    loop {
        let mut name = "";
        if close == '}' {
            let length = string_length(rest)?;
            name = rest.get(1..length.checked_sub(1)?)?;
            rest = skip(skip(rest.get(length..)?).strip_prefix(':')?);
        }
        rest = skip(value(rest, name, nodes, depth + 1)?);
        match rest.strip_prefix(close) {
            Some(rest) => return Some(rest),
            None => rest = skip(rest.strip_prefix(',')?),
        }
    }
}

/// The length of the string that `text` starts with, its quotes included.
fn string_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    bytes.first().filter(|byte| **byte == b'"')?;
    loop {
        let dull = bytes.get(at..)?.iter();
        at += dull
            .take_while(|byte| !matches!(byte, b'"' | b'\\'))
            .count();
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(element: Element<'_, '_>) -> serde_json::Value {
        if element.is_object() {
            let member = |child: Element<'_, '_>| (child.name().to_owned(), again(child));
            return element.children().map(member).collect();
        }
        if element.is_array() {
            return element.children().map(again).collect();
        }
        serde_json::from_str(element.raw()).expect("a value")
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[a-z\"\\\\\n{},\\]é]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map("[a-z ]{0,4}", inner, 0..5)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_holds_what_the_document_says(value in json(), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).expect("text"),
                false => value.to_string(),
            };
            let tree = Tree::read(&text).expect("a tree");
            prop_assert_eq!(again(tree.root()), value);
        }

        #[test]
        fn what_is_not_json_is_no_panic(text in "[\\[\\]{}\",:a\\\\1 ]{0,20}") {
            let _ = Tree::read(&text);
        }
    }
}
