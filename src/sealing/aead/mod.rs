//! The AEAD of suite 1, XAES-256-GCM (C2SP), and the only folder that names a cipher.
//!
//! **Does** encrypt and decrypt in place, under one of two implementations of the same algorithm:
//! `rust_crypto` by default, `aws_lc` where the feature of that name is on.
//! **Never** leaves on the stack or in registers what a cipher had there, and never lets the choice
//! change a byte: `agreement` holds the two against each other.
//! **Format** docs/spec/03-sealed-record.md.

#[cfg(all(test, feature = "aws-lc"))]
mod agreement;
#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(any(test, not(feature = "aws-lc")))]
mod rust_crypto;
mod scrubbed;

pub(super) use scrubbed::{Message, NONCE, TAG, decrypt, encrypt, encrypt_each};
