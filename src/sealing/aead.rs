//! The only file that names a cipher: XAES-256-GCM (C2SP), the AEAD of suite 1.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Key, Nonce, Tag, Xaes256Gcm};

use crate::memory;
use crate::secret::SecretKey;

pub(super) const NONCE: usize = 24;
pub(super) const TAG: usize = 16;

/// Encrypts `buffer` in place. The nonce must never be used twice under one key; 192 random bits
/// make that so.
pub(super) fn encrypt(
    key: &SecretKey,
    nonce: &[u8; NONCE],
    associated: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG] {
    let tag = encrypt_with(key.expose(), nonce, associated, buffer);
    memory::scrub_stack::<{ memory::CIPHER_DEPTH }>();
    tag
}

/// Decrypts `buffer` in place and says whether the tag is right. Where it is not, the buffer holds
/// no plaintext: the cipher verifies before it decrypts, and the caller wipes.
pub(super) fn decrypt(
    key: &SecretKey,
    nonce: &[u8; NONCE],
    associated: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    let right = decrypt_with(key.expose(), nonce, associated, buffer, tag);
    memory::scrub_stack::<{ memory::CIPHER_DEPTH }>();
    right
}

#[inline(never)]
fn encrypt_with(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    associated: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG] {
    Xaes256Gcm::new(<&Key>::from(key))
        .encrypt_inout_detached(<&Nonce>::from(nonce), associated, InOutBuf::from(buffer))
        .expect("a buffer in memory is far below the 64 GiB that GCM can seal")
        .into()
}

#[inline(never)]
fn decrypt_with(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    associated: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    Xaes256Gcm::new(<&Key>::from(key))
        .decrypt_inout_detached(
            <&Nonce>::from(nonce),
            associated,
            InOutBuf::from(buffer),
            <&Tag>::from(tag),
        )
        .is_ok()
}
