//! What can go wrong, said without a secret.
//!
//! **Does** name every failure by kind, in fixed words.
//! **Never** carries a passphrase, a key, a path, a record's content or another library's text.
//! **Format** none.

mod failure;
mod kind;

pub use failure::{Error, InvalidationReason, Result};
pub use kind::ErrorKind;
