//! What the measurements share: one population of records, the stores that hold it, and processes
//! of their own for those stores.
#![allow(dead_code, reason = "each bench uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a measurement may fail where it stands, and tells what it found"
)]
#![expect(
    clippy::disallowed_types,
    reason = "a measurement lasts seconds, awake"
)]

pub(crate) mod bundles;
pub(crate) mod clock;
pub(crate) mod peer;
pub(crate) mod plain;
pub(crate) mod population;
pub(crate) mod question;
pub(crate) mod referred;
pub(crate) mod report;
pub(crate) mod sealed;
#[path = "../../tests/support/mod.rs"]
pub(crate) mod shared;
pub(crate) mod sql;
pub(crate) mod store;
