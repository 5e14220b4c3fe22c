//! The one file with clear text: which words there are, and that no record leaves a trace in it.

use std::collections::BTreeSet;

use crate::footprint::{chance, entropy, read};
use crate::life::put;
use crate::support::Scratch;
use crate::support::data::tell;
use crate::support::fixture::{make_quick_vault, step_up, unlock};

/// Every word that the format has (docs/spec/01-header.md), and the name of this test's key store.
const WORDS: [&str; 42] = [
    "absolute",
    "anchor",
    "argon2id",
    "attempts",
    "background",
    "biometric",
    "cache",
    "commit",
    "contact",
    "disable",
    "emergency",
    "emergency-contact",
    "escrow",
    "footprint",
    "full",
    "generation",
    "idle",
    "inbox",
    "kdf",
    "key",
    "lease",
    "mac",
    "none",
    "passphrase",
    "primary",
    "priority",
    "reads",
    "recovery-code",
    "recovery-passphrase",
    "recovery-share",
    "salt",
    "seconds",
    "session",
    "share",
    "slot",
    "standard",
    "suite",
    "tenth",
    "unlimited",
    "vault",
    "wipe",
    "wrap",
];

#[test]
fn the_header_has_the_words_of_the_format_and_random_bytes_and_records_do_not_change_it() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let made = read(&scratch.vault()).unwrap();
    let text = String::from_utf8(made["header"].clone()).unwrap();
    let (mut words, mut hidden) = (BTreeSet::new(), Vec::new());
    for word in text
        .split(['\n', ' ', ':', '='])
        .filter(|word| !word.is_empty())
    {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if word.len() >= 16 && word.bytes().all(hex) {
            let pairs = word.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            hidden.extend(pairs.map(byte));
        } else if word.parse::<u32>().is_err() && !["vitalock", "twin", "retired"].contains(&word) {
            words.insert(word);
        }
    }
    let unknown: Vec<_> = words.iter().filter(|word| !WORDS.contains(word)).collect();
    assert_eq!(unknown, [""; 0].iter().collect::<Vec<_>>());
    assert!(words.len() > 10, "{words:?}");
    // Too few to reach 7.99, and as even as so few can be.
    let (mean, deviation) = chance(hidden.len());
    let found = entropy(&hidden);
    tell(&format!(
        "header: {} bytes with {:.4} bits in a byte; the {} bytes in its hexadecimal have \
         {found:.4}, by chance {mean:.4}",
        text.len(),
        entropy(text.as_bytes()),
        hidden.len()
    ));
    assert!(
        hidden.len() > 512 && found > mean - 7.0 * deviation,
        "{found} {mean}"
    );

    let session = unlock(&vault);
    put(&step_up(&session), 0..100);
    session.lock();
    drop((session, vault));
    let worked = read(&scratch.vault()).unwrap();
    for name in ["header", "header.2", "lock"] {
        assert!(worked[name] == made[name], "{name}");
    }
    assert!(made["header"] == made["header.2"]);
    assert_eq!(made["lock"], b"");
    let names: Vec<_> = worked.keys().map(String::as_str).collect();
    let fixed = [
        "attempts",
        "emergency.db",
        "header",
        "header.2",
        "lock",
        "priority.db",
        "reserve",
        "standard.db",
    ];
    assert_eq!(names, fixed);
}

#[test]
fn random_bytes_are_as_even_as_chance_has_it_whatever_their_number() {
    for length in [2_000, 20_000, 200_000] {
        let mut bytes = vec![0; length];
        getrandom::fill(&mut bytes).unwrap();
        let (mean, deviation) = chance(length);
        let found = entropy(&bytes);
        assert!(
            (found - mean).abs() < 7.0 * deviation,
            "{length}: {found} {mean} {deviation}"
        );
        // One bit that is always set is seen even in the fewest.
        bytes.iter_mut().for_each(|byte| *byte |= 1);
        assert!(entropy(&bytes) < mean - 20.0 * deviation, "{length}");
    }
}
