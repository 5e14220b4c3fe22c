//! The words of a search string: its separators and escapes.

use crate::secret::{SecretBytes, SecretText};

/// Splits at a sign that no backslash stands before.
pub(super) fn split(text: &str, sign: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut escaped = false;
    let mut from = 0;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == sign => {
                parts.push(text.get(from..at).unwrap_or_default());
                from = at + sign.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

/// The text that `\,`, `\|`, `\$` and `\\` stand in; `None` where a backslash stands before another.
pub(super) fn unescaped(text: &str) -> Option<SecretText> {
    let mut bytes = SecretBytes::zeroed(text.len());
    let mut length = 0;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let plain = match character {
            '\\' => characters.next().filter(|next| ",|$\\".contains(*next))?,
            plain => plain,
        };
        let end = length + plain.len_utf8();
        plain.encode_utf8(bytes.expose_mut().get_mut(length..end)?);
        length = end;
    }
    let text = std::str::from_utf8(bytes.expose().get(..length)?).ok()?;
    Some(SecretText::copy_of(text))
}

/// A part of a query string, with `%` and two digits and with `+` for a space (WHATWG URL, 5.1).
pub(super) fn decoded(text: &str) -> Option<SecretText> {
    let mut bytes = SecretBytes::zeroed(text.len());
    let mut length = 0;
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        let plain = match byte {
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' => b' ',
            plain => *plain,
        };
        *bytes.expose_mut().get_mut(length)? = plain;
        length += 1;
    }
    let text = std::str::from_utf8(bytes.expose().get(..length)?).ok()?;
    let whole = !text.chars().any(char::is_control);
    whole.then(|| SecretText::copy_of(text))
}
