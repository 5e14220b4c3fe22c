//! Who acts, and what for, in the app's own words.
//!
//! **Does** carry them to the audit trail.
//! **Never** decides by them who may do what: that is decided by keys.
//! **Format** none.

use std::fmt;

use crate::error::{ErrorKind, Result};
use crate::secret::SecretText;

/// Who acts, and what for: what the audit trail says of a call. The store takes the app's word for
/// it; a name that identifies a person without describing them, such as an account's, serves best.
///
/// # Examples
///
/// ```
/// use vitalock::{Actor, Credentials, Passphrase};
///
/// fn everyday<'a>(words: &'a Passphrase, ada: &'a Actor) -> Credentials<'a> {
///     Credentials::passphrase(words).by(ada)
/// }
/// let ada = Actor::new("Practitioner/ada").purpose("TREAT");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Actor {
    name: SecretText,
    purpose: SecretText,
}

impl Actor {
    /// The most bytes that a name or a purpose may have.
    pub const MAX_BYTES: usize = 256;

    /// An actor by name, for no purpose in particular.
    pub fn new(name: &str) -> Self {
        Self {
            name: SecretText::copy_of(name),
            purpose: SecretText::copy_of(""),
        }
    }

    /// The same for a purpose: a code such as those of HL7's
    /// [PurposeOfUse](https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html), or the app's own.
    #[must_use]
    pub fn purpose(mut self, purpose: &str) -> Self {
        self.purpose = SecretText::copy_of(purpose);
        self
    }

    /// Nobody whom the app has named.
    pub(crate) fn unnamed() -> Self {
        Self::new("")
    }

    pub(crate) fn name(&self) -> &SecretText {
        &self.name
    }

    pub(crate) fn reason(&self) -> &SecretText {
        &self.purpose
    }

    pub(crate) fn of(name: SecretText, purpose: SecretText) -> Self {
        Self { name, purpose }
    }

    /// # Errors
    ///
    /// [`ErrorKind::InvalidActor`] where a text is too long.
    pub(crate) fn check(&self) -> Result<()> {
        let fits = |text: &SecretText| text.expose().len() <= Self::MAX_BYTES;
        if fits(&self.name) && fits(&self.purpose) {
            return Ok(());
        }
        Err(ErrorKind::InvalidActor.into())
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Actor(..)")
    }
}
