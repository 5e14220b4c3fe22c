//! A record's content in clear, for as short a time as possible.

use std::fmt;
use std::ops::{Deref, Range};

use crate::secret::SecretBytes;

/// The bytes of a record; wiped on drop.
///
/// # Security
///
/// It reads as `&[u8]`. What you copy out of it is yours to wipe.
pub struct Body {
    buffer: SecretBytes,
    range: Range<usize>,
}

impl Body {
    /// The part of a buffer that is the body.
    pub(crate) fn within(buffer: SecretBytes, range: Range<usize>) -> Self {
        Self { buffer, range }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer
            .expose()
            .get(self.range.clone())
            .unwrap_or_default()
    }
}

impl From<Vec<u8>> for Body {
    /// Takes the vector over and wipes it with the body.
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self {
            buffer: SecretBytes::from_vec(bytes),
            range,
        }
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self {
            buffer: SecretBytes::copy_of(bytes),
            range: 0..bytes.len(),
        }
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(..)")
    }
}
