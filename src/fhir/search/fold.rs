//! Texts as they are compared.
//!
//! **Does** take away case, and from words accents and what is only space.
//! **Never** leaves a copy behind that is not wiped.
//! **Format** Unicode NFKD without marks, lower case (UAX 15; FHIR R4, 3.1.1.4.8).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::secret::{SecretBytes, SecretText};

/// A code as it is compared: without case.
pub(crate) fn fold(text: &str) -> SecretText {
    if text
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        return SecretText::copy_of(text);
    }
    collect(text.len(), text.chars().flat_map(char::to_lowercase))
}

/// A word as it is compared: without case and accents, and with one space where there is any.
pub(crate) fn word(text: &str) -> SecretText {
    let letters = text.nfkd().filter(|letter| !is_combining_mark(*letter));
    let mut before = ' ';
    let spaced = letters
        .flat_map(char::to_lowercase)
        .filter_map(move |letter| {
            let letter = if letter.is_whitespace() { ' ' } else { letter };
            let doubled = letter == ' ' && before == ' ';
            before = letter;
            (!doubled).then_some(letter)
        });
    collect(text.len(), spaced)
}

/// The letters in wiped memory, however many they are.
fn collect(guess: usize, letters: impl Iterator<Item = char>) -> SecretText {
    let mut bytes = SecretBytes::zeroed(guess);
    let mut length = 0;
    for letter in letters {
        let end = length + letter.len_utf8();
        if end > bytes.expose().len() {
            let room = SecretBytes::zeroed(end);
            bytes = SecretBytes::concatenation(&[bytes.expose(), room.expose()]);
        }
        if let Some(place) = bytes.expose_mut().get_mut(length..end) {
            letter.encode_utf8(place);
        }
        length = end;
    }
    let text = bytes.expose().get(..length).unwrap_or_default();
    SecretText::copy_of(std::str::from_utf8(text).unwrap_or_default())
}

/// The start of a text, of so many bytes at the most.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let ends = (0..=most.min(text.len())).rev();
    let end = ends.into_iter().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_spaces_make_no_difference_to_a_word() {
        for (text, folded) in [
            ("Jürgen  Müller ", "jurgen muller "),
            (" Ångström", "angstrom"),
            ("ﬁn", "fin"),
            ("İstanbul", "istanbul"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("日本", "日本"),
            ("", ""),
        ] {
            assert_eq!(word(text).expose(), folded, "{text}");
        }
        let long = "ß".repeat(5000) + &"㌀".repeat(5000);
        assert_eq!(word(&long).expose().chars().count(), 5000 + 5 * 5000 - 5000);
    }

    #[test]
    fn a_code_keeps_its_accents() {
        assert_eq!(fold("ABC-é").expose(), "abc-é");
        assert_eq!(fold("8867-4").expose(), "8867-4");
        assert_eq!(cut("aé", 2), "a");
    }
}
