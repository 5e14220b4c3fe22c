//! Canaries, and the search for them in files.
//!
//! **Does** make strings that nobody else has, and look for them and for known keys: in every
//! spelling of the quickstart's scanner, and again inside whatever is compressed.
//! **Never** reads the files of a vault that its own process has open: closing one drops its locks.
//! **Format** zlib, gzip, zip and zstd streams, found by their first bytes wherever they begin.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[path = "../../examples/support/traces.rs"]
mod traces;

use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use traces::Scanner;

/// What must not be found, each with a name that may be told.
#[derive(Clone, Default)]
pub struct Canaries(Vec<(String, Vec<u8>)>);

impl Canaries {
    /// Makes a canary of 24 random letters and digits.
    pub fn plant(&mut self, name: &str) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNPQabcdefghijklmn23";
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).unwrap();
        let canary: String = bytes
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
            .collect();
        self.know(name, canary.as_bytes());
        canary
    }

    /// Adds a secret that somebody else made.
    pub fn know(&mut self, name: &str, secret: &[u8]) {
        self.0.push((name.to_owned(), secret.to_vec()));
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn search(&self) -> Search {
        let secrets = self.0.iter().map(|(_, secret)| secret.as_slice());
        Search {
            names: self.names().map(str::to_owned).collect(),
            scanner: Scanner::new(secrets),
        }
    }
}

/// A search for canaries.
pub struct Search {
    names: Vec<String>,
    scanner: Scanner,
}

/// A canary that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub name: String,
    pub place: String,
    pub spelling: &'static str,
}

/// What a search through a folder came to.
#[derive(Debug, Default)]
pub struct Searched {
    pub findings: Vec<Finding>,
    /// Each file's path, length and entropy.
    pub files: Vec<(String, usize, f64)>,
}

/// How deep compressed streams are followed into one another.
const DEPTH: usize = 2;
/// The most bytes that one compressed stream is followed for.
const MOST: u64 = 64 << 20;

impl Search {
    /// Every canary in these bytes, and in the compressed streams among them.
    pub fn bytes(&self, place: &str, bytes: &[u8]) -> Vec<Finding> {
        self.layer(place.to_owned(), bytes, DEPTH)
    }

    fn layer(&self, place: String, bytes: &[u8], depth: usize) -> Vec<Finding> {
        let traces = self.scanner.scan(bytes).into_iter();
        let mut findings: Vec<_> = traces
            .map(|trace| Finding {
                name: self.names[trace.string].clone(),
                place: place.clone(),
                spelling: trace.spelling,
            })
            .collect();
        if depth > 0 {
            for (kind, at, content) in inside(bytes) {
                let place = format!("{place}, {kind} at {at}");
                findings.extend(self.layer(place, &content, depth - 1));
            }
        }
        findings
    }

    /// Every canary in the names and contents of all files under `folder`. A file that goes away
    /// meanwhile is passed over.
    pub fn folder(&self, folder: &Path) -> Searched {
        let mut searched = Searched::default();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).into_iter().flatten().flatten() {
                let path = entry.path();
                let place = path.strip_prefix(folder).unwrap_or(&path);
                let place = place.to_string_lossy().into_owned();
                let kind = entry.file_type().unwrap();
                searched
                    .findings
                    .extend(self.bytes("a name", place.as_bytes()));
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file()
                    && let Ok(bytes) = fs::read(&path)
                {
                    searched.findings.extend(self.bytes(&place, &bytes));
                    searched.files.push((place, bytes.len(), entropy(&bytes)));
                }
            }
        }
        searched.files.sort_by(|one, other| one.0.cmp(&other.0));
        searched
    }
}

/// What the compressed streams in `bytes` hold, as far as each can be read, and where it begins.
fn inside(bytes: &[u8]) -> Vec<(&'static str, usize, Vec<u8>)> {
    let mut found = Vec::new();
    for at in 0..bytes.len() {
        let rest = &bytes[at..];
        let (kind, content) = match rest {
            [0x1f, 0x8b, 8, ..] => ("gzip", unpacked(GzDecoder::new(rest))),
            [b'P', b'K', 3, 4, ..] => ("zip", zipped(rest).unwrap_or_default()),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => match ruzstd::decoding::StreamingDecoder::new(rest) {
                Ok(decoder) => ("zstd", unpacked(decoder)),
                Err(_) => continue,
            },
            [first, second, ..] if is_zlib(*first, *second) => {
                ("zlib", unpacked(ZlibDecoder::new(rest)))
            }
            _ => continue,
        };
        if content.len() >= traces::SHORTEST {
            found.push((kind, at, content));
        }
    }
    found
}

/// RFC 1950: deflate, a window of 32 KiB or less, and a check that divides by 31.
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

/// The content of a zip file's first entry.
fn zipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (method, name, extra) = (word(8)?, word(26)?, word(28)?);
    let content = bytes.get(30 + usize::from(name) + usize::from(extra)..)?;
    (method == 8).then(|| unpacked(DeflateDecoder::new(content)))
}

/// As much as can be read.
fn unpacked(decoder: impl Read) -> Vec<u8> {
    let mut content = Vec::new();
    // What came before the damage counts.
    let _ = decoder.take(MOST).read_to_end(&mut content);
    content
}

/// Bits of information in a byte, from 0 to 8, as frequencies tell.
pub fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let all = f64::from(counts.iter().sum::<u32>());
    let counts = counts.iter().filter(|count| **count > 0);
    let shares = counts.map(|count| f64::from(*count) / all);
    shares.fold(0.0, |sum, share| sum - share * share.log2())
}

/// The bytes in every container that the search looks into.
pub fn packed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(bytes).unwrap();
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(bytes).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let mut zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    // CRC and sizes are left to what follows the entry; its name is `a`.
    zip.extend([0_u8; 12]);
    zip.extend(b"\x01\0\0\0a");
    zip.extend(deflate.finish().unwrap());
    vec![
        ("gzip", gzip.finish().unwrap()),
        ("zlib", zlib.finish().unwrap()),
        ("zstd", ruzstd::encoding::compress_to_vec(bytes, level)),
        ("zip", zip),
    ]
}
