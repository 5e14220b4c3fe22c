//! The sealing VFS: every page and every frame of the log is sealed below SQLite.
//!
//! **Does** stand between SQLite and the files as one VFS for each open database, with its key; seal
//! what is written, open what is read, and keep finished frames together until their commit.
//! **Never** writes a byte in clear, opens a file that is neither database nor log, or answers a
//! read with what it cannot vouch for.
//! **Format** docs/spec/06-page-seal.md.

mod current;
mod database;
#[cfg(test)]
mod differential;
mod failure;
mod ffi;
mod log;
#[cfg(test)]
mod logic;
mod medium;
mod memory;
mod part;
#[cfg(test)]
mod refused;
#[cfg(test)]
pub(super) mod tests;
mod waiting;

pub(super) use database::Pages;
pub(super) use failure::RANDOM_UNAVAILABLE;
pub(super) use ffi::{SealedFile, SealingVfs, reserve_tail};
