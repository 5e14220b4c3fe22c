//! The write-ahead log: a header and frames, each a unit of its own (spec 06).
//!
//! SQLite writes the header of a frame and its page one after the other, and rewrites either alone
//! after a cache spill. It reads whole frames only while it recovers the log or rewrites the
//! checksums of frames that it has just written.

use std::sync::Arc;

use super::current::CurrentLog;
use super::database::{Pages, copy_out, has_tail};
use super::failure::Failure;
use super::medium::{Medium, wide};
use super::part::Part;
use super::waiting::Waiting;
use crate::sealing::{PageSealer, Unit};
use crate::secret::SecretBytes;

/// How one open log is read and written.
pub(super) struct Log {
    sealer: Arc<PageSealer>,
    pages: Pages,
    /// Known once the header, or a part of a frame, was read or written.
    page_size: Option<usize>,
    current: CurrentLog,
    /// The frame that was read whole just now: SQLite is about to write its checksums anew.
    read_whole: Option<u64>,
    waiting: Waiting,
    /// Whether frames may wait for their commit: somebody says when the transaction ends.
    gathers: bool,
    scratch: SecretBytes,
}

/// SQLite's header of the log, and of a frame.
pub(super) const LOG_HEADER: usize = 32;
pub(super) const FRAME_HEADER: usize = 24;
const HEADER_UNIT: usize = LOG_HEADER + PageSealer::TAIL;
/// How much later than in SQLite's eyes a frame lies.
const SHIFT: u64 = 40;
const _: () = assert!(PageSealer::TAIL == 40);

/// Less than 128 KiB, which is the most that SQLite's own VFS writes at once.
const MOST_AT_ONCE: usize = 0x1_FFFF;

impl Log {
    pub(super) fn new(
        sealer: Arc<PageSealer>,
        pages: Pages,
        current: CurrentLog,
        waiting: Waiting,
        gathers: bool,
    ) -> Self {
        let largest = pages.sizes.iter().copied().max().unwrap_or_default();
        Self {
            sealer,
            pages,
            page_size: None,
            current,
            read_whole: None,
            waiting,
            gathers,
            scratch: SecretBytes::zeroed(FRAME_HEADER + largest),
        }
    }

    /// Reads one part. A whole frame, and the header, that do not open are zeros: so recovery ends
    /// there. Anything else that does not open is tampering.
    pub(super) fn read(
        &mut self,
        medium: &mut impl Medium,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), Failure> {
        self.flush(medium)?;
        let read = self.read_part(medium, buffer, offset);
        if read.is_err() {
            buffer.fill(0);
        }
        read
    }

    fn read_part(
        &mut self,
        medium: &mut impl Medium,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), Failure> {
        self.read_whole = None;
        match self.part(medium, buffer.len(), offset)? {
            Part::Header => {
                if let Some(mut header) = self.open_header(medium)? {
                    // SQLite recovers the log.
                    self.current.begin(salts_of(&header)?);
                    return copy_out(&mut header, 0..LOG_HEADER, buffer);
                }
                buffer.fill(0);
                Ok(())
            }
            Part::HeaderChecksums => {
                let header = self.open_header(medium)?;
                let mut header = header.ok_or(Failure::NotAuthentic)?;
                copy_out(&mut header, 24..32, buffer)
            }
            Part::Frame(number) => {
                match self.open_frame(medium, number) {
                    Ok(frame) => {
                        let length = frame.len();
                        copy_out(frame, 0..length, buffer)?;
                        self.read_whole = Some(number);
                    }
                    Err(Failure::NotAuthentic) => buffer.fill(0),
                    Err(other) => return Err(other),
                }
                Ok(())
            }
            Part::FrameChecksums(number) => {
                let frame = self.open_frame(medium, number)?;
                copy_out(frame, 16..24, buffer)
            }
            Part::FramePage(number) => self.read_page(medium, buffer, number),
            Part::FrameHeader(_) => Err(Failure::Refused),
        }
    }

    /// A page, which must be of the log that SQLite knows.
    fn read_page(
        &mut self,
        medium: &mut impl Medium,
        buffer: &mut [u8],
        number: u64,
    ) -> Result<(), Failure> {
        let frame = self.open_frame(medium, number)?;
        let salts = frame.get(8..).and_then(|rest| rest.first_chunk::<8>());
        let salts = *salts.ok_or(Failure::Refused)?;
        let end = frame.len();
        copy_out(frame, FRAME_HEADER..end, buffer)?;
        // Frames of a transaction that has rewritten others get their salts when it commits.
        let is_present = |log: &Self| salts == [0; 8] || log.current.salts() == Some(salts);
        if !is_present(self)
            && !self.pages.of_a_vault
            && let Some(header) = self.open_header(medium)?
        {
            self.current.begin(salts_of(&header)?);
        }
        if is_present(self) {
            Ok(())
        } else {
            Err(Failure::NotAuthentic)
        }
    }

    /// Writes one part, or keeps it until what belongs to it has come.
    pub(super) fn write(
        &mut self,
        medium: &mut impl Medium,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), Failure> {
        let written = self.write_part(medium, bytes, offset);
        if written.is_err() {
            self.waiting.forget();
        }
        written
    }

    fn write_part(
        &mut self,
        medium: &mut impl Medium,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), Failure> {
        let read_whole = self.read_whole.take();
        match self.part(medium, bytes.len(), offset)? {
            Part::Header => {
                self.flush(medium)?;
                self.write_header(medium, bytes)
            }
            Part::FrameHeader(number) if read_whole == Some(number) => {
                self.rewrite(medium, number, 0, bytes)
            }
            Part::FrameHeader(number) => {
                if !self.waiting.lock().may_precede(number) {
                    self.flush(medium)?;
                }
                let header = *bytes.first_chunk().ok_or(Failure::Refused)?;
                self.waiting.lock().header = Some((number, header));
                Ok(())
            }
            Part::FramePage(number) => {
                if has_tail(bytes) {
                    return Err(Failure::Refused);
                }
                let header = self.waiting.lock().header;
                match header {
                    Some((of, header)) if of == number => {
                        self.add_frame(medium, number, &header, bytes)
                    }
                    _ => {
                        self.flush(medium)?;
                        self.rewrite(medium, number, FRAME_HEADER, bytes)
                    }
                }
            }
            Part::Frame(_) | Part::FrameChecksums(_) | Part::HeaderChecksums => {
                Err(Failure::Refused)
            }
        }
    }

    /// Writes what waits. Where that fails it is forgotten: SQLite gives the transaction up. So is a
    /// header whose page did not come next.
    pub(super) fn flush(&mut self, medium: &mut impl Medium) -> Result<(), Failure> {
        let idle = {
            let mut frames = self.waiting.lock();
            frames.header = None;
            frames.count == 0
        };
        if idle {
            return Ok(());
        }
        self.write_frames(medium)
    }

    pub(super) fn truncate(&mut self, medium: &mut impl Medium, size: u64) -> Result<(), Failure> {
        self.flush(medium)?;
        medium.truncate(match size {
            0 => 0,
            size => size.checked_add(SHIFT).ok_or(Failure::Refused)?,
        })
    }

    /// The size that SQLite sees.
    pub(super) fn size(&mut self, medium: &mut impl Medium) -> Result<u64, Failure> {
        self.flush(medium)?;
        let size = medium.size()?;
        Ok(if size < wide(HEADER_UNIT) {
            0
        } else {
            size - SHIFT
        })
    }

    /// Which part an access is, by its length and its place.
    fn part(
        &mut self,
        medium: &mut impl Medium,
        length: usize,
        offset: u64,
    ) -> Result<Part, Failure> {
        match (offset, length) {
            (0, LOG_HEADER) => return Ok(Part::Header),
            (24, 8) => return Ok(Part::HeaderChecksums),
            _ => {}
        }
        let sizes = self.pages.sizes;
        let of_size = |length: usize| sizes.iter().copied().find(|size| *size == length);
        let page_size = match length {
            FRAME_HEADER | 8 => {
                if self.page_size.is_none() {
                    // A connection that goes on with a log which another began.
                    self.open_header(medium)?;
                }
                self.page_size
            }
            _ => of_size(length).or_else(|| of_size(length.checked_sub(FRAME_HEADER)?)),
        };
        self.page_size = Some(page_size.ok_or(Failure::Refused)?);
        let part = page_size.and_then(|size| Part::of_frames(length, offset, size));
        part.ok_or(Failure::Refused)
    }

    fn write_header(&mut self, medium: &mut impl Medium, header: &[u8]) -> Result<(), Failure> {
        let mut unit = SecretBytes::zeroed(HEADER_UNIT);
        unit.expose_mut()
            .get_mut(..LOG_HEADER)
            .ok_or(Failure::Refused)?
            .copy_from_slice(header);
        self.learn_from_header(header)?;
        self.current.begin(salts_of(header)?);
        self.sealer
            .seal(unit.expose_mut(), HEADER_UNIT, Unit::LogHeader)
            .map_err(|_| Failure::Random)?;
        medium.write(unit.expose(), 0)
    }

    /// The header, and what it says; none where it does not open.
    fn open_header(
        &mut self,
        medium: &mut impl Medium,
    ) -> Result<Option<[u8; HEADER_UNIT]>, Failure> {
        let mut unit = [0; HEADER_UNIT];
        if !medium.read(&mut unit, 0)? || !self.sealer.open(&mut unit, Unit::LogHeader) {
            return Ok(None);
        }
        self.learn_from_header(&unit)?;
        Ok(Some(unit))
    }

    fn learn_from_header(&mut self, header: &[u8]) -> Result<(), Failure> {
        let size = header.get(8..).and_then(|rest| rest.first_chunk::<4>());
        let size = size.and_then(|size| usize::try_from(u32::from_be_bytes(*size)).ok());
        let size = size.filter(|size| self.pages.sizes.contains(size));
        self.page_size = Some(size.ok_or(Failure::Refused)?);
        Ok(())
    }

    /// Puts a whole frame behind those that wait, and writes them where it is a commit or where no
    /// more fit.
    fn add_frame(
        &mut self,
        medium: &mut impl Medium,
        number: u64,
        header: &[u8; FRAME_HEADER],
        page: &[u8],
    ) -> Result<(), Failure> {
        let room = MOST_AT_ONCE / (FRAME_HEADER + page.len());
        let room = if self.gathers { room.max(1) } else { 1 };
        let added = self.waiting.lock().add(number, header, page, room);
        let full = added.ok_or(Failure::Refused)? >= room;
        let commits = header.get(4..8).is_some_and(|size| size != [0; 4]);
        if full || commits {
            self.write_frames(medium)?;
        }
        Ok(())
    }

    /// Seals the frames that wait and writes them at once.
    fn write_frames(&mut self, medium: &mut impl Medium) -> Result<(), Failure> {
        let length = FRAME_HEADER + self.page_size.ok_or(Failure::Refused)?;
        let mut frames = self.waiting.lock();
        let (first, count) = (frames.first, frames.count);
        let units = frames.units.expose_mut().get_mut(..count * length);
        let units = units.ok_or(Failure::Refused)?;
        let sealed = self.sealer.seal(units, length, Unit::Frame(first));
        let written = match sealed {
            Ok(()) => medium.write(units, unit_offset(first, length)?),
            Err(_) => Err(Failure::Random),
        };
        if written.is_err() {
            frames.clear();
        }
        // What was sealed needs no wiping.
        frames.count = 0;
        written
    }

    /// Changes a part of a frame that is on the medium, and seals it anew.
    fn rewrite(
        &mut self,
        medium: &mut impl Medium,
        number: u64,
        at: usize,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let sealer = Arc::clone(&self.sealer);
        let frame = self.open_frame(medium, number)?;
        let part = frame.get_mut(at..at + bytes.len());
        part.ok_or(Failure::Refused)?.copy_from_slice(bytes);
        let length = frame.len();
        if sealer.seal(frame, length, Unit::Frame(number)).is_err() {
            frame.fill(0);
            return Err(Failure::Random);
        }
        medium.write(frame, unit_offset(number, length)?)
    }

    /// Reads and opens a frame.
    fn open_frame(&mut self, medium: &mut impl Medium, number: u64) -> Result<&mut [u8], Failure> {
        let length = FRAME_HEADER + self.page_size.ok_or(Failure::Refused)?;
        let frame = self.scratch.expose_mut().get_mut(..length);
        let frame = frame.ok_or(Failure::Refused)?;
        let whole = medium.read(frame, unit_offset(number, length)?)?;
        if whole && self.sealer.open(frame, Unit::Frame(number)) {
            return Ok(frame);
        }
        frame.fill(0);
        Err(Failure::NotAuthentic)
    }
}

/// The salts in a header of the log.
fn salts_of(header: &[u8]) -> Result<[u8; 8], Failure> {
    let salts = header.get(16..).and_then(|rest| rest.first_chunk());
    salts.copied().ok_or(Failure::Refused)
}

/// Where a frame lies on the medium.
fn unit_offset(number: u64, length: usize) -> Result<u64, Failure> {
    let before = number
        .checked_sub(1)
        .and_then(|n| n.checked_mul(wide(length)));
    let offset = before.and_then(|before| before.checked_add(wide(HEADER_UNIT)));
    offset.ok_or(Failure::Refused)
}
