//! Nothing of what is stored, and no secret, in any file, stream or message: after the
//! quickstart, in every state of a vault in use, and after a kill. First of all, that the search
//! finds what there is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail where it stands, and prints what it saw"
)]

#[path = "../support/canary.rs"]
mod canary;
mod child;
#[path = "../../examples/support/device_share.rs"]
mod device_share;
mod keys;
mod place;
mod program;
mod scanner;
#[path = "../support/mod.rs"]
mod support;
mod workflow;
