//! What the peers of the FHIR contest share with each other and with the driver: the tasks, and the
//! loop that does them. A module that each of them takes in, as `peer` is.
#![allow(dead_code, reason = "each peer and the driver use their own part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a measurement may fail where it stands, and answers on its standard output"
)]

pub(crate) mod memory;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod task;
