//! What the public API promises, one file for each room.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test may fail where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

mod anchor;
mod audit;
mod auditor;
mod concurrency;
mod contacts;
mod credentials;
mod deposits;
mod erasure;
mod footprint;
mod forged;
mod lifecycle;
mod memory_only;
mod model;
mod others;
mod posture;
mod query;
mod records;
mod recovery;
mod room;
mod shares;
mod slots;
mod story;
mod swap;
mod unruly;
