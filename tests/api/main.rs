//! What the public API promises, one file for each room.

#[path = "../support/mod.rs"]
mod support;

mod story;
