//! The control: what is planted is found, and what is not is not.

use std::fs;

use crate::canary::{Canaries, Search, entropy, packed};
use crate::place::Place;

/// A canary in noise, written in every way that the search knows. The noise has no other pattern.
fn spellings(canary: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = canary.as_bytes();
    let hex = |format: fn(&u8) -> String| bytes.iter().map(format).collect::<String>().into_bytes();
    let utf16 = |order: fn(u16) -> [u8; 2]| canary.encode_utf16().flat_map(order).collect();
    let mut all = vec![
        ("as it is".to_owned(), bytes.to_vec()),
        ("UTF-16LE".to_owned(), utf16(u16::to_le_bytes)),
        ("UTF-16BE".to_owned(), utf16(u16::to_be_bytes)),
        ("hexadecimal".to_owned(), hex(|byte| format!("{byte:02x}"))),
        ("hexadecimal".to_owned(), hex(|byte| format!("{byte:02X}"))),
        (
            "percent-encoded".to_owned(),
            hex(|byte| format!("%{byte:02x}")),
        ),
        (
            "percent-encoded".to_owned(),
            hex(|byte| format!("%{byte:02X}")),
        ),
        ("reversed".to_owned(), bytes.iter().rev().copied().collect()),
    ];
    for key in 1..=255 {
        let xored = bytes.iter().map(|byte| byte ^ key).collect();
        all.push(("XORed with a byte".to_owned(), xored));
    }
    for (before, after) in [("", ""), ("x", "yz"), ("xy", "z"), ("xyz", "é")] {
        let text = format!("{before}{canary}{after}");
        all.push(("base64".to_owned(), openssl_base64(text.as_bytes())));
    }
    all
}

/// Base64 by another hand than the scanner's.
fn openssl_base64(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut three = [0_u8; 3];
        three[..group.len()].copy_from_slice(group);
        let number = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for at in 0..=group.len() {
            let digit = (number >> (18 - 6 * at)) & 63;
            text.push(digits[usize::try_from(digit).unwrap()]);
        }
    }
    text.into_bytes()
}

fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    getrandom::fill(&mut noise).unwrap();
    noise
}

fn in_noise(bytes: &[u8]) -> Vec<u8> {
    [&noise(301), bytes, &noise(97)].concat()
}

fn search() -> (String, Search) {
    let mut canaries = Canaries::default();
    let canary = canaries.plant("the canary");
    (canary, canaries.search())
}

#[test]
fn a_canary_is_found_in_every_spelling() {
    let (canary, search) = search();
    let spellings = spellings(&canary);
    assert_eq!(spellings.len(), 8 + 255 + 4);
    for (spelling, bytes) in spellings {
        let found = search.bytes("here", &in_noise(&bytes));
        assert!(
            found.iter().any(|found| found.spelling == spelling),
            "{spelling}: {found:?}"
        );
    }
}

#[test]
fn a_canary_is_found_in_base64url_and_json_where_they_differ() {
    let mut canaries = Canaries::default();
    let secret = [
        0xfb, 0xff, 0xfe, 0xfb, 0xef, 0xbe, 0xff, 0xff, 0xfe, 0x3e, 0x7f, 0xfb,
    ];
    canaries.know("bytes", &secret);
    canaries.know("quoted", "a \"word\"\nand another".as_bytes());
    let search = canaries.search();
    let url = String::from_utf8(openssl_base64(&secret)).unwrap();
    let url = url.replace('+', "-").replace('/', "_");
    assert!(url.contains('-') && url.contains('_'));
    assert_eq!(
        search.bytes("here", url.as_bytes())[0].spelling,
        "base64url"
    );
    let json = r#"{"text":"a \"word\"\nand another"}"#;
    assert_eq!(search.bytes("here", json.as_bytes())[0].spelling, "in JSON");
}

#[test]
fn a_canary_is_found_inside_compressed_streams_and_streams_within_them() {
    let (canary, search) = search();
    // The end is not compressed away, so that a cut there leaves the canary whole.
    let end: String = std::iter::repeat_with(|| self::search().0)
        .take(9)
        .collect();
    let text = format!("{} {canary} {end}", "words and words ".repeat(9));
    for (kind, stream) in packed(text.as_bytes()) {
        let found = search.bytes("here", &in_noise(&stream));
        assert!(!found.is_empty(), "{kind}");
        // A stream that breaks off counts as far as it goes.
        let cut = &stream[..stream.len() - 40];
        assert!(
            kind == "zstd" || !search.bytes("here", cut).is_empty(),
            "{kind}, cut"
        );
        for (inner, stream) in packed(&stream) {
            let found = search.bytes("here", &stream);
            assert!(!found.is_empty(), "{kind} in {inner}");
        }
    }
}

#[test]
fn a_canary_is_found_in_names_and_hidden_files_of_a_tree() {
    let (canary, search) = search();
    let place = Place::new();
    let deep = place.path().join("a/.b");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join(".c"), in_noise(canary.as_bytes())).unwrap();
    fs::write(deep.join(&canary), b"").unwrap();
    let searched = search.folder(place.path());
    let places: Vec<_> = searched
        .findings
        .iter()
        .map(|found| found.place.as_str())
        .collect();
    assert!(
        places.contains(&"a/.b/.c") && places.contains(&"a name"),
        "{places:?}"
    );
    assert_eq!(searched.files.len(), 2);
}

#[test]
fn nothing_is_found_in_noise_zeros_and_another_canary() {
    let (_, search) = search();
    let (other, _) = self::search();
    for bytes in [noise(1 << 20), vec![0; 1 << 16], other.into_bytes()] {
        assert_eq!(search.bytes("here", &bytes), []);
    }
}

#[test]
fn entropy_tells_noise_from_text() {
    assert!(entropy(&noise(1 << 16)) > 7.99);
    assert!(entropy(include_bytes!("../../examples/data/patient-bundle.json")) < 6.0);
    assert_eq!((entropy(&[7; 100]), entropy(&[0, 1])), (0.0, 1.0));
}
