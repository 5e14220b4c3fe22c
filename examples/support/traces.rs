//! Looks for strings in bytes, however they are written there.
//!
//! **Does** find each string as it is, inside JSON, as UTF-16, base64, hexadecimal, with percent
//! signs, backwards, and XORed with any one byte.
//! **Never** opens a file. What is encrypted looks like noise to it, which is the point.
//! **Format** none.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

/// The spellings of many strings, ready to be searched for at once.
pub(crate) struct Scanner {
    plain: Patterns,
    /// What stays the same under XOR with one byte: the differences of neighbouring bytes.
    xored: Patterns,
}

/// That a string was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trace {
    /// Which string, in the order in which they were given.
    pub(crate) string: usize,
    /// How it was written.
    pub(crate) spelling: &'static str,
}

/// The fewest bytes a string has: a shorter one is in any noise by chance.
pub(crate) const SHORTEST: usize = 5;
/// Longer strings are looked for in pieces of about this size: storage cuts them too.
const PIECE: usize = 32;
/// The fewest bytes to look for under XOR, for the same reason.
const SHORTEST_XORED: usize = 8;

impl Scanner {
    /// A scanner for these strings, of at least [`SHORTEST`] bytes each, or for bytes that are no
    /// text, such as keys.
    pub(crate) fn new<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut plain, mut xored) = (Patterns::default(), Patterns::default());
        for (string, bytes) in strings.into_iter().enumerate() {
            for piece in pieces(bytes) {
                for (spelling, bytes) in spellings(piece) {
                    plain.add(Trace { string, spelling }, bytes);
                }
                let distinct: BTreeSet<&u8> = piece.iter().collect();
                if piece.len() >= SHORTEST_XORED && distinct.len() >= SHORTEST_XORED / 2 {
                    let spelling = "XORed with a byte";
                    xored.add(Trace { string, spelling }, differences(piece));
                }
            }
        }
        Self { plain, xored }
    }

    /// Every trace in `bytes`. What is there as it is counts as XORed too, with the byte 0.
    pub(crate) fn scan(&self, bytes: &[u8]) -> BTreeSet<Trace> {
        let mut traces = self.plain.find(bytes);
        traces.extend(self.xored.find(&differences(bytes)));
        traces
    }
}

/// Byte patterns, found by their first bytes.
#[derive(Default)]
struct Patterns(HashMap<[u8; SHORTEST], Vec<(Trace, Vec<u8>)>>);

impl Patterns {
    fn add(&mut self, trace: Trace, bytes: Vec<u8>) {
        if let Some(start) = bytes.first_chunk() {
            self.0.entry(*start).or_default().push((trace, bytes));
        }
    }

    fn find(&self, bytes: &[u8]) -> BTreeSet<Trace> {
        let mut found = BTreeSet::new();
        for (at, window) in bytes.windows(SHORTEST).enumerate() {
            let start = window.first_chunk().and_then(|start| self.0.get(start));
            let rest = bytes.get(at..).unwrap_or_default();
            let here = start.into_iter().flatten();
            found.extend(
                here.filter(|(_, pattern)| rest.starts_with(pattern))
                    .map(|(trace, _)| *trace),
            );
        }
        found
    }
}

fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    // The end of a long string is not worth a chance hit.
    while bytes.len() >= SHORTEST_XORED || pieces.is_empty() {
        // UTF-8 is cut between its characters.
        let follows = |byte: &&u8| **byte & 0xC0 == 0x80;
        let more = bytes.iter().skip(PIECE).take_while(follows).count();
        let (piece, rest) = bytes.split_at((PIECE + more).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn spellings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex = each(bytes, |_| false, "", false);
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut all = vec![
        ("as it is", bytes.to_vec()),
        ("reversed", bytes.iter().rev().copied().collect()),
        ("hexadecimal", hex.to_ascii_uppercase().into()),
        ("hexadecimal", hex.into()),
    ];
    if let Ok(text) = str::from_utf8(bytes) {
        let json = serde_json::Value::from(text).to_string();
        all.push(("in JSON", json.trim_matches('"').into()));
        all.push(("UTF-16LE", utf16(text, u16::to_le_bytes)));
        all.push(("UTF-16BE", utf16(text, u16::to_be_bytes)));
    }
    for upper in [true, false] {
        all.push((
            "percent-encoded",
            each(bytes, unreserved, "%", upper).into(),
        ));
        all.push(("percent-encoded", each(bytes, |_| false, "%", upper).into()));
    }
    for before in 0..3 {
        let base64 = base64(bytes, before);
        let url = base64.replace('+', "-").replace('/', "_");
        all.extend([("base64", base64.into()), ("base64url", url.into())]);
    }
    // Some spellings of some strings are the same.
    let mut seen = BTreeSet::new();
    all.retain(|(_, bytes)| seen.insert(bytes.clone()));
    all
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

/// Each byte as two hexadecimal digits after `sign`, except those that stay as they are.
fn each(bytes: &[u8], stays: impl Fn(u8) -> bool, sign: &str, upper: bool) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        let written = match (stays(byte), upper) {
            (true, _) => write!(text, "{}", char::from(byte)),
            (false, true) => write!(text, "{sign}{byte:02X}"),
            (false, false) => write!(text, "{sign}{byte:02x}"),
        };
        written.expect("a String takes everything");
        text
    })
}

/// The base64 digits that `bytes` alone decide, where `before` bytes precede them in their group.
fn base64(bytes: &[u8], before: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut digits, mut bits, mut held) = (String::new(), 0_u32, 0_u32);
    for byte in std::iter::repeat_n(&0, before).chain(bytes) {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 6 {
            bits -= 6;
            let digit = usize::try_from((held >> bits) & 63).ok();
            let digit = digit.and_then(|digit| DIGITS.get(digit));
            digits.extend(digit.map(|digit| char::from(*digit)));
        }
    }
    // A digit to which the bytes before contribute is not decided: none, two or three of them.
    digits.chars().skip((before * 8).div_ceil(6)).collect()
}

fn differences(bytes: &[u8]) -> Vec<u8> {
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    pairs.map(|(one, next)| one ^ next).collect()
}
