//! What a person knows: text, normalised, never judged by its composition (SP 800-63B-4 3.1.1.2).

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::error::{ErrorKind, Result};
use crate::memory;
use crate::secret::SecretBytes;

/// A passphrase or PIN, in Unicode Normalization Form C; wiped on drop.
///
/// # Security
///
/// The bytes handed to [`new`](Self::new) stay the caller's: wipe them.
pub struct Passphrase(SecretBytes);

impl Passphrase {
    /// The most bytes a passphrase may have once normalised.
    pub const MAX_BYTES: usize = 1024;

    /// Takes a passphrase in UTF-8. Two ways of typing the same characters give the same
    /// passphrase.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PassphraseNotText`] where it is not UTF-8 or holds a control character,
    /// [`ErrorKind::PassphraseTooLong`] above [`MAX_BYTES`](Self::MAX_BYTES),
    /// [`ErrorKind::PassphraseTooShort`] where it is empty.
    pub fn new(utf8: &[u8]) -> Result<Self> {
        // Normalization Form C is never more than three times longer or shorter than its source.
        if utf8.len() > Self::MAX_BYTES * 3 {
            return Err(ErrorKind::PassphraseTooLong.into());
        }
        let text = std::str::from_utf8(utf8).map_err(|_| ErrorKind::PassphraseNotText)?;
        if text.chars().any(char::is_control) {
            return Err(ErrorKind::PassphraseNotText.into());
        }
        if text.is_empty() {
            return Err(ErrorKind::PassphraseTooShort.into());
        }
        let normal = normalise(text);
        memory::scrub_stack::<{ memory::HASH_DEPTH }>();
        if normal.expose().len() > Self::MAX_BYTES {
            return Err(ErrorKind::PassphraseTooLong.into());
        }
        Ok(Self(normal))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// Refuses a passphrase that is one of these words, alone or with digits and signs around it:
    /// the name of the app, of the person, of the clinic. The most common passphrases are refused
    /// by themselves wherever a slot is made.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PassphraseTooCommon`].
    pub fn refuse_words(&self, words: &[&str]) -> Result<()> {
        if is_any_of(self.text(), words) {
            return Err(ErrorKind::PassphraseTooCommon.into());
        }
        Ok(())
    }

    /// Whether the passphrase is fit for a new slot: long enough and not among the first guesses.
    pub(crate) fn check_fitness(&self, least: usize) -> Result<()> {
        if self.text().chars().count() < least {
            return Err(ErrorKind::PassphraseTooShort.into());
        }
        if is_pattern(self.text()) {
            return Err(ErrorKind::PassphraseTooCommon.into());
        }
        self.refuse_words(COMMON)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(self.expose()).expect("a passphrase is UTF-8")
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[inline(never)]
fn normalise(text: &str) -> SecretBytes {
    if text.is_ascii() {
        return SecretBytes::copy_of(text.as_bytes());
    }
    let mut normal = SecretBytes::zeroed(text.nfc().map(char::len_utf8).sum());
    let mut rest = normal.expose_mut();
    for character in text.nfc() {
        let (here, after) = rest.split_at_mut(character.len_utf8());
        character.encode_utf8(here);
        rest = after;
    }
    normal
}

/// One character repeated, or characters in a row.
fn is_pattern(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    first.is_some_and(|first| characters.all(|next| next == first)) || is_run(text)
}

/// Whether the text is a listed word in either case, alone or with digits and signs around it.
fn is_any_of(text: &str, words: &[&str]) -> bool {
    let same = |a: char, b: char| a.to_lowercase().eq(b.to_lowercase());
    let equal = |a: &str, b: &str| {
        a.chars().count() == b.chars().count() && a.chars().zip(b.chars()).all(|(a, b)| same(a, b))
    };
    let core = text.trim_matches(|c: char| !c.is_alphabetic());
    let mut words = words.iter().filter(|word| !word.is_empty());
    words.any(|word| equal(core, word) || equal(text, word))
}

/// Whether every character follows the one before it in the same direction, as in 123456 or fedcba
/// (the wrap from 9 to 0 counted in).
fn is_run(text: &str) -> bool {
    let step = |from: char, to: char| match (from, to) {
        ('9', '0') => 1,
        ('0', '9') => -1,
        _ => i64::from(u32::from(to)) - i64::from(u32::from(from)),
    };
    let steps = || {
        text.chars()
            .zip(text.chars().skip(1))
            .map(|(a, b)| step(a, b))
    };
    steps().all(|step| step == 1) || steps().all(|step| step == -1)
}

/// The phrases that head every list of leaked passphrases, by their letters.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passphrase",
    "letmein",
    "iloveyou",
    "qwerty",
    "qwertyuiop",
    "qwertz",
    "azerty",
    "asdfgh",
    "asdfghjkl",
    "zxcvbn",
    "zxcvbnm",
    "q1w2e3r4",
    "q1w2e3r4t5",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "zaq12wsx",
    "qazwsx",
    "qazwsxedc",
    "admin",
    "administrator",
    "welcome",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "basketball",
    "sunshine",
    "princess",
    "superman",
    "batman",
    "master",
    "shadow",
    "michael",
    "charlie",
    "jordan",
    "trustno1",
    "starwars",
    "whatever",
    "freedom",
    "computer",
    "internet",
    "secret",
    "changeme",
    "default",
    "access",
    "login",
    "hello",
    "helloworld",
    "health",
    "medical",
    "doctor",
    "patient",
    "hospital",
    "vitalock",
    "abc",
    "abcabc",
    "correcthorsebatterystaple",
    "correct horse battery staple",
    "correct-horse-battery-staple",
    "thequickbrownfox",
    "the quick brown fox",
    "loremipsum",
    "lorem ipsum",
    "112233",
    "121212",
    "123123",
    "123321",
    "131313",
    "159753",
    "147258",
    "147258369",
    "159357",
    "654321",
    "696969",
    "789456",
    "102030",
    "010203",
    "112358",
    "314159",
    "246810",
    "101010",
    "202020",
    "123654",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fitness(text: &str, least: usize) -> Option<ErrorKind> {
        let passphrase = Passphrase::new(text.as_bytes()).expect("text");
        passphrase
            .check_fitness(least)
            .and_then(|()| passphrase.refuse_words(&["Acme Health"]))
            .err()
            .map(|error| error.kind())
    }

    #[test]
    fn the_same_characters_typed_two_ways_are_one_passphrase() {
        let composed = Passphrase::new("caf\u{e9} am See".as_bytes()).expect("text");
        let combining = Passphrase::new("cafe\u{301} am See".as_bytes()).expect("text");
        assert_eq!(composed.expose(), combining.expose());
    }

    #[test]
    fn length_is_counted_in_characters_after_normalisation() {
        assert_eq!(
            fitness("e\u{301}x7!pq", 7),
            Some(ErrorKind::PassphraseTooShort)
        );
        assert_eq!(fitness("e\u{301}x7!pq", 6), None);
        assert_eq!(fitness("ünïcödé 🙂 is fine", 15), None);
    }

    #[test]
    fn first_guesses_are_refused_and_no_composition_is_demanded() {
        for common in [
            "111111",
            "123456",
            "098765",
            "abcdefgh",
            "Password1!",
            "ACME health 2026",
            "654321",
        ] {
            assert_eq!(
                fitness(common, 6),
                Some(ErrorKind::PassphraseTooCommon),
                "{common}"
            );
        }
        assert_eq!(fitness("alllowercasewords", 15), None);
        assert_eq!(fitness("835190", 6), None);
    }

    #[test]
    fn what_is_not_text_or_too_long_is_refused_and_nothing_is_cut() {
        let kind = |bytes: &[u8]| Passphrase::new(bytes).map(|_| ()).unwrap_err().kind();
        assert_eq!(kind(&[0xFF, 0xFE]), ErrorKind::PassphraseNotText);
        assert_eq!(kind(b"line\nfeed"), ErrorKind::PassphraseNotText);
        assert_eq!(kind(b""), ErrorKind::PassphraseTooShort);
        assert_eq!(kind(&vec![b'a'; 1025]), ErrorKind::PassphraseTooLong);
        assert_eq!(kind(&vec![b'a'; 64 * 1024]), ErrorKind::PassphraseTooLong);
        let long = vec![b'x'; 1024];
        assert_eq!(Passphrase::new(&long).expect("fits").expose().len(), 1024);
    }
}
