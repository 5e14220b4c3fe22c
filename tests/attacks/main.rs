//! The attackers of the threat model, at work: each attack is tried on a vault, where it has
//! to fail, and on a victim that is weaker in the one thing that stops it, where it has to succeed;
//! else it would show nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

mod device;
mod files;
mod table;
mod time;
mod victims;

/// What is done to a victim; whether the attacker has what they wanted.
fn try_both<V>(attack: impl Fn(&V) -> bool, vault: &V, weaker: &V) {
    assert!(!attack(vault), "the attack succeeds");
    assert!(
        attack(weaker),
        "the attack shows nothing: it fails where it should succeed"
    );
}
