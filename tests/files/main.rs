//! What a vault is on disk, seen from outside: modes, names, system calls, locks, and what stands in
//! its way.
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

mod anchored;
mod attempts;
mod busy;
mod child;
mod full_disk;
mod interrupted;
mod modes;
mod planted;
mod randomness;
mod schema;
mod settings;
mod sleep;
mod system_calls;
mod trace;
mod tree;
