//! Text out of a document.
//!
//! **Does** lend what a document spells out, and spell out what it escapes or what is put together.
//! **Never** leaves a copy of its own behind: who or what a resource is about is in it.
//! **Format** JSON strings.

use std::ops::Deref;

use crate::secret::{SecretBytes, SecretText};

/// Text that stands in the document, or that was made and is wiped.
#[derive(Clone)]
pub(crate) enum Text<'a> {
    Lent(&'a str),
    Made(SecretText),
}

impl Text<'_> {
    /// The parts one after another.
    pub(crate) fn joined(parts: &[&str]) -> Self {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let bytes = SecretBytes::concatenation(&parts);
        let text = std::str::from_utf8(bytes.expose()).expect("texts make a text");
        Self::Made(SecretText::copy_of(text))
    }

    /// What stands between the quotes of a JSON string that has escapes; `None` where one is none.
    pub(super) fn unescaped(inner: &str) -> Option<Self> {
        // Nothing is shorter escaped than spelt out.
        let mut bytes = SecretBytes::zeroed(inner.len());
        let mut at = 0;
        let mut rest = inner;
        while let Some(character) = next(&mut rest)? {
            let end = at + character.len_utf8();
            character.encode_utf8(bytes.expose_mut().get_mut(at..end)?);
            at = end;
        }
        let text = std::str::from_utf8(bytes.expose().get(..at)?).ok()?;
        Some(Self::Made(SecretText::copy_of(text)))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Made(text) => text.expose(),
        }
    }
}

/// What stands between the quotes of a JSON string, spelt out as far as its escapes are ones.
pub(super) fn characters(inner: &str) -> impl Iterator<Item = char> {
    let mut rest = inner;
    std::iter::from_fn(move || next(&mut rest).flatten())
}

/// The next character, escaped or not; the inner `None` at the end, the outer where there is no
/// such escape.
fn next(rest: &mut &str) -> Option<Option<char>> {
    let mut characters = rest.chars();
    let character = match characters.next() {
        None => return Some(None),
        Some('\\') => match characters.next()? {
            plain @ ('"' | '\\' | '/') => plain,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = unit(&mut characters)?;
                let units = match first {
                    0xD800..=0xDBFF if characters.next()? == '\\' && characters.next()? == 'u' => {
                        [first, unit(&mut characters)?]
                    }
                    // A unit that is no character by itself finds no partner in zero.
                    _ => [first, 0],
                };
                char::decode_utf16(units).next()?.ok()?
            }
            _ => return None,
        },
        Some(plain) => plain,
    };
    *rest = characters.as_str();
    Some(Some(character))
}

/// Four hexadecimal digits.
fn unit(characters: &mut std::str::Chars<'_>) -> Option<u16> {
    let digits = characters.by_ref().take(4).map(|digit| digit.to_digit(16));
    let (value, count) = digits.fold((Some(0), 0), |(value, count), digit| {
        let value = value.and_then(|value: u32| Some(value << 4 | digit?));
        (value, count + 1)
    });
    u16::try_from(value?).ok().filter(|_| count == 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escapes_are_read_as_the_parser_reads_them(inner in escapes()) {
            let parsed = serde_json::from_str::<String>(&format!("\"{inner}\"")).ok();
            let read = Text::unescaped(&inner);
            prop_assert_eq!(read.as_deref(), parsed.as_deref());
        }
    }

    /// Plain characters, escapes, and escapes cut or made of the wrong letters.
    fn escapes() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[ -!#-\\[\\]-~é€😀]",
            r#"\\["\\/bfnrtux]"#,
            r"\\u[0-9a-fA-F]{4}",
            r"\\u[dD][89a-fA-F][0-9a-f]{2}",
            r"\\u[dD][89abAB][0-9a-f]{2}\\u[dD][c-fC-F][0-9a-f]{2}",
            r"\\u[0-9a-g+ ]{0,4}",
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }
}
