//! Damage: no changed byte goes unnoticed, and a failure leaves no plaintext behind.

use super::super::{Sealed, aead, open, seal};
use super::{Stream, key_of};
use crate::error::ErrorKind;

const PLACE: &str = "a place";

#[test]
fn a_wrong_tag_leaves_no_plaintext_in_the_buffer() {
    let mut inputs = Stream::named(b"damage");
    let key = key_of(inputs.array());
    let nonce = inputs.array();
    for length in [8, 16, 17, 100, 600] {
        let plaintext = inputs.bytes(length);
        let mut ciphertext = plaintext.clone();
        let tag = aead::encrypt(&key, &nonce, b"here", &mut ciphertext);
        let refused = |ciphertext: &[u8], tag: &[u8; 16], associated: &[u8]| {
            let mut buffer = ciphertext.to_vec();
            assert!(!aead::decrypt(&key, &nonce, associated, &mut buffer, tag));
            // One damaged byte changes one byte of what would come out, so whole runs are compared.
            let runs = buffer.windows(4).zip(plaintext.windows(4));
            assert!(runs.into_iter().all(|(left, secret)| left != secret));
        };
        for at in 0..length {
            let mut damaged = ciphertext.clone();
            damaged[at] ^= 0xFF;
            refused(&damaged, &tag, b"here");
        }
        for at in 0..tag.len() {
            let mut damaged = tag;
            damaged[at] ^= 1;
            refused(&ciphertext, &damaged, b"here");
        }
        refused(&ciphertext, &tag, b"there");
        assert!(aead::decrypt(&key, &nonce, b"here", &mut ciphertext, &tag));
        assert_eq!(ciphertext, plaintext);
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    each_envelope(|sealed, refused| {
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused(damaged, &format!("bit {bit}"));
        }
    });
}

#[test]
fn every_truncation_is_noticed_at_either_end() {
    each_envelope(|sealed, refused| {
        for length in 0..sealed.len() {
            refused(sealed[..length].to_vec(), &format!("the first {length}"));
            let start = sealed.len() - length;
            refused(sealed[start..].to_vec(), &format!("the last {length}"));
        }
    });
}

#[test]
fn every_extension_is_noticed_at_either_end() {
    each_envelope(|sealed, refused| {
        for length in 1..=64 {
            for extra in [vec![0; length], Stream::named(b"extra").bytes(length)] {
                refused([sealed, &extra].concat(), &format!("{length} after"));
                refused([&extra, sealed].concat(), &format!("{length} before"));
            }
        }
        refused([sealed, sealed].concat(), "twice");
    });
}

/// Seals payloads of several lengths and hands each envelope to `damage`, with a check that what
/// `damage` makes of it is refused.
fn each_envelope(damage: impl Fn(&[u8], &dyn Fn(Vec<u8>, &str))) {
    let key = key_of([7; 32]);
    for length in [0, 1, 16, 33] {
        let payload = Stream::named(b"payload").bytes(length);
        let sealed = seal(&key, PLACE, &[&payload]).unwrap().as_bytes().to_vec();
        damage(&sealed, &|damaged, what| {
            let opened = open(&key, PLACE, Sealed::from_stored(damaged));
            let kind = opened.map(drop).map_err(|error| error.kind());
            assert_eq!(
                kind,
                Err(ErrorKind::TamperDetected),
                "{length} bytes: {what}"
            );
        });
        let opened = open(&key, PLACE, Sealed::from_stored(sealed)).unwrap();
        assert_eq!(opened.expose(), payload);
    }
}
