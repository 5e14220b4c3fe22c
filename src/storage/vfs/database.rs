//! The database file: pages, each a unit of the same length at the same offset (spec 06).

use std::ops::Range;
use std::sync::Arc;

use super::failure::Failure;
use super::medium::{Medium, wide};
use crate::sealing::{PageSealer, Unit};
use crate::secret::SecretBytes;

/// Which databases are opened.
#[derive(Clone, Copy)]
pub(in crate::storage) struct Pages {
    /// The page sizes that may be met.
    pub(in crate::storage) sizes: &'static [usize],
    /// Whether an empty file is a database about to be made. SQLite would take it for one anywhere,
    /// and delete the log beside it.
    pub(in crate::storage) may_be_none: bool,
    /// Whether these are a vault's pages: one database, in one process, whose transactions end where
    /// a statement fails. The log that SQLite has recovered or begun is then the present one,
    /// whatever lies on the medium, no page is read that was never written, and there are no rollback
    /// journals.
    pub(in crate::storage) of_a_vault: bool,
}

/// How one open database file is read and written.
pub(super) struct Database {
    sealer: Arc<PageSealer>,
    pages: Pages,
    /// Where there are several, known once a page was read or written.
    page_size: Option<usize>,
    scratch: SecretBytes,
}

impl Database {
    pub(super) fn new(sealer: Arc<PageSealer>, pages: Pages) -> Self {
        let largest = pages.sizes.iter().copied().max().unwrap_or_default();
        Self {
            sealer,
            pages,
            page_size: match pages.sizes {
                [only] => Some(*only),
                _ => None,
            },
            scratch: SecretBytes::zeroed(largest),
        }
    }

    pub(super) fn is_of_a_vault(&self) -> bool {
        self.pages.of_a_vault
    }

    /// Reads within one page. Where the first page does not open, `is_mended` says whether there is
    /// a log, which has to bring it: then only what never changes is made up of its header.
    pub(super) fn read(
        &mut self,
        medium: &mut impl Medium,
        buffer: &mut [u8],
        offset: u64,
        is_mended: impl FnOnce() -> bool,
    ) -> Result<(), Failure> {
        let read = self.read_sealed(medium, buffer, offset);
        if read.is_err() {
            buffer.fill(0);
        }
        let is_header = offset == 0 && buffer.len() == HEADER;
        // Not beside an empty file, where SQLite would delete the log.
        if read == Err(Failure::NotAuthentic) && is_header && medium.size()? > 0 && is_mended() {
            let size = self.page_size.or_else(|| self.pages.sizes.first().copied());
            write_constant_header(buffer, size.ok_or(Failure::Refused)?);
            return Ok(());
        }
        read
    }

    /// Whether a page lies behind the end of the file, where SQLite reads zeros: after it has rolled a
    /// part of a transaction back, and of a database that is about to be made, where it moves a page
    /// that it has not written yet to make place for the root of a table.
    fn is_behind(
        &self,
        medium: &mut impl Medium,
        number: u64,
        size: usize,
    ) -> Result<bool, Failure> {
        let may_be = !self.pages.of_a_vault || self.pages.may_be_none;
        Ok(may_be && medium.size()? <= number.saturating_mul(wide(size)))
    }

    fn read_sealed(
        &mut self,
        medium: &mut impl Medium,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), Failure> {
        if self.pages.may_be_none && medium.size()? == 0 {
            return Err(Failure::Empty);
        }
        let size = match self.page_size {
            Some(size) => size,
            None => self.learn_size(medium)?,
        };
        let at = usize::try_from(offset % wide(size)).map_err(|_| Failure::Refused)?;
        let number = offset / wide(size);
        if self.is_behind(medium, number, size)? {
            return Err(Failure::Empty);
        }
        if at == 0 && buffer.len() == size {
            return open(&self.sealer, medium, buffer, number);
        }
        let within = at..at.checked_add(buffer.len()).ok_or(Failure::Refused)?;
        if within.end > size {
            return Err(Failure::Refused);
        }
        let page = self.scratch.expose_mut().get_mut(..size);
        let page = page.ok_or(Failure::Refused)?;
        open(&self.sealer, medium, page, number)?;
        copy_out(page, within, buffer)
    }

    /// Writes one page.
    pub(super) fn write(
        &mut self,
        medium: &mut impl Medium,
        page: &[u8],
        offset: u64,
    ) -> Result<(), Failure> {
        let size = page.len();
        if !self.pages.sizes.contains(&size) || !offset.is_multiple_of(wide(size)) || has_tail(page)
        {
            return Err(Failure::Refused);
        }
        self.page_size = Some(size);
        let number = offset / wide(size) + 1;
        let unit = self.scratch.expose_mut().get_mut(..size);
        let unit = unit.ok_or(Failure::Refused)?;
        unit.copy_from_slice(page);
        let sealed = self.sealer.seal(unit, size, Unit::Page(number));
        if sealed.is_err() {
            unit.fill(0);
            return Err(Failure::Random);
        }
        medium.write(unit, offset)
    }

    /// Finds the size with which the first page opens, or the second where the first was torn.
    fn learn_size(&mut self, medium: &mut impl Medium) -> Result<usize, Failure> {
        for number in [0, 1] {
            for &size in self.pages.sizes {
                let page = self.scratch.expose_mut().get_mut(..size);
                let page = page.ok_or(Failure::Refused)?;
                match open(&self.sealer, medium, page, number) {
                    Ok(()) => {
                        page.fill(0);
                        self.page_size = Some(size);
                        return Ok(size);
                    }
                    Err(Failure::NotAuthentic) => {}
                    Err(other) => return Err(other),
                }
            }
        }
        Err(Failure::NotAuthentic)
    }
}

/// SQLite's own header in front of the first page.
const HEADER: usize = 100;

/// Reads and opens page `number`, counted from 0.
fn open(
    sealer: &PageSealer,
    medium: &mut impl Medium,
    page: &mut [u8],
    number: u64,
) -> Result<(), Failure> {
    let offset = number.checked_mul(wide(page.len()));
    let whole = medium.read(page, offset.ok_or(Failure::Refused)?)?;
    if whole && sealer.open(page, Unit::Page(number + 1)) {
        return Ok(());
    }
    page.fill(0);
    Err(Failure::NotAuthentic)
}

/// Copies a part of a page out, and wipes the page.
pub(super) fn copy_out(
    page: &mut [u8],
    within: Range<usize>,
    buffer: &mut [u8],
) -> Result<(), Failure> {
    buffer.copy_from_slice(page.get(within).ok_or(Failure::Refused)?);
    page.fill(0);
    Ok(())
}

/// Whether SQLite has put anything where nonce and tag go.
pub(super) fn has_tail(page: &[u8]) -> bool {
    let tail = page.len().checked_sub(PageSealer::TAIL);
    let tail = tail.and_then(|from| page.get(from..));
    tail.is_none_or(|tail| tail.iter().any(|byte| *byte != 0))
}

/// The magic, the page size, WAL for reading and writing, the reserved bytes, SQLite's three
/// constants; the rest is zero.
fn write_constant_header(buffer: &mut [u8], page_size: usize) {
    let code = u16::try_from(page_size).unwrap_or(1).to_be_bytes();
    let reserved = u8::try_from(PageSealer::TAIL).unwrap_or_default();
    let fields: [(usize, &[u8]); 3] = [
        (0, b"SQLite format 3\0"),
        (16, &code),
        (18, &[2, 2, reserved, 64, 32, 32]),
    ];
    for (at, field) in fields {
        if let Some(place) = buffer.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    }
}
