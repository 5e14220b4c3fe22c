//! The source tree as the checks see it: which module a file is, which of its tokens are tests,
//! and which paths the rest names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::scanner::{Token, scan};

/// The files of `src/`, or those that a test makes up.
pub(crate) struct Tree {
    pub(crate) files: Vec<Source>,
}

/// One file.
pub(crate) struct Source {
    /// Its path from the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Every token.
    pub(crate) tokens: Vec<Token>,
    /// The tokens that are built when no test is: those that the walls hold for.
    pub(crate) production: Vec<Token>,
}

/// A path as code names it, `use` groups taken apart: `["std", "fs", "File"]`.
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// The module the path stands in, from the crate's root.
    pub(crate) module: Vec<String>,
    /// It is renamed with `as`.
    pub(crate) renamed: bool,
}

impl Tree {
    /// Reads `src/`.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        let mut directories = vec![root.join("src")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("src is readable") {
                let path = entry.expect("src is readable").path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(root).expect("the file is below the root");
                    let name = name.to_str().expect("names are text").replace('\\', "/");
                    files.push((name, fs::read_to_string(&path).expect("source is text")));
                }
            }
        }
        files.sort();
        Self::of(files)
    }

    /// A tree of made-up files.
    pub(crate) fn of<P: Into<String>, T: Into<String>>(
        files: impl IntoIterator<Item = (P, T)>,
    ) -> Self {
        let mut files: Vec<_> = files
            .into_iter()
            .map(|(path, text)| Source::new(path.into(), text.into()))
            .collect();
        let tests: BTreeSet<_> = files.iter().flat_map(Source::test_modules).collect();
        for file in &mut files {
            let module = file.module();
            if (1..=module.len()).any(|depth| tests.contains(&module[..depth])) {
                file.production.clear();
            }
        }
        Self { files }
    }
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let tokens = scan(&text);
        let production = without_tests(&tokens);
        Self {
            path,
            text,
            tokens,
            production,
        }
    }

    /// The module this file is, from the crate's root; empty for `lib.rs`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        let mut module: Vec<_> = inner.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") || module.len() == 1 && inner == "lib" {
            module.pop();
        }
        module
    }

    /// The room this file belongs to; none for `lib.rs`.
    pub(crate) fn room(&self) -> Option<String> {
        self.module().into_iter().next()
    }

    /// Whether this file is its room's door.
    pub(crate) fn is_door(&self) -> bool {
        self.module().len() == 1
    }

    /// How many lines stand before the tests.
    pub(crate) fn lines_before_tests(&self) -> usize {
        if self.production.is_empty() {
            return 0;
        }
        (0..self.tokens.len())
            .find(|&at| test_module(&self.tokens, at).is_some())
            .map_or_else(|| self.text.lines().count(), |at| self.tokens[at].line - 1)
    }

    /// Every path that production code names.
    pub(crate) fn named(&self) -> Vec<Named> {
        let tokens = &self.production;
        let mut found = Vec::new();
        let mut inline: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if token.is_sign("{") {
                depth += 1;
                let word = |back: usize| at.checked_sub(back).and_then(|i| tokens[i].word());
                if let (Some("mod"), Some(name)) = (word(2), word(1)) {
                    inline.push((name.to_owned(), depth));
                }
            } else if token.is_sign("}") {
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
                depth = depth.saturating_sub(1);
            } else if begins_path(tokens, at) {
                let mut module = self.module();
                module.extend(inline.iter().map(|(name, _)| name.clone()));
                at = read_path(tokens, at, &[], &mut |segments, line, renamed| {
                    found.push(Named {
                        segments,
                        line,
                        module: module.clone(),
                        renamed,
                    });
                });
                continue;
            }
            at += 1;
        }
        found
    }

    /// The modules that this file declares for tests only, with `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<Vec<String>> {
        (0..self.tokens.len())
            .filter_map(|at| test_module(&self.tokens, at))
            .map(|name| [self.module(), vec![name]].concat())
            .collect()
    }
}

impl Named {
    /// The path from the crate's root, where it begins at `crate`, `super` or `self`.
    pub(crate) fn in_crate(&self) -> Option<Vec<&str>> {
        let mut absolute: Vec<&str> = match self.segments.first()?.as_str() {
            "crate" => Vec::new(),
            "super" | "self" => self.module.iter().map(String::as_str).collect(),
            _ => return None,
        };
        for segment in &self.segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => {
                    absolute.pop();
                }
                name => absolute.push(name),
            }
        }
        Some(absolute)
    }

    /// Whether the path is `prefix` or lies below it.
    pub(crate) fn is_below(&self, prefix: &str) -> bool {
        let mut own = self.segments.iter();
        prefix
            .split("::")
            .all(|segment| own.next().is_some_and(|own| own == segment))
    }
}

/// Whether the token at `at` is a name with no path or value before it that it belongs to.
fn begins_path(tokens: &[Token], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|i| &tokens[i]);
    let is_name = |token: &Token| token.word().is_some_and(|word| !KEYWORDS.contains(&word));
    is_name(&tokens[at])
        && match before(1) {
            Some(token) if token.is_sign(".") => before(2).is_some_and(|t| t.is_sign(".")),
            Some(token) if token.is_sign("::") => {
                !before(2).is_some_and(|token| is_name(token) || token.is_sign(">"))
            }
            _ => true,
        }
}

/// Reads the path, or the tree of a `use`, that begins at `at`; returns where it ends.
fn read_path(
    tokens: &[Token],
    mut at: usize,
    base: &[String],
    found: &mut dyn FnMut(Vec<String>, usize, bool),
) -> usize {
    let line = tokens[at].line;
    let mut segments = base.to_vec();
    while let Some(token) = tokens.get(at) {
        if token.is_sign("{") {
            at += 1;
            while tokens.get(at).is_some_and(|token| !token.is_sign("}")) {
                let leaf = tokens[at].word().is_some()
                    || tokens[at].is_sign("*")
                    || tokens[at].is_sign("{");
                at = match leaf {
                    true => read_path(tokens, at, &segments, found),
                    false => at + 1,
                };
            }
            return at + 1;
        }
        segments.push(token.word().unwrap_or("*").to_owned());
        at += 1;
        let goes_on = tokens.get(at).is_some_and(|token| token.is_sign("::"))
            && tokens
                .get(at + 1)
                .is_some_and(|t| t.word().is_some() || t.is_sign("*") || t.is_sign("{"));
        if !goes_on {
            break;
        }
        at += 1;
    }
    let renamed = tokens.get(at).is_some_and(|token| token.is_word("as"));
    found(segments, line, renamed);
    match renamed {
        true => at + 2,
        false => at,
    }
}

/// The name of the module that begins at `at` under `#[cfg(test)]`.
fn test_module(tokens: &[Token], mut at: usize) -> Option<String> {
    if !is_test_attribute(&tokens[at..]) {
        return None;
    }
    while tokens.get(at)?.is_sign("#") {
        at = end_of_attribute(tokens, at);
    }
    if tokens.get(at)?.is_word("pub") {
        at += 1;
        if tokens.get(at)?.is_sign("(") {
            at += 3;
        }
    }
    let name = tokens.get(at + 1)?.word()?;
    tokens.get(at)?.is_word("mod").then(|| name.to_owned())
}

/// The tokens left when everything under `#[cfg(test)]` is taken out.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(tokens, end_of_attribute(tokens, at));
        } else if tokens[at].is_sign("#")
            && tokens.get(at + 1).is_some_and(|token| token.is_sign("!"))
            && is_test_predicate(tokens.get(at + 2..).unwrap_or_default())
        {
            return kept;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Whether `#[cfg(test)]` or `#[cfg(all(test, ..))]` begins here.
fn is_test_attribute(tokens: &[Token]) -> bool {
    tokens.first().is_some_and(|token| token.is_sign("#"))
        && is_test_predicate(tokens.get(1..).unwrap_or_default())
}

fn is_test_predicate(tokens: &[Token]) -> bool {
    let start: Vec<_> = tokens.iter().take(6).filter_map(Token::word).collect();
    tokens.first().is_some_and(|token| token.is_sign("["))
        && matches!(
            start.as_slice(),
            ["cfg", "test", ..] | ["cfg", "all", "test"]
        )
}

/// Where the attribute that begins at `at` ends.
fn end_of_attribute(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (offset, token) in tokens[at..].iter().enumerate() {
        if token.is_sign("[") {
            depth += 1;
        } else if token.is_sign("]") {
            depth -= 1;
            if depth == 0 {
                return at + offset + 1;
            }
        }
    }
    tokens.len()
}

/// Where the item, field, arm or statement that begins at `at` ends.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at).is_some_and(|token| token.is_sign("#")) {
        at = end_of_attribute(tokens, at);
    }
    let is_item = tokens[at.min(tokens.len())..]
        .first()
        .and_then(Token::word)
        .is_some_and(|word| ITEMS.contains(&word));
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        let opens = ["(", "[", "{"].iter().any(|sign| token.is_sign(sign));
        let closes = [")", "]", "}"].iter().any(|sign| token.is_sign(sign));
        if opens {
            depth += 1;
        } else if closes {
            if depth == 0 {
                return at;
            }
            depth -= 1;
        }
        let ends = token.is_sign(";") || token.is_sign("}") || token.is_sign(",") && !is_item;
        at += 1;
        if depth == 0 && ends {
            return at;
        }
    }
    at
}

/// Words that stand before a path and are no part of it.
const KEYWORDS: &[&str] = &[
    "as", "await", "break", "const", "dyn", "else", "for", "if", "impl", "in", "let", "loop",
    "match", "move", "mut", "pub", "ref", "return", "unsafe", "use", "where", "while",
];

/// The words that an item begins with; a comma does not end one.
const ITEMS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];
