//! Reads Rust source into tokens: enough to tell code from comments and from text, and to see
//! every path that code names. It is not a compiler, and asks no more than the walls need.

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word: a name or a keyword.
    Word(String),
    /// `::`, or a single other sign.
    Sign(&'static str),
    /// A string literal's content, escapes as written.
    Text(String),
    /// A sign, number, character or lifetime that no check looks at.
    Other,
}

/// A token and the line it begins on, counted from 1.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }

    pub(crate) fn is_sign(&self, sign: &str) -> bool {
        matches!(&self.kind, Kind::Sign(own) if *own == sign)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// The tokens of `source`, comments left out.
pub(crate) fn scan(source: &str) -> Vec<Token> {
    let mut scanner = Scanner {
        rest: source,
        line: 1,
        tokens: Vec::new(),
    };
    while !scanner.rest.is_empty() {
        scanner.step();
    }
    scanner.tokens
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl Scanner<'_> {
    fn step(&mut self) {
        let rest = self.rest;
        let first = rest.chars().next().expect("a step has something to read");
        if first.is_whitespace() {
            self.take(first.len_utf8(), None);
        } else if rest.starts_with("//") {
            self.take(rest.find('\n').unwrap_or(rest.len()), None);
        } else if rest.starts_with("/*") {
            self.take(block_comment(rest), None);
        } else if let Some((open, close)) = string(rest) {
            let content = rest.split_at(open).1;
            let length = end_of_string(content, close.as_deref());
            let text = content.split_at(length).0.to_owned();
            let closing = close.map_or(1, |close| close.len());
            let whole = (open + length + closing).min(rest.len());
            self.take(whole, Some(Kind::Text(text)));
        } else if first == '\'' {
            self.take(quote(rest), Some(Kind::Other));
        } else if first.is_alphabetic() || first == '_' {
            let plain = rest.strip_prefix("r#").unwrap_or(rest);
            let skipped = rest.len() - plain.len();
            let length = plain
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(plain.len());
            let word = plain.split_at(length).0.to_owned();
            self.take(skipped + length, Some(Kind::Word(word)));
        } else if first.is_ascii_digit() {
            let length = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            self.take(length, Some(Kind::Other));
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let length = sign.map_or_else(|| first.len_utf8(), |sign| sign.len());
            self.take(
                length,
                Some(sign.map_or(Kind::Other, |sign| Kind::Sign(sign))),
            );
        }
    }

    fn take(&mut self, length: usize, kind: Option<Kind>) {
        let (taken, rest) = self.rest.split_at(length);
        if let Some(kind) = kind {
            let line = self.line;
            self.tokens.push(Token { kind, line });
        }
        self.line += taken.matches('\n').count();
        self.rest = rest;
    }
}

/// How long the block comment at the start of `rest` is; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = rest.split_at(at).1;
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Where a string literal opens here: the length of its opening and, for a raw one, what closes it.
fn string(rest: &str) -> Option<(usize, Option<String>)> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| {
            after.trim_start_matches('#').starts_with('"')
                && (prefix.ends_with('r') || after.starts_with('"'))
        })
    })?;
    let after = rest.split_at(prefix.len()).1;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let close = prefix
        .ends_with('r')
        .then(|| format!("\"{}", "#".repeat(hashes)));
    Some((prefix.len() + hashes + 1, close))
}

/// Where the string whose content starts here ends: before `close`, or before a quotation mark that
/// no backslash escapes.
fn end_of_string(content: &str, close: Option<&str>) -> usize {
    if let Some(close) = close {
        return content.find(close).unwrap_or(content.len());
    }
    let mut escaped = false;
    for (at, c) in content.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    content.len()
}

/// How long the character literal or lifetime at the start of `rest` is.
fn quote(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((after, c))) => {
            let past = after + c.len_utf8();
            let tail = rest.split_at(past).1;
            tail.find('\'').map_or(rest.len(), |end| past + end + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// The signs that a check looks for, longer ones first.
const SIGNS: &[&str] = &[
    "::", "{", "}", "(", ")", "[", "]", "<", ">", "#", "!", "=", ":", ";", ",", ".", "*", "&", "|",
    "$",
];
