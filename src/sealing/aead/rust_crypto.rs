//! XAES-256-GCM in Rust: what the store is built with, and what the other implementation has to
//! agree with.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Key, Nonce, Tag, Xaes256Gcm};

use super::{NONCE, TAG};

/// A key with its schedule, which is wiped on drop.
pub(super) struct Cipher(Xaes256Gcm);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Xaes256Gcm::new(<&Key>::from(key)))
    }

    pub(super) fn encrypt(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG] {
        self.0
            .encrypt_inout_detached(<&Nonce>::from(nonce), associated, InOutBuf::from(buffer))
            .expect("a buffer in memory is far below the 64 GiB that GCM can seal")
            .into()
    }

    /// Verifies, then decrypts; a buffer that does not open stays as it is.
    pub(super) fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG],
    ) -> bool {
        self.0
            .decrypt_inout_detached(
                <&Nonce>::from(nonce),
                associated,
                InOutBuf::from(buffer),
                <&Tag>::from(tag),
            )
            .is_ok()
    }
}
