//! The walls, one function each: given a tree, every place where one is broken, as
//! `path:line: what`. An empty answer means that the wall stands.

use crate::scanner::{Kind, Token};
use crate::source::{Source, Tree};

/// A list of what is wrong.
pub(crate) type Faults = Vec<String>;

/// Names that have a home: elsewhere, production code does not use them.
pub(crate) struct Home {
    /// Paths, each with everything below it.
    pub(crate) names: &'static [&'static str],
    /// Files, or folders with a `/` at the end; nothing means nowhere.
    pub(crate) places: &'static [&'static str],
    pub(crate) reason: &'static str,
}

/// A room imports rooms of lower rank only; those of rank 0 may import one another.
pub(crate) fn imports(tree: &Tree, ranks: &[(u8, &str)]) -> Faults {
    let rank = |room: &str| ranks.iter().find(|(_, own)| *own == room).map(|row| row.0);
    let mut faults = Faults::new();
    for file in &tree.files {
        let Some(room) = file.room() else { continue };
        let Some(own) = rank(&room) else {
            faults.push(format!("{}: `{room}` has no rank", file.path));
            continue;
        };
        for named in file.named() {
            let Some(path) = named.in_crate() else {
                continue;
            };
            let at = format!("{}:{}", file.path, named.line);
            match path.first() {
                None if named.renamed => faults.push(format!("{at}: gives the crate a name")),
                None => {}
                Some(target) if *target == room => {}
                Some(target) => match rank(target) {
                    None => faults.push(format!("{at}: `{target}` is no room")),
                    Some(rank) if rank < own || rank == 0 => {}
                    Some(rank) => faults.push(format!(
                        "{at}: `{room}` (rank {own}) imports `{target}` (rank {rank})"
                    )),
                },
            }
        }
    }
    faults
}

/// `unsafe` stands only in the listed files, and a listed file that exists needs its place.
pub(crate) fn unsafe_files(tree: &Tree, allowed: &[&str]) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        let first = file.tokens.iter().find(|token| token.is_word("unsafe"));
        match (first, allowed.contains(&file.path.as_str())) {
            (Some(token), false) => {
                faults.push(format!("{}:{}: `unsafe`", file.path, token.line));
            }
            (None, true) => faults.push(format!("{}: listed, but has no `unsafe`", file.path)),
            _ => {}
        }
    }
    faults
}

/// Every `unsafe` block and implementation has a `// SAFETY:` comment right before its statement.
pub(crate) fn safety_comments(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        let lines: Vec<_> = file.text.lines().map(str::trim).collect();
        for pair in file.tokens.windows(2) {
            let [word, next] = pair else { continue };
            let needs = word.is_word("unsafe") && (next.is_sign("{") || next.is_word("impl"));
            if needs && !is_explained(&lines[..word.line - 1]) {
                faults.push(format!("{}:{}: no `// SAFETY:`", file.path, word.line));
            }
        }
    }
    faults
}

/// Whether the nearest comment above is a SAFETY comment, with no other statement in between.
fn is_explained(above: &[&str]) -> bool {
    let mut in_comment = false;
    for line in above.iter().rev() {
        let comment = line.starts_with("//");
        if line.starts_with("// SAFETY:") {
            return true;
        }
        let ends_before = line.is_empty() || line.ends_with([';', '{', '}', ',']);
        if !comment && (in_comment || ends_before) {
            return false;
        }
        in_comment = comment;
    }
    false
}

/// Every function that C calls does its work where a panic is caught.
pub(crate) fn caught(tree: &Tree, room: &str, catching: &[&str]) -> Faults {
    let mut faults = Faults::new();
    let files = tree.files.iter();
    for file in files.filter(|file| file.path.starts_with(room)) {
        let tokens = &file.production;
        for at in 0..tokens.len() {
            let [word, _, function, name, ..] = &tokens[at..] else {
                break;
            };
            // A type has no name there.
            let named = function.is_word("fn") && name.word().is_some();
            if !(word.is_word("extern") && named) {
                continue;
            }
            let body = tokens[at..].iter().skip_while(|token| !token.is_sign("{"));
            let mut depth = 0_usize;
            let mut body = body.take_while(|token| {
                depth += usize::from(token.is_sign("{"));
                depth -= usize::from(token.is_sign("}"));
                depth > 0
            });
            if !body.any(|token| catching.iter().any(|name| token.is_word(name))) {
                faults.push(format!("{}:{}: catches no panic", file.path, name.line));
            }
        }
    }
    faults
}

/// Names stay in their homes.
pub(crate) fn homes(tree: &Tree, homes: &[Home]) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        let named = file.named();
        for home in homes.iter().filter(|home| !is_in(file, home.places)) {
            for named in &named {
                if let Some(name) = home.names.iter().find(|name| named.is_below(name)) {
                    let (path, line, reason) = (&file.path, named.line, home.reason);
                    faults.push(format!("{path}:{line}: `{name}`: {reason}"));
                }
            }
        }
    }
    faults
}

fn is_in(file: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| match place.ends_with('/') {
        true => file.path.starts_with(place),
        false => file.path == *place,
    })
}

/// Every file opens with `//!`; a room's door says what it does, never does and writes; a `mod.rs`
/// has no logic.
pub(crate) fn doors(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        let path = &file.path;
        if !file.text.starts_with("//! ") {
            faults.push(format!("{path}: does not begin with `//!`"));
        }
        let head = file.text.lines().filter(|line| line.starts_with("//!"));
        let head: Vec<_> = head.collect();
        for word in ["**Does**", "**Never**", "**Format**"] {
            if file.is_door() && !head.iter().any(|line| line.contains(word)) {
                faults.push(format!("{path}: the door does not say {word}"));
            }
        }
        let logic = file.production.iter().find(|token| token.is_word("fn"));
        if let Some(token) = logic.filter(|_| path.ends_with("/mod.rs")) {
            faults.push(format!("{path}:{}: a door has no logic", token.line));
        }
    }
    faults
}

/// Words that mark an idea this project refuses, or a way around these checks.
pub(crate) fn refused_words(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        for (at, token) in file.production.iter().enumerate() {
            let next = |ahead: usize| file.production.get(at + ahead);
            let sign = |ahead: usize, sign| next(ahead).is_some_and(|t| t.is_sign(sign));
            let Some(word) = token.word() else { continue };
            let reason = match word {
                "is_authenticated" => "authentication is a key, not a flag (R-01)",
                "authenticated"
                    if (sign(1, "=") || sign(1, ":"))
                        && next(2).is_some_and(|token| token.is_word("true")) =>
                {
                    "authentication is a key, not a flag (R-01)"
                }
                "thread_rng" | "SmallRng" | "StdRng" | "XorShiftRng" | "seed_from_u64" => {
                    "randomness comes from the operating system (R-14)"
                }
                "macro_export" | "macro_use" => "a macro of the whole crate belongs to no room",
                "include" if sign(1, "!") => "hides code from these checks",
                "path" if sign(1, "=") && at > 0 && file.production[at - 1].is_sign("[") => {
                    "a module lies where its name says"
                }
                _ => continue,
            };
            faults.push(format!("{}:{}: `{word}`: {reason}", file.path, token.line));
        }
    }
    faults
}

/// SQL is a constant: no formatting macro holds a statement.
pub(crate) fn formatted_sql(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        let tokens = &file.production;
        for at in 0..tokens.len() {
            if is_formatting(&tokens[at..]) {
                let statement = arguments(&tokens[at + 2..]).find(|token| match &token.kind {
                    Kind::Text(text) => text
                        .split(|c: char| !c.is_alphabetic())
                        .any(|word| STATEMENTS.contains(&word)),
                    _ => false,
                });
                faults.extend(
                    statement
                        .map(|token| format!("{}:{}: SQL is put together", file.path, token.line)),
                );
            }
        }
    }
    faults
}

fn is_formatting(tokens: &[Token]) -> bool {
    let macros = ["format", "format_args", "write", "writeln"];
    tokens
        .first()
        .and_then(Token::word)
        .is_some_and(|word| macros.contains(&word))
        && tokens.get(1).is_some_and(|token| token.is_sign("!"))
}

/// The tokens from the opening bracket that `tokens` begins with to the one that closes it.
fn arguments(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut depth = 0_i32;
    tokens.iter().take_while(move |token| {
        if ["(", "[", "{"].iter().any(|sign| token.is_sign(sign)) {
            depth += 1;
        } else if [")", "]", "}"].iter().any(|sign| token.is_sign(sign)) {
            depth -= 1;
        }
        depth > 0
    })
}

/// No file is longer than `limit` lines before its tests, unless it is listed with a reason.
pub(crate) fn lengths(tree: &Tree, limit: usize, longer: &[(&str, &str)]) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        let lines = file.lines_before_tests();
        let listed = longer.iter().any(|(path, _)| *path == file.path);
        match (lines > limit, listed) {
            (true, false) => faults.push(format!("{}: {lines} lines before its tests", file.path)),
            (false, true) => faults.push(format!("{}: listed, but short enough", file.path)),
            _ => {}
        }
    }
    faults
}

const STATEMENTS: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];
