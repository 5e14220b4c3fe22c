//! What lies under a sealed file.

use super::failure::Failure;

/// The physical bytes of one file.
pub(super) trait Medium {
    /// Fills the buffer; `false`, and the rest of it zero, where the file ends before.
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<bool, Failure>;

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Failure>;

    fn truncate(&mut self, size: u64) -> Result<(), Failure>;

    fn size(&mut self) -> Result<u64, Failure>;
}

/// Offsets and sizes as 64 bits.
pub(super) fn wide(number: usize) -> u64 {
    u64::try_from(number).expect("a size in memory fits 64 bits")
}
