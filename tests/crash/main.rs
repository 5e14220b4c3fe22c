//! What is left when the process is killed, the disk fails, or a file is torn: everything that was
//! acknowledged, and of anything else all or nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may fail where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

mod below;
mod change;
mod child;
mod fault;
mod flush;
mod kill;
mod life;
mod luck;
mod medium;
mod power;
mod recording;
mod replay;
mod sweep;
mod torn;
mod verdict;
