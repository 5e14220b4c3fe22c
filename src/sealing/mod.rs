//! Authenticated encryption, bound to where the bytes live.
//!
//! **Does** turn a payload into a sealed envelope and back, under a key and a context.
//! **Never** does I/O, takes a nonce from outside, or hands out plaintext before its tag verified.
//! **Format** docs/spec/03-sealed-record.md, 06-page-seal.md, 10-inbox.md.

mod aead;
mod context;
mod envelope;
mod mail;
mod page;
mod reader;
#[cfg(test)]
pub(crate) mod vectors;

pub(crate) use context::{Context, Table};
pub(crate) use envelope::{Opened, Sealed, open, seal};
pub(crate) use mail::{Mail, collect, frame, frames, post, public_key};
pub(crate) use page::{PageSealer, Unit};
pub(crate) use reader::Reader;
