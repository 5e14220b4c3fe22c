//! The other process of this binary's tests.

use std::path::Path;

use vitalock::Vault;

use crate::process::{say, told};
use crate::support::fixture::{step_up, unlock};

#[test]
#[ignore = "the other process of this binary's tests"]
fn another_process() {
    let Some(told) = told() else { return };
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    match told[..] {
        ["live", dir] => crate::states::live(Path::new(dir)),
        ["shrink", dir] => shrink(Path::new(dir)),
        _ => panic!("told nothing that is known: {told:?}"),
    }
}

/// Shrinks, and says how it went and whether the session goes on.
fn shrink(dir: &Path) {
    let vault = Vault::open(dir).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    say("begin");
    let word = |result: vitalock::Result<u64>| {
        result.map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".to_owned())
    };
    say(&word(lease.shrink(u64::MAX)));
    say(&word(lease.count(&vitalock::Query::new())));
}
