//! A key store that outlives the process, as a phone's does: its keys are files beside the vault.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use vitalock::{KeyShare, Purpose, ShareError, ShareSink};

pub(crate) struct FileKeystore {
    provider: &'static str,
    dir: PathBuf,
}

impl FileKeystore {
    pub(crate) fn new(provider: &'static str, dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        Self { provider, dir }
    }

    fn key(&self, blob: &[u8]) -> PathBuf {
        self.dir.join(std::str::from_utf8(blob).unwrap())
    }
}

impl KeyShare for FileKeystore {
    fn provider(&self) -> &str {
        self.provider
    }

    fn enrol(&self, _purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        let mut random = [0; 40];
        getrandom::fill(&mut random).unwrap();
        let (name, key) = random.split_at(8);
        let name = name
            .iter()
            .fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
        let blob = name.into_bytes();
        match fs::write(self.key(&blob), key) {
            Ok(()) => Ok(blob),
            Err(_) => Err(ShareError::TemporarilyUnavailable),
        }
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let key = fs::read(self.key(blob)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ShareError::Missing,
            _ => ShareError::TemporarilyUnavailable,
        })?;
        let purpose = u8::from(purpose == Purpose::Priority);
        let bytes = key.iter().zip(challenge);
        let share: Vec<u8> = bytes
            .map(|(key, challenge)| key ^ challenge ^ purpose)
            .collect();
        sink.fill(&share);
        Ok(())
    }

    fn destroy(&self, _purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        match fs::remove_file(self.key(blob)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ShareError::TemporarilyUnavailable)
            }
            _ => Ok(()),
        }
    }
}
