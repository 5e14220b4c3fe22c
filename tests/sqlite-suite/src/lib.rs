//! The sealing VFS as the default one of SQLite's own test program.
//!
//! The rooms below are the crate's own source. What is added is a key that never changes, and a VFS
//! in front that lets SQLite's tests have the files which the product refuses.
#![allow(
    dead_code,
    unused_imports,
    reason = "the rooms are taken in whole, and only the VFS is used"
)]

#[path = "../../../src/class.rs"]
mod class;
#[path = "../../../src/error/mod.rs"]
mod error;
mod fs;
#[path = "../../../src/id.rs"]
mod id;
#[path = "../../../src/memory.rs"]
mod memory;
#[path = "../../../src/random.rs"]
mod random;
#[path = "../../../src/sealing/mod.rs"]
mod sealing;
#[path = "../../../src/secret.rs"]
mod secret;
mod storage;

pub use error::{Error, ErrorKind, Result};
