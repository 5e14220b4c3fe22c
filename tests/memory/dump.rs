//! All readable memory of another process, searched for many needles at once.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

/// How much of a secret in one place counts as the secret.
pub(crate) const PIECE: usize = 16;

/// What to look for: pieces of secrets, each with the number of the secret it is from.
pub(crate) struct Pieces {
    pieces: Vec<(Vec<u8>, usize)>,
    known: HashSet<Vec<u8>>,
    /// Wherever a whole piece lies, one of its words lies at an address that is a multiple of eight:
    /// that word, with the piece and where in it the word stands.
    words: HashMap<u64, Vec<(usize, usize)>>,
    /// Whether any word in `words` has this hash.
    seen: Vec<bool>,
}

/// A piece that was found.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) needle: usize,
    pub(crate) address: u64,
    pub(crate) region: String,
    /// What surrounds it, for whoever has to find the cause.
    pub(crate) around: Vec<u8>,
}

impl Pieces {
    pub(crate) fn new() -> Self {
        Self {
            pieces: Vec::new(),
            known: HashSet::new(),
            words: HashMap::new(),
            seen: vec![false; 1 << 20],
        }
    }

    /// Adds a secret in pieces; the last may overlap the one before it. `by_words`: a word of it is
    /// enough where it lies as words lie.
    pub(crate) fn add(&mut self, secret: &[u8], needle: usize, by_words: bool) {
        assert!(secret.len() >= PIECE, "too short to be told from chance");
        let last = secret.len() - PIECE;
        for start in (0..last).step_by(PIECE).chain([last]) {
            self.add_piece(&secret[start..start + PIECE], needle, WORD);
        }
        for word in secret.chunks_exact(WORD).filter(|_| by_words) {
            self.add_piece(word, needle, 1);
        }
    }

    fn add_piece(&mut self, piece: &[u8], needle: usize, alignments: usize) {
        let said = piece.iter().any(|byte| *byte != piece[0]);
        if !said || !self.known.insert(piece.to_vec()) {
            return;
        }
        let number = self.pieces.len();
        self.pieces.push((piece.to_vec(), needle));
        for offset in 0..alignments {
            let word = u64::from_le_bytes(piece[offset..offset + WORD].try_into().unwrap());
            self.words.entry(word).or_default().push((number, offset));
            self.seen[hash(word)] = true;
        }
    }

    /// Calls `found` with the offset and the secret of each piece in `bytes`, whose first is at a
    /// multiple of eight.
    fn search(&self, bytes: &[u8], mut found: impl FnMut(usize, usize)) {
        for (at, word) in bytes.chunks_exact(WORD).enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            if word == 0 || !self.seen[hash(word)] {
                continue;
            }
            for (piece, offset) in self.words.get(&word).into_iter().flatten() {
                let (piece, needle) = &self.pieces[*piece];
                let start = (at * WORD).checked_sub(*offset);
                if let Some(start) = start.filter(|start| bytes[*start..].starts_with(piece)) {
                    found(start, *needle);
                }
            }
        }
    }
}

const WORD: usize = 8;

fn hash(word: u64) -> usize {
    (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44) as usize
}

/// Whether the memory of a child can be read here at all.
pub(crate) fn is_permitted(process: u32) -> bool {
    let Ok(maps) = fs::read_to_string(format!("/proc/{process}/maps")) else {
        return false;
    };
    let Ok(memory) = File::open(format!("/proc/{process}/mem")) else {
        return false;
    };
    let stack = regions(&maps).find(|region| region.name == "[stack]");
    stack.is_some_and(|stack| memory.read_at(&mut [0; 8], stack.end - 8).is_ok())
}

/// Every piece in the process's memory, and how many bytes were searched.
pub(crate) fn search(process: u32, pieces: &Pieces) -> (Vec<Hit>, u64) {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let (mut hits, mut searched) = (Vec::new(), 0);
    for region in regions(&maps).filter(|region| !region.name.starts_with("[v")) {
        let mut bytes = vec![0; (region.end - region.start) as usize];
        if let Err(error) = memory.read_exact_at(&mut bytes, region.start) {
            // A thread that has just ended takes its stack with it.
            let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
            let still = regions(&maps).any(|now| now.start < region.end && region.start < now.end);
            assert!(!still, "{} cannot be read: {error}", region.name);
            continue;
        }
        searched += bytes.len() as u64;
        pieces.search(&bytes, |at, needle| {
            let around = at.saturating_sub(64)..(at + 96).min(bytes.len());
            hits.push(Hit {
                needle,
                address: region.start + at as u64,
                region: region.name.clone(),
                around: bytes[around].to_vec(),
            });
        });
    }
    (hits, searched)
}

/// The flags that the kernel keeps for the mapping at an address (`VmFlags` in smaps).
pub(crate) fn flags(process: u32, address: u64) -> Vec<String> {
    let smaps = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let mut inside = false;
    for line in smaps.lines() {
        if let Some(region) = parse(line) {
            inside = (region.start..region.end).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
            return flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    Vec::new()
}

struct Region {
    start: u64,
    end: u64,
    name: String,
}

fn regions(maps: &str) -> impl Iterator<Item = Region> {
    maps.lines().filter_map(parse)
}

/// A line of maps, if the region can be read.
fn parse(line: &str) -> Option<Region> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let readable = fields.next()?.starts_with('r');
    let name = fields.nth(3).unwrap_or("anonymous").to_owned();
    readable.then_some(Region { start, end, name })
}
