//! The second factor of the demonstration: a key store that is a file.
//!
//! **Does** what a phone's key store does: makes keys, answers challenges, destroys keys.
//! **Never** belongs in an app. A phone keeps these keys in hardware and asks for a live finger;
//! whoever copies this file has the factor.
//! **Format** one line for each key: its blob and the key, hexadecimal.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vitalock::{KeyShare, Purpose, ShareError, ShareSink};

/// A key store in a file of its own.
pub(crate) struct FileShare {
    path: PathBuf,
}

impl FileShare {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// HMAC under the key that goes by this blob.
    pub(crate) fn share(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
    ) -> Result<[u8; 32], ShareError> {
        let keys = self.keys().map_err(unavailable)?;
        let mut keys = keys.iter();
        let (_, key) = keys
            .find(|(name, _)| name.as_bytes() == blob)
            .ok_or(ShareError::Missing)?;
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(&[u8::from(purpose == Purpose::Priority)]);
        mac.update(challenge);
        Ok(mac.finalize().into_bytes().into())
    }

    /// The lines of the file: a blob and its key.
    fn keys(&self) -> io::Result<Vec<(String, String)>> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            text => Ok(text?
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(blob, key)| (blob.to_owned(), key.to_owned()))
                .collect()),
        }
    }

    /// Replaces the file as a whole, so that a crash leaves the old keys or the new ones.
    fn keep(&self, keys: &[(String, String)]) -> io::Result<()> {
        let draft = self.path.with_extension("device-share-draft");
        let mut options = OpenOptions::new();
        let mut file: File = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        for (blob, key) in keys {
            writeln!(file, "{blob} {key}")?;
        }
        file.sync_all()?;
        fs::rename(draft, &self.path)
    }
}

impl KeyShare for FileShare {
    fn provider(&self) -> &str {
        "demonstration-file"
    }

    fn enrol(&self, _purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        let blob = random_hex()?;
        let mut keys = self.keys().map_err(unavailable)?;
        keys.push((blob.clone(), random_hex()?));
        self.keep(&keys).map_err(unavailable)?;
        Ok(blob.into_bytes())
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        sink.fill(&self.share(purpose, blob, challenge)?);
        Ok(())
    }

    fn destroy(&self, _purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        let mut keys = self.keys().map_err(unavailable)?;
        keys.retain(|(name, _)| name.as_bytes() != blob);
        self.keep(&keys).map_err(unavailable)
    }
}

/// 32 random bytes as text.
fn random_hex() -> Result<String, ShareError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| ShareError::TemporarilyUnavailable)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unavailable(_: io::Error) -> ShareError {
    ShareError::TemporarilyUnavailable
}
