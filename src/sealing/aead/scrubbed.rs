//! The operations as the room uses them: each in a frame of its own, which is scrubbed after it.

#[cfg(feature = "aws-lc")]
use super::aws_lc::Cipher;
#[cfg(not(feature = "aws-lc"))]
use super::rust_crypto::Cipher;
use crate::memory;
use crate::secret::SecretKey;

pub(in crate::sealing) const NONCE: usize = 24;
pub(in crate::sealing) const TAG: usize = 16;

/// What is to be encrypted where it lies, and the place for its tag.
pub(in crate::sealing) struct Message<'a, A> {
    /// Never used twice under one key; 192 random bits make that so.
    pub(in crate::sealing) nonce: [u8; NONCE],
    pub(in crate::sealing) associated: A,
    pub(in crate::sealing) buffer: &'a mut [u8],
    pub(in crate::sealing) tag: &'a mut [u8; TAG],
}

/// Encrypts `buffer` in place. The nonce must never be used twice under one key; 192 random bits
/// make that so.
pub(in crate::sealing) fn encrypt(
    key: &SecretKey,
    nonce: &[u8; NONCE],
    associated: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG] {
    let mut tag = [0; TAG];
    let message = Message {
        nonce: *nonce,
        associated,
        buffer,
        tag: &mut tag,
    };
    encrypt_each(key, [message]);
    tag
}

/// Encrypts messages one after another. The key is prepared once for all of them, and what that
/// leaves is scrubbed once, after the last.
pub(in crate::sealing) fn encrypt_each<'a, A: AsRef<[u8]>>(
    key: &SecretKey,
    messages: impl IntoIterator<Item = Message<'a, A>>,
) {
    encrypt_with(key.expose(), messages);
    memory::scrub_stack::<{ memory::CIPHER_DEPTH }>();
}

/// Decrypts `buffer` in place and says whether the tag is right. Where it is not, the buffer holds
/// no plaintext.
pub(in crate::sealing) fn decrypt(
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
fn encrypt_with<'a, A: AsRef<[u8]>>(
    key: &[u8; 32],
    messages: impl IntoIterator<Item = Message<'a, A>>,
) {
    let cipher = Cipher::new(key);
    for message in messages {
        let associated = message.associated.as_ref();
        *message.tag = cipher.encrypt(&message.nonce, associated, message.buffer);
    }
}

#[inline(never)]
fn decrypt_with(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    associated: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    Cipher::new(key).decrypt(nonce, associated, buffer, tag)
}
