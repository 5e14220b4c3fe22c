//! What SQLite reads or writes of the log at once, told by its length and its place.

use super::log::{FRAME_HEADER, LOG_HEADER};
use super::medium::wide;

/// A part of the log that SQLite reads or writes at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Header,
    /// The two checksums in the header of the log.
    HeaderChecksums,
    Frame(u64),
    FrameHeader(u64),
    /// The two checksums in the header of a frame.
    FrameChecksums(u64),
    FramePage(u64),
}

impl Part {
    /// The part of the frames, each a header and a page of this size, that an access is.
    pub(super) fn of_frames(length: usize, offset: u64, page_size: usize) -> Option<Self> {
        let unit = wide(FRAME_HEADER + page_size);
        let after_header = offset.checked_sub(wide(LOG_HEADER))?;
        let number = after_header / unit + 1;
        match (after_header % unit, length) {
            (0, FRAME_HEADER) => Some(Self::FrameHeader(number)),
            (0, length) if wide(length) == unit => Some(Self::Frame(number)),
            (16, 8) => Some(Self::FrameChecksums(number)),
            (24, length) if length == page_size => Some(Self::FramePage(number)),
            _ => None,
        }
    }
}
