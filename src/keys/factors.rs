//! From what a person brings to the secret that opens one wrap.

use super::code::CodeKey;
use super::credentials::Credentials;
use super::kdf;
use super::passphrase::Passphrase;
use super::share::{KeyShare, Purpose};
use super::slot::Wrap;
use crate::error::{ErrorKind, Result};
use crate::secret::SecretBytes;

/// The factors of one slot, before they are stretched or released.
#[derive(Clone, Copy, Default)]
pub(crate) struct Factors<'a> {
    pub(crate) passphrase: Option<&'a Passphrase>,
    pub(crate) share: Option<&'a dyn KeyShare>,
    pub(crate) code: Option<&'a CodeKey>,
}

impl<'a> Factors<'a> {
    /// The factors of everyday credentials; a recovery code's key depends on the vault.
    pub(crate) fn of(credentials: &Credentials<'a>) -> Self {
        Self {
            passphrase: credentials.passphrase,
            share: credentials.share,
            code: None,
        }
    }

    #[must_use]
    pub(crate) fn with_code(self, code: &'a CodeKey) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }
}

/// Stretches and releases what a wrap asks for and joins it (spec 02, "Factors"). Between the two it
/// calls `attempt`.
///
/// # Errors
///
/// Those of `attempt` and of the host's share, and [`ErrorKind::OutOfMemory`]. A wrap that needs a factor which is
/// not there is [`ErrorKind::NoMatchingSlot`].
pub(crate) fn gather(
    wrap: &Wrap,
    purpose: Purpose,
    factors: Factors<'_>,
    attempt: impl FnOnce() -> Result<()>,
) -> Result<SecretBytes> {
    let missing = ErrorKind::NoMatchingSlot;
    // The share first: it is what a person can cancel, and Argon2 would be spent for nothing.
    let share = match &wrap.share {
        Some(enrolled) => Some(enrolled.release(factors.share.ok_or(missing)?, purpose)?),
        None => None,
    };
    attempt()?;
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
    let mut pieces: Vec<&[u8]> = Vec::with_capacity(6);
    for part in parts {
        pieces.push(if part.is_some() {
            &[32, 0, 0, 0]
        } else {
            &[0; 4]
        });
        pieces.push(part.map_or(&[], |key| key.expose()));
    }
    Ok(SecretBytes::concatenation(&pieces))
}
