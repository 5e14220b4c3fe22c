//! What the vault does with a header that is not as it was left: damaged, exchanged, rolled back,
//! hostile, or half changed when the process died.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    reason = "a test may fail where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

mod elsewhere;
mod file_keystore;
mod files;
mod flips;
mod frozen;
mod interrupted;
mod parameters;
mod rollback;
mod splices;
