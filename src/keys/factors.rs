//! From what a person brings to the secret that opens one wrap.

use super::code::CodeKey;
use super::kdf;
use super::passphrase::Passphrase;
use super::share::{KeyShare, Purpose};
use super::slot::Wrap;
use crate::error::{ErrorKind, Result};
use crate::secret::SecretBytes;

/// The factors of one slot, before they are stretched or released.
#[derive(Clone, Copy)]
pub(crate) struct Factors<'a> {
    pub(crate) passphrase: Option<&'a Passphrase>,
    pub(crate) share: Option<&'a dyn KeyShare>,
    pub(crate) code: Option<&'a CodeKey>,
}

/// Stretches and releases what a wrap asks for and joins it (spec 02, "Factors").
///
/// # Errors
///
/// Those of the host's share, and [`ErrorKind::OutOfMemory`]. A wrap that needs a factor which is
/// not there is [`ErrorKind::NoMatchingSlot`].
pub(crate) fn gather(wrap: &Wrap, purpose: Purpose, factors: Factors<'_>) -> Result<SecretBytes> {
    let missing = ErrorKind::NoMatchingSlot;
    // The share first: it is what a person can cancel, and Argon2 would be spent for nothing.
    let share = match &wrap.share {
        Some(enrolled) => Some(enrolled.release(factors.share.ok_or(missing)?, purpose)?),
        None => None,
    };
    let stretched = match &wrap.kdf {
        Some((parameters, salt)) => Some(kdf::stretch(
            factors.passphrase.ok_or(missing)?,
            salt,
            *parameters,
        )?),
        None => None,
    };
    let code = factors.code.map(|code| &code.0);
    let parts = [stretched.as_ref(), share.as_ref(), code];
    let length = parts.iter().map(|part| 4 + part.map_or(0, |_| 32)).sum();
    let mut joined = SecretBytes::zeroed(length);
    let mut rest = joined.expose_mut();
    for part in parts {
        let bytes: &[u8] = part.map_or(&[], |key| key.expose());
        let (here, after) = rest.split_at_mut(4 + bytes.len());
        let (prefix, body) = here.split_at_mut(4);
        let length = u32::try_from(bytes.len()).expect("a factor has 0 or 32 bytes");
        prefix.copy_from_slice(&length.to_le_bytes());
        body.copy_from_slice(bytes);
        rest = after;
    }
    Ok(joined)
}
