//! Key commitment: a slot opens for the factors it was made with and for no others, even
//! where its envelope was built to open under two keys.
//!
//! Without it, whoever may write the header could store one slot that opens for many guessed
//! passphrases at once, and learn from each attempt which half of the guesses holds the right one.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that goes wrong here is meant to panic"
)]

use super::derive;
use super::factors::{self, Factors};
use super::kdf::KdfParameters;
use super::kind::{SlotKind, WrapPurpose};
use super::passphrase::Passphrase;
use super::share::Purpose;
use super::slot::{Slot, Wrap, slot_line};
use crate::error::ErrorKind;
use crate::id::{SlotId, VaultId};
use crate::sealing::vectors::collision::envelope_for_both;
use crate::sealing::{self, Sealed};
use crate::secret::SecretKey;

#[test]
fn a_slot_whose_envelope_opens_under_two_keys_opens_for_one_passphrase() {
    let vault = VaultId::make().unwrap();
    let words = [b"first guess".as_slice(), b"second guess"].map(|w| Passphrase::new(w).unwrap());
    let mut slot = slot_to_fill();
    let binding = binding(vault, &slot);
    let derived = words
        .each_ref()
        .map(|words| keys_of(&slot, words, &binding));
    let [(first, first_commitment), (second, second_commitment)] = &derived;
    assert_ne!(first_commitment, second_commitment);

    let envelope = envelope_for_both([first, second], binding.as_bytes(), 64);
    for kek in [first, second] {
        let sealed = Sealed::from_stored(envelope.as_bytes().to_vec());
        let opened = sealing::open(kek, binding.as_str(), sealed);
        assert_eq!(
            opened.expect("both keys open the envelope").expose().len(),
            64
        );
    }

    let mixed = std::array::from_fn(|at| match at {
        0..16 => first_commitment[at],
        _ => second_commitment[at],
    });
    slot.wraps[0].key = envelope.as_bytes().to_vec();
    for (commitment, expected) in [
        (*first_commitment, [true, false]),
        (*second_commitment, [false, true]),
        (mixed, [false, false]),
        ([0; 32], [false, false]),
    ] {
        slot.wraps[0].commitment = commitment;
        for (words, opens) in words.iter().zip(expected) {
            let opened = slot.open(vault, WrapPurpose::Standard, factors_of(words), || Ok(()));
            match opened {
                Ok(keys) => assert!(opens && keys.len() == 2),
                Err(error) => assert!(!opens && error.kind() == ErrorKind::UnlockFailed),
            }
        }
    }
}

/// A passphrase slot that holds no keys yet.
fn slot_to_fill() -> Slot {
    let wrap = Wrap {
        purpose: WrapPurpose::Standard,
        kdf: Some((KdfParameters::FLOOR, [4; 16])),
        share: None,
        salt: [5; 32],
        commitment: [0; 32],
        key: Vec::new(),
    };
    Slot {
        id: SlotId::make().unwrap(),
        kind: SlotKind::Passphrase,
        escrow: None,
        contact: None,
        wraps: vec![wrap],
    }
}

/// The associated data of the slot's one wrap, as spec 02 puts it together.
fn binding(vault: VaultId, slot: &Slot) -> String {
    let line = slot_line(slot.id, slot.kind);
    format!("vault {vault}\n{line}\n{}", slot.wraps[0].bound_line())
}

/// The key-encryption key and the commitment that a passphrase gives for the slot's one wrap.
fn keys_of(slot: &Slot, words: &Passphrase, binding: &str) -> (SecretKey, [u8; 32]) {
    let wrap = &slot.wraps[0];
    let joined = factors::gather(wrap, Purpose::Standard, factors_of(words), || Ok(())).unwrap();
    derive::slot_key(&wrap.salt, &joined, binding)
}

fn factors_of(words: &Passphrase) -> Factors<'_> {
    Factors {
        passphrase: Some(words),
        share: None,
        code: None,
    }
}
