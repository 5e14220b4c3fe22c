//! What a vault's files tell to whoever has no key, and how much room they take.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a test may fail where it stands"
)]

#[path = "../../examples/support/footprint.rs"]
mod footprint;
#[path = "../support/mod.rs"]
mod support;

mod life;
mod room;
mod tells;
