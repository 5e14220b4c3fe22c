//! What a vault's files tell to whoever has no key, and how much room they take.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::string_slice,
    dead_code,
    reason = "a test may fail where it stands"
)]

#[path = "../../examples/support/footprint.rs"]
mod footprint;
#[path = "../../benches/support/population.rs"]
mod population;
#[path = "../support/process.rs"]
mod process;
#[path = "../../benches/support/sql.rs"]
mod sql;
#[path = "../support/mod.rs"]
mod support;

mod child;
mod forks;
mod header;
mod killed;
mod life;
mod loose;
mod overhead;
mod program;
mod report;
mod room;
mod shrink;
mod states;
mod tells;
mod work;
