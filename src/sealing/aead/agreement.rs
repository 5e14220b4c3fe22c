//! Do both implementations say the same? Whatever one seals is what the other seals and opens, and
//! what one refuses the other refuses.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{NONCE, TAG, aws_lc, rust_crypto};

/// Both implementations, under one key.
struct Pair(rust_crypto::Cipher, aws_lc::Cipher);

impl Pair {
    fn under(key: &[u8; 32]) -> Self {
        Self(rust_crypto::Cipher::new(key), aws_lc::Cipher::new(key))
    }

    fn encrypt(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        plain: &[u8],
    ) -> (Vec<u8>, [u8; TAG]) {
        let (mut one, mut other) = (plain.to_vec(), plain.to_vec());
        let tag = self.0.encrypt(nonce, associated, &mut one);
        let other_tag = self.1.encrypt(nonce, associated, &mut other);
        assert!(one == other && tag == other_tag, "{} bytes", plain.len());
        (one, tag)
    }

    /// What both say, and what they left in the buffer.
    fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG],
    ) -> (bool, [Vec<u8>; 2]) {
        let (mut one, mut other) = (sealed.to_vec(), sealed.to_vec());
        let right = self.0.decrypt(nonce, associated, &mut one, tag);
        let other_right = self.1.decrypt(nonce, associated, &mut other, tag);
        assert_eq!(right, other_right, "{} bytes", sealed.len());
        (right, [one, other])
    }
}

proptest! {
    #[test]
    fn both_seal_and_open_the_same(
        key: [u8; 32],
        nonce: [u8; NONCE],
        associated in vec(any::<u8>(), 0..300),
        plain in vec(any::<u8>(), 0..=8192),
    ) {
        let pair = Pair::under(&key);
        let (sealed, tag) = pair.encrypt(&nonce, &associated, &plain);
        let (right, opened) = pair.decrypt(&nonce, &associated, &sealed, &tag);
        prop_assert!(right);
        prop_assert!(opened.iter().all(|opened| *opened == plain));
    }

    #[test]
    fn both_refuse_the_same_and_leave_no_plaintext(
        key: [u8; 32],
        nonce: [u8; NONCE],
        associated in vec(any::<u8>(), 1..300),
        plain in vec(1..=u8::MAX, 16..=8192),
        place: prop::sample::Index,
        bit in 0..8_u32,
        part in 0..4_u8,
    ) {
        let pair = Pair::under(&key);
        let (mut sealed, mut tag) = pair.encrypt(&nonce, &associated, &plain);
        let (mut nonce, mut associated) = (nonce, associated);
        let changed = match part {
            0 => nonce.as_mut_slice(),
            1 => &mut associated,
            2 => &mut sealed,
            _ => &mut tag,
        };
        *place.get_mut(changed) ^= 1 << bit;
        let (right, left) = pair.decrypt(&nonce, &associated, &sealed, &tag);
        prop_assert!(!right);
        // RustCrypto leaves the ciphertext, AWS-LC zeros.
        prop_assert_eq!(&left[0], &sealed);
        prop_assert!(left[1].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn both_agree_at_every_length_up_to_three_of_the_widest_steps() {
    let pair = Pair::under(&[0x5A; 32]);
    let bytes: Vec<_> = (0..=255).cycle().take(1600).collect();
    for length in 0..=bytes.len() {
        let (plain, associated) = (&bytes[..length], &bytes[..length % 67]);
        let nonce = [u8::try_from(length % 251).expect("it is below 251"); NONCE];
        let (sealed, tag) = pair.encrypt(&nonce, associated, plain);
        let (right, opened) = pair.decrypt(&nonce, associated, &sealed, &tag);
        assert!(
            right && opened.iter().all(|opened| opened == plain),
            "{length} bytes"
        );
    }
}
