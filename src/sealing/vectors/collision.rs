//! Why slots carry a commitment: AES-GCM, and XAES-256-GCM on top of it, does not commit to
//! its key. Whoever knows two keys can make one envelope that opens under both.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{Aes256Gcm, Nonce, Tag};

use super::super::{Sealed, open};
use super::gcm::{self, Block};
use super::{Stream, envelope_of, key_of};
use crate::secret::SecretKey;

/// An envelope with `length` bytes of payload, a multiple of 16, that opens in the place with this
/// associated data under either key.
///
/// A tag is a sum of blocks, each multiplied by a power of the hash key, and a mask. The two tags
/// are equal where the sums with (power under one key + power under the other) come to the sum of
/// the masks; that is linear in each block, so the first block of the ciphertext is solved for.
pub(crate) fn envelope_for_both(keys: [&SecretKey; 2], associated: &[u8], length: usize) -> Sealed {
    let mut inputs = Stream::named(b"collision");
    let nonce: [u8; 24] = inputs.array();
    let mut ciphertext = inputs.bytes(length);
    ciphertext[..16].fill(0);
    let halves = keys.map(|key| half(key.expose(), &nonce));
    let hashed = gcm::hashed(associated, &ciphertext);
    let tags = halves.map(|half| gcm::ghash(half.h, &hashed) ^ half.mask);
    let powers = halves.map(|half| (0..=length / 16).fold(gcm::ONE, |p, _| gcm::times(p, half.h)));
    let block = gcm::times(tags[0] ^ tags[1], gcm::inverse(powers[0] ^ powers[1]));
    ciphertext[..16].copy_from_slice(&block.to_be_bytes());
    let tag = tags[0] ^ gcm::times(block, powers[0]);
    assert_eq!(tag, tags[1] ^ gcm::times(block, powers[1]));
    envelope_of(&nonce, &ciphertext, &tag.to_be_bytes())
}

/// One of the two keys, for one nonce: the GCM key that XAES derives, GCM's hash key and mask.
#[derive(Clone, Copy)]
struct Half {
    gcm_key: [u8; 32],
    h: Block,
    mask: Block,
}

fn half(key: &[u8; 32], nonce: &[u8; 24]) -> Half {
    let inputs = gcm::xaes_inputs(block_under(key, 0), nonce);
    let derived = inputs.map(|input| block_under(key, input).to_be_bytes());
    let gcm_key = derived.concat().try_into().unwrap();
    Half {
        gcm_key,
        h: block_under(&gcm_key, 0),
        mask: block_under(&gcm_key, gcm::counter(nonce.last_chunk().unwrap(), 1)),
    }
}

fn block_under(key: &[u8; 32], block: Block) -> Block {
    let mut block = block.to_be_bytes().into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    Block::from_be_bytes(block.into())
}

#[test]
fn one_envelope_can_open_under_two_keys() {
    let keys = [key_of([1; 32]), key_of([2; 32])];
    let place = "one place";
    for length in [16, 32, 64, 160] {
        let envelope = envelope_for_both(keys.each_ref(), place.as_bytes(), length);
        let bytes = envelope.as_bytes();
        let nonce: [u8; 24] = *bytes[1..].first_chunk().unwrap();
        let (ciphertext, tag) = bytes[25..].split_at(length);
        let opened = keys.each_ref().map(|key| {
            let mut plain = ciphertext.to_vec();
            Aes256Gcm::new((&half(key.expose(), &nonce).gcm_key).into())
                .decrypt_inout_detached(
                    <&Nonce<_>>::try_from(&nonce[12..]).unwrap(),
                    place.as_bytes(),
                    InOutBuf::from(&mut plain[..]),
                    <&Tag>::try_from(tag).unwrap(),
                )
                .expect("plain AES-256-GCM opens it");
            let sealed = Sealed::from_stored(bytes.to_vec());
            let ours = open(key, place, sealed).expect("XAES-256-GCM opens it");
            assert_eq!(ours.expose(), plain);
            plain
        });
        assert_ne!(
            opened[0], opened[1],
            "each key gives a plaintext of its own"
        );
    }
    let third = key_of([3; 32]);
    let envelope = envelope_for_both(keys.each_ref(), place.as_bytes(), 64);
    assert!(open(&third, place, envelope).is_err());
}
