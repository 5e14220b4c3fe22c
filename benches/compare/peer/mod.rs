//! What every peer of the comparison shares: the records, the tasks, and the line it answers on.
//!
//! Peers live in crates and processes of their own, because SQLite and SQLCipher cannot be linked
//! into one binary. So this is no crate but a module that each of them takes in.
#![allow(dead_code, reason = "each peer and the driver use their own part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a measurement may fail where it stands, and answers on its standard output"
)]

pub(crate) mod files;
pub(crate) mod lock;
#[path = "../../support/population.rs"]
pub(crate) mod population;
#[path = "../../support/question.rs"]
pub(crate) mod question;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod task;
