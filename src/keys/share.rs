//! What the device, or a server after its own check, releases: the one trait that hosts implement.

use std::fmt;

use crate::error::{Error, ErrorKind, InvalidationReason, Result};
use crate::random;
use crate::secret::SecretKey;

/// What a share is released for. Each slot holds one share for each purpose it serves, and the two
/// are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Opening Standard and Emergency.
    Standard,
    /// Opening Priority, for step-up authentication.
    Priority,
}

/// The other factor: a secret that a key store or a server holds and releases after its own check.
///
/// Secure Enclave: an ECIES-wrapped random share, then HMAC of the challenge under it. Android: an
/// HMAC key in the Keystore that needs authentication for each use. Server: a value released after
/// a text message or other check.
///
/// # Security
///
/// The share must not be computable from the blob and the challenge without the device's or the
/// server's key: a point derived from the challenge by plain ECDH is, for whoever holds the public
/// key. The same (purpose, blob, challenge) must always give the same share. Implementations must
/// not call back into the vault.
pub trait KeyShare: Send + Sync {
    /// A short fixed name of this key store, such as `secure-enclave`: 1 to 32 of `a-z`, `0-9` and
    /// `-`. It is written in the header and tells which host code a slot belongs to.
    fn provider(&self) -> &str;

    /// Makes a fresh platform key for this purpose and returns what is needed to find it again: 1
    /// to 1,024 bytes that are stored in the header in clear. They should name this key alone among
    /// all that this host ever makes, by random bytes for example.
    ///
    /// # Errors
    ///
    /// Why no key could be made.
    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError>;

    /// Writes the 32-byte share for this blob and challenge into the sink.
    ///
    /// # Errors
    ///
    /// Why it is not released. The vault never makes a new key because of one.
    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError>;

    /// Destroys the platform key behind this blob for good. A key that is already gone is success.
    ///
    /// # Errors
    ///
    /// Why it could not be destroyed; the vault asks again at the next chance.
    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError>;
}

/// Why a host does not release a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShareError {
    /// The person or the platform cancelled it.
    Cancelled,
    /// The platform destroyed the key, for this reason.
    Invalidated(InvalidationReason),
    /// There is no such key on this device.
    Missing,
    /// Not now: the device is locked, the sensor is locked out, the server is out of reach.
    TemporarilyUnavailable,
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Invalidated(_) => "invalidated",
            Self::Missing => "missing",
            Self::TemporarilyUnavailable => "temporarily unavailable",
        })
    }
}

impl std::error::Error for ShareError {}

impl From<ShareError> for Error {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Cancelled => ErrorKind::ShareCancelled.into(),
            ShareError::Invalidated(reason) => Self::invalidated(reason),
            ShareError::Missing => ErrorKind::ShareMissing.into(),
            ShareError::TemporarilyUnavailable => ErrorKind::ShareUnavailable.into(),
        }
    }
}

/// Where a host puts a released share: straight into memory that the vault wipes.
pub struct ShareSink {
    key: SecretKey,
    filled: bool,
}

impl ShareSink {
    /// Gives the share. It must be 32 bytes and not all zero; otherwise the release counts as
    /// [`ErrorKind::ShareMisbehaved`]. Wipe your own copy afterwards.
    pub fn fill(&mut self, share: &[u8]) {
        self.filled = false;
        let Ok(share) = <&[u8; 32]>::try_from(share) else {
            return;
        };
        let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|bytes| {
            bytes.copy_from_slice(share);
            Ok(())
        });
        self.key = key;
        self.filled = share.iter().fold(0, |any, byte| any | byte) != 0;
    }
}

impl fmt::Debug for ShareSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareSink(..)")
    }
}

/// A share, a provider's name and the blob it goes by, as the header keeps it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EnrolledShare {
    pub(crate) provider: String,
    pub(crate) challenge: [u8; 32],
    pub(crate) blob: Vec<u8>,
}

impl EnrolledShare {
    pub(crate) const MAX_BLOB: usize = 1024;

    /// Enrols a fresh share under a fresh challenge.
    pub(super) fn make(host: &dyn KeyShare, purpose: Purpose) -> Result<Self> {
        // Asked once, so that the name which is checked is the name which is written.
        let provider = host.provider().to_owned();
        if !is_provider(&provider) {
            return Err(ErrorKind::ShareMisbehaved.into());
        }
        let challenge = random::make()?;
        let blob = host.enrol(purpose)?;
        if (1..=Self::MAX_BLOB).contains(&blob.len()) {
            Ok(Self {
                provider,
                challenge,
                blob,
            })
        } else {
            // Best effort: the contract is broken already, and that is the error to report.
            let _ = host.destroy(purpose, &blob);
            Err(ErrorKind::ShareMisbehaved.into())
        }
    }

    /// Asks the host for the share.
    pub(super) fn release(&self, host: &dyn KeyShare, purpose: Purpose) -> Result<SecretKey> {
        let Ok(key) = SecretKey::fill::<std::convert::Infallible>(|_| Ok(()));
        let mut sink = ShareSink { key, filled: false };
        host.release(purpose, &self.blob, &self.challenge, &mut sink)?;
        if sink.filled {
            Ok(sink.key)
        } else {
            Err(ErrorKind::ShareMisbehaved.into())
        }
    }
}

/// Whether a provider's name may stand in a header.
pub(super) fn is_provider(name: &str) -> bool {
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=32).contains(&name.len()) && name.as_bytes().iter().all(allowed)
}
