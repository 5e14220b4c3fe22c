//! Whether the bytes are exactly what others say they must be.
//!
//! **Does** run the published answers of XAES-256-GCM and AES-GCM, OpenSSL, and every way of
//! damaging, moving and colliding an envelope against the functions that the store itself calls.
//! **Never** judges one implementation by itself: where no published answer exists, `gcm` computes
//! it bit by bit from the standards.
//! **Format** docs/spec/03-sealed-record.md.
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a test that goes wrong here is meant to panic"
)]

pub(crate) mod collision;
mod gcm;
mod known_answers;
mod openssl;
mod places;
mod tamper;
mod wycheproof;

use std::convert::Infallible;
use std::io::Write;

use shake::{ExtendableOutput, Shake128, Shake128Reader, XofReader};

use super::Sealed;
use super::aead::{NONCE, TAG};
use crate::secret::SecretKey;

/// Test inputs that look random and are the same in every run: SHAKE-128 over a name.
struct Stream(Shake128Reader);

impl Stream {
    fn named(name: &[u8]) -> Self {
        let mut shake = Shake128::default();
        shake::Update::update(&mut shake, name);
        Self(shake.finalize_xof())
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read(&mut bytes);
        bytes
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read(&mut bytes);
        bytes
    }

    /// A number up to and including `most`.
    fn up_to(&mut self, most: usize) -> usize {
        usize::from(u16::from_le_bytes(self.array())) % (most + 1)
    }
}

fn key_of(bytes: [u8; 32]) -> SecretKey {
    let Ok(key) = SecretKey::fill::<Infallible>(|out| {
        *out = bytes;
        Ok(())
    });
    key
}

fn envelope_of(nonce: &[u8; NONCE], ciphertext: &[u8], tag: &[u8; TAG]) -> Sealed {
    Sealed::from_stored([&[1], &nonce[..], ciphertext, tag].concat())
}

/// Says that a test did not run. It goes past the test harness, which would swallow it.
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {why}").expect("standard error is open");
}
