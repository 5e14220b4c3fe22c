//! The only door to randomness.
//!
//! **Does** read the operating system's generator.
//! **Never** falls back to anything else, keeps a pool, or seeds a generator of its own.
//! **Format** none.

use crate::error::{ErrorKind, Result};

/// Fills `bytes` from the operating system's random source.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|_| ErrorKind::RandomUnavailable.into())
}

/// Makes a public random value, such as a salt or a nonce.
pub(crate) fn make<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}
