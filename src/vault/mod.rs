//! The façade: a vault from outside.
//!
//! **Does** make, open, unlock and recover vaults, and say what may be known of a locked one.
//! **Never** reads or writes a record: a locked vault has no method for it.
//! **Format** the order in which a vault is made is in docs/spec/04-files.md.

#[cfg(test)]
mod expiry_tests;
mod handle;
mod options;
mod recovery;
#[cfg(test)]
mod scene;
mod setup;
#[cfg(test)]
mod step_up_tests;
#[cfg(test)]
mod throttle_tests;

pub use handle::Vault;
pub use options::Options;
pub use recovery::Recovery;
pub use setup::Setup;
