//! What the public API promises, one file for each room.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may fail where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

mod erasure;
mod review;
mod story;
