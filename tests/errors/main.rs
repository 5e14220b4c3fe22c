//! Every kind of error there is, made to happen, and none of them says what it must not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail where it stands"
)]

#[path = "../support/process.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;

mod canary;
mod child;
mod debug;
mod kinds;
