//! XAES-256-GCM on AES-256-GCM of AWS-LC, whose assembly takes about half the time. AWS-LC has no
//! XAES, so the key of each message is derived here as C2SP specifies it.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use super::{NONCE, TAG};

/// A key with its schedule, and the subkey of CMAC. Both are wiped on drop.
pub(super) struct Cipher {
    schedule: Aes256,
    k1: Zeroizing<u128>,
}

impl Cipher {
    /// Steps 1 and 2 of the specification.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let schedule = Aes256::new(key.into());
        let mut l = Block::default();
        schedule.encrypt_block(&mut l);
        let l = u128::from_be_bytes(l.into());
        let k1 = Zeroizing::new((l << 1) ^ ((l >> 127) * 0x87));
        Self { schedule, k1 }
    }

    pub(super) fn encrypt(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG] {
        let (key, nonce) = self.message_key(nonce);
        key.seal_in_place_separate_tag(nonce, Aad::from(associated), buffer)
            .ok()
            .and_then(|tag| tag.as_ref().try_into().ok())
            .expect("a buffer in memory is far below the 64 GiB that GCM can seal")
    }

    /// Decrypts, then verifies; AWS-LC zeroes a buffer that does not open.
    pub(super) fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG],
    ) -> bool {
        let (key, nonce) = self.message_key(nonce);
        key.open_in_place_separate_tag(nonce, Aad::from(associated), tag, buffer)
            .is_ok()
    }

    /// Steps 3 to 6: the key of one message, and the rest of the nonce for it. AWS-LC keeps the key
    /// in a block of its own, which it wipes before it frees it.
    fn message_key(&self, nonce: &[u8; NONCE]) -> (LessSafeKey, Nonce) {
        let (first, rest) = nonce.split_at(NONCE / 2);
        let mut blocks = [1, 2].map(|count| {
            let mut block = [0; 16];
            block[..4].copy_from_slice(&[0, count, b'X', 0]);
            block[4..].copy_from_slice(first);
            Block::from((u128::from_be_bytes(block) ^ *self.k1).to_be_bytes())
        });
        self.schedule.encrypt_blocks(&mut blocks);
        let mut key = Zeroizing::new([0; 32]);
        for (half, block) in key.chunks_exact_mut(16).zip(&mut blocks) {
            half.copy_from_slice(block);
            block.as_mut_slice().zeroize();
        }
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("the key has 32 bytes");
        let nonce = Nonce::try_assume_unique_for_key(rest).expect("the rest has 12 bytes");
        (LessSafeKey::new(key), nonce)
    }
}
