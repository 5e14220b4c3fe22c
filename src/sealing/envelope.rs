//! The envelope: suite, nonce, ciphertext, tag.

use std::ops::Range;

use super::aead::{self, NONCE, TAG};
use super::context::{Context, SUITE};
use crate::error::{ErrorKind, Result};
use crate::random;
use crate::secret::{SecretBytes, SecretKey};

/// What may reach the disk: bytes that only this room makes from plaintext, or that were read
/// back from the disk.
pub(crate) struct Sealed(Vec<u8>);

impl Sealed {
    /// The tag, which no other envelope under the same key has; zeros where it is too short for one.
    pub(crate) fn tag(&self) -> [u8; TAG] {
        self.0.last_chunk().copied().unwrap_or_default()
    }

    /// How much longer an envelope is than what it holds, in bytes.
    pub(crate) const OVERHEAD: usize = 1 + NONCE + TAG;

    /// Bytes read from the disk, not yet believed.
    pub(crate) fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Plaintext out of an envelope; wiped on drop.
pub(crate) struct Opened {
    buffer: SecretBytes,
    plain: Range<usize>,
}

impl Opened {
    /// The part of a buffer that was just decrypted.
    pub(super) fn within(buffer: SecretBytes, plain: Range<usize>) -> Self {
        Self { buffer, plain }
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.buffer
            .expose()
            .get(self.plain.clone())
            .expect("the range was cut from this buffer")
    }

    /// The buffer and where in it the plaintext after the first `skip` bytes lies.
    pub(crate) fn into_parts(self, skip: usize) -> (SecretBytes, Range<usize>) {
        let start = self.plain.start.saturating_add(skip).min(self.plain.end);
        (self.buffer, start..self.plain.end)
    }
}

impl From<SecretBytes> for Opened {
    /// A whole buffer as plaintext: a part of another envelope that was itself opened.
    fn from(buffer: SecretBytes) -> Self {
        let plain = 0..buffer.expose().len();
        Self { buffer, plain }
    }
}

/// Seals the concatenation of `parts` for one place. The plaintext is gathered in the envelope's
/// own buffer and encrypted there, so no other copy of it is made.
///
/// # Errors
///
/// [`ErrorKind::RandomUnavailable`].
pub(crate) fn seal(
    key: &SecretKey,
    place: &(impl Place + ?Sized),
    parts: &[&[u8]],
) -> Result<Sealed> {
    let nonce = random::make::<NONCE>()?;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length.saturating_add(Sealed::OVERHEAD));
    bytes.push(SUITE);
    bytes.extend_from_slice(&nonce);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    let plain = bytes
        .get_mut(1 + NONCE..)
        .expect("the prefix was written above");
    let tag = aead::encrypt(key, &nonce, place.associated_data().expose(), plain);
    bytes.extend_from_slice(&tag);
    Ok(Sealed(bytes))
}

/// Opens an envelope in its place.
///
/// # Errors
///
/// [`ErrorKind::TamperDetected`] for every way in which the bytes are not what was sealed here.
pub(crate) fn open(
    key: &SecretKey,
    place: &(impl Place + ?Sized),
    sealed: Sealed,
) -> Result<Opened> {
    let mut buffer = SecretBytes::from_vec(sealed.0);
    let (nonce, plain) =
        decrypt(key, place, buffer.expose_mut()).ok_or(ErrorKind::TamperDetected)?;
    Ok(Opened {
        buffer,
        plain: nonce..plain,
    })
}

/// Decrypts in place; where the plaintext starts and ends.
fn decrypt(
    key: &SecretKey,
    place: &(impl Place + ?Sized),
    bytes: &mut [u8],
) -> Option<(usize, usize)> {
    let end = bytes.len().checked_sub(TAG)?;
    let (suite, rest) = bytes.split_first_mut()?;
    let (nonce, rest) = rest.split_first_chunk_mut::<NONCE>()?;
    let (plain, tag) = rest.split_last_chunk_mut::<TAG>()?;
    let right =
        *suite == SUITE && aead::decrypt(key, nonce, place.associated_data().expose(), plain, tag);
    right.then_some((1 + NONCE, end))
}

/// Where an envelope lives: a row, or the slot whose text is the associated data.
pub(crate) trait Place {
    fn associated_data(&self) -> SecretBytes;
}

impl Place for Context<'_> {
    fn associated_data(&self) -> SecretBytes {
        Context::associated_data(self)
    }
}

impl Place for str {
    fn associated_data(&self) -> SecretBytes {
        SecretBytes::copy_of(self.as_bytes())
    }
}
