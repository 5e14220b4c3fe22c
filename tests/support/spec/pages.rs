//! The seal of pages and of the log's frames (docs/spec 06), undone and done again.
//!
//! **Does** turn the files of a class's database into a plain SQLite database with its log, and
//! back.
//! **Never** calls this project.
//! **Format** docs/spec/06-page-seal.md.

use super::{ClassKeys, Key, lp, primitives};

pub const PAGE: usize = 4096;
pub const TAIL: usize = 40;
pub const LOG_HEADER: usize = 32;
pub const FRAME: usize = 24 + PAGE;

/// What a unit is, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Page(u64),
    LogHeader,
    Frame(u64),
}

/// What the pages of one class are sealed with.
pub struct PageSeal {
    vault: [u8; 16],
    class: u8,
    key: Key,
}

impl PageSeal {
    pub fn new(vault: [u8; 16], keys: &ClassKeys) -> Self {
        Self {
            vault,
            class: keys.class,
            key: keys.page,
        }
    }

    fn associated(&self, unit: Unit) -> Vec<u8> {
        let (role, number): (u8, u64) = match unit {
            Unit::Page(number) => (1, number),
            Unit::LogHeader => (2, 0),
            Unit::Frame(number) => (3, number),
        };
        [
            &lp(b"vitalock/1/page")[..],
            &[1],
            &self.vault,
            &[self.class, role],
            &number.to_le_bytes(),
        ]
        .concat()
    }

    /// What SQLite sees of a unit, but for the reserved bytes of a page.
    pub fn open(&self, unit: Unit, sealed: &[u8]) -> Option<Vec<u8>> {
        let body = sealed.len().checked_sub(TAIL)?;
        let (nonce, tag) = sealed[body..].split_at(24);
        // As an envelope of a record: suite, nonce, ciphertext, tag.
        let envelope = [&[1], nonce, &sealed[..body], tag].concat();
        primitives::open(&self.key, &self.associated(unit), &envelope)
    }

    pub fn seal(&self, unit: Unit, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).unwrap();
        self.seal_with(unit, plain, &nonce)
    }

    pub fn seal_with(&self, unit: Unit, plain: &[u8], nonce: &[u8; 24]) -> Vec<u8> {
        let sealed = primitives::seal(&self.key, &self.associated(unit), nonce, plain);
        let (ciphertext, tag) = sealed.split_at(plain.len());
        [ciphertext, nonce, tag].concat()
    }

    /// The database as SQLite sees it. Every page must open.
    pub fn open_database(&self, sealed: &[u8]) -> Vec<u8> {
        assert!(sealed.len().is_multiple_of(PAGE));
        let pages = sealed.chunks(PAGE).zip(1..);
        let plain = pages.map(|(page, number)| {
            let plain = self.open(Unit::Page(number), page);
            let mut plain = plain.unwrap_or_else(|| panic!("page {number} does not open"));
            plain.resize(PAGE, 0);
            plain
        });
        plain.flatten().collect()
    }

    /// The log as SQLite sees it. A frame that does not open is zeros.
    pub fn open_log(&self, sealed: &[u8]) -> Vec<u8> {
        let Some((header, frames)) = sealed.split_at_checked(LOG_HEADER + TAIL) else {
            return Vec::new();
        };
        let Some(mut plain) = self.open(Unit::LogHeader, header) else {
            return Vec::new();
        };
        for (frame, number) in frames.chunks_exact(FRAME).zip(1..) {
            let opened = self.open(Unit::Frame(number), frame);
            plain.extend(opened.unwrap_or_else(|| vec![0; FRAME - TAIL]));
            plain.extend([0; TAIL]);
        }
        plain
    }

    /// A database as it lies on the medium.
    pub fn seal_database(&self, plain: &[u8]) -> Vec<u8> {
        let pages = plain.chunks(PAGE).zip(1..);
        let sealed = pages.map(|(page, number)| {
            let (body, tail) = page.split_at(PAGE - TAIL);
            assert_eq!(
                tail, [0; TAIL],
                "SQLite leaves the end of page {number} alone"
            );
            self.seal(Unit::Page(number), body)
        });
        sealed.flatten().collect()
    }
}
