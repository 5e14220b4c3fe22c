//! What lies on the medium changed past SQLite: bytes, pages, frames, logs and whole files, while
//! the vault is closed and while it is open.
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::useless_format,
    dead_code,
    reason = "a test may fail where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod flips;
mod live;
mod logs;
mod older;
mod pages;
mod populated;
mod trees;
mod unnoticed;

/// Whether the long sweeps were asked for.
fn soak() -> bool {
    std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1")
}
