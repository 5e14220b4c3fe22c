//! Reading what was sealed, field by field; what does not fit was not written by this vault.

use crate::error::{ErrorKind, Result};
use crate::secret::SecretText;

/// The bytes that are still to be read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn over(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(ErrorKind::TamperDetected)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// `lp(bytes)` of the spec.
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?));
        let length = length.map_err(|_| ErrorKind::TamperDetected)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(ErrorKind::TamperDetected)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<SecretText> {
        let text = std::str::from_utf8(self.prefixed()?).map_err(|_| ErrorKind::TamperDetected)?;
        Ok(SecretText::copy_of(text))
    }
}
