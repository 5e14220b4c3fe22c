//! Pages of the database rewritten below SQLite, by way of the log.
//!
//! A sealed page that is torn is lost, so no page is written to its place before a copy of it is
//! durable in the log. So they are written to the log only, as a transaction of SQLite's own format,
//! and SQLite is made to find it there as it finds what a crash has left.

use rusqlite::Connection;

use super::failure::from_sqlite;
use super::schema::PAGE_BYTES;
use super::store::empty_log;
use super::vfs::SealedFile;
use crate::error::{ErrorKind, Result};
use crate::random;
use crate::secret::SecretBytes;

/// Pages to be rewritten together.
pub(super) struct Rewrite<'a> {
    writer: &'a Connection,
    database: SealedFile<'a>,
    log: SealedFile<'a>,
    /// How many pages the database has.
    pages: u32,
    /// Frames of the log, the header of each still empty.
    frames: Vec<(u32, SecretBytes)>,
}

/// Pages that are held in memory at once: one mebibyte.
const MOST: usize = 256;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

impl<'a> Rewrite<'a> {
    /// The log must be empty, no reader may be at work, and no other writer.
    pub(super) fn begin(writer: &'a Connection) -> Result<Self> {
        let pages = writer
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .map_err(from_sqlite)?;
        Ok(Self {
            writer,
            database: SealedFile::database(writer)?,
            log: SealedFile::log(writer)?,
            pages,
            frames: Vec::new(),
        })
    }

    /// How many pages the database has.
    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// Reads the page with this number; the first is 1.
    pub(super) fn read(&mut self, number: u32, page: &mut [u8]) -> Result<()> {
        self.database.read(page, offset(number))
    }

    /// Replaces a page, at the latest when all is [done](Self::finish).
    pub(super) fn replace(&mut self, number: u32, page: &[u8]) -> Result<()> {
        let frame = SecretBytes::concatenation(&[&[0; FRAME_HEADER], page]);
        self.frames.push((number, frame));
        if self.frames.len() < MOST {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        // Where this fails the log lacks the frame that commits, and counts for nothing; SQLite
        // writes over it from its start.
        self.write_log()?;
        self.frames.clear();
        self.database.distrust_log_index()?;
        empty_log(self.writer)
    }

    /// A log of SQLite's own format, whose only transaction is these pages.
    fn write_log(&mut self) -> Result<()> {
        let mut header = [0; LOG_HEADER];
        let salts = random::make::<8>()?;
        for (at, field) in [
            (0, MAGIC.to_be_bytes()),
            (4, VERSION.to_be_bytes()),
            (8, PAGE_SIZE_FIELD.to_be_bytes()),
        ] {
            put(&mut header, at, &field);
        }
        put(&mut header, 16, &salts);
        let mut sums = checksum([0; 2], header.get(..24).unwrap_or_default());
        put(&mut header, 24, &encoded(sums));
        self.log.write(&header, 0)?;
        // Before a frame is written the last log must be gone for certain: else its header and its
        // first frames could come back without the rest, and pages older than the database's count.
        self.log.sync()?;
        let last = self.frames.len();
        let length = PAGE_BYTES + FRAME_HEADER;
        for (index, (number, frame)) in self.frames.iter_mut().enumerate() {
            let commit = if index + 1 == last { self.pages } else { 0 };
            let frame = frame.expose_mut();
            put(frame, 0, &number.to_be_bytes());
            put(frame, 4, &commit.to_be_bytes());
            put(frame, 8, &salts);
            sums = checksum(sums, frame.get(..8).unwrap_or_default());
            sums = checksum(sums, frame.get(FRAME_HEADER..).unwrap_or_default());
            put(frame, 16, &encoded(sums));
            let at = u64::try_from(LOG_HEADER + index * length).map_err(|_| ErrorKind::Io)?;
            let (head, page) = frame.split_at(FRAME_HEADER);
            self.log.write(head, at)?;
            self.log.write(page, at + 24)?;
        }
        self.log.sync()
    }
}

/// SQLite's magic for a log with checksums over little-endian words.
const MAGIC: u32 = 0x377F_0682;
const VERSION: u32 = 3_007_000;
const PAGE_SIZE_FIELD: u32 = 4096;
const _: () = assert!(PAGE_BYTES == 4096);

fn offset(number: u32) -> u64 {
    u64::from(number.saturating_sub(1)) * u64::from(PAGE_SIZE_FIELD)
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes
        .get_mut(at..at + field.len())
        .expect("the fields of a header lie inside it")
        .copy_from_slice(field);
}

/// SQLite's checksum of the log, over eight bytes at a time.
fn checksum([mut first, mut second]: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    let (words, _) = bytes.as_chunks::<4>();
    for pair in words.chunks_exact(2) {
        if let [one, other] = pair {
            first = first.wrapping_add(u32::from_le_bytes(*one).wrapping_add(second));
            second = second.wrapping_add(u32::from_le_bytes(*other).wrapping_add(first));
        }
    }
    [first, second]
}

fn encoded([first, second]: [u32; 2]) -> [u8; 8] {
    let mut bytes = [0; 8];
    put(&mut bytes, 0, &first.to_be_bytes());
    put(&mut bytes, 4, &second.to_be_bytes());
    bytes
}
