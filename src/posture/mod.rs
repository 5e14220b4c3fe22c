//! How well this vault is protected, as far as it can be seen from here: findings with evidence.
//!
//! **Does** look at the files, the header and the process, say what it found and what to do about it,
//! and show that as JSON and as a page that a person can read.
//! **Never** reads a record, asks for a factor, or says that a law is complied with.
//! **Format** the JSON and the page are for reading; their fields are those of [`Finding`].

mod examine;
mod finding;
mod page;
mod slots;

pub use finding::{Finding, FindingState, Posture};

pub(crate) use examine::examine;
