//! No crash is taken for an older copy: killed at any moment, an anchored vault opens, and what was
//! acknowledged is there.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vitalock::{Class, Query, Record, Vault};

use crate::process::{Talking, elsewhere, factors, say, told};
use crate::support::anchors::InFile;
use crate::support::data::tell;
use crate::support::{Scratch, options, words};

fn open(dir: &Path, anchor: &Path) -> Vault {
    let anchor = Arc::new(InFile(anchor.to_owned()));
    Vault::open(dir).unwrap().anchored(anchor)
}

/// Puts records, moves them between classes, changes the header and anchors, until it is killed.
pub(crate) fn live(dir: &Path, anchor: &Path) {
    assert!(told().is_some());
    let words = words();
    let vault = open(dir, anchor);
    let session = vault.unlock(&factors(&words)).unwrap();
    say("open");
    for number in 0_usize.. {
        let lease = session.step_up(&factors(&words)).unwrap();
        let class = Class::ALL[number % 3];
        let stored = lease.put(Record::new("Note", "body").class(class)).unwrap();
        say("put");
        if number % 2 == 0 {
            lease.anchor().unwrap();
        }
        if number % 3 == 0 {
            let record = lease.get(stored.id).unwrap().unwrap();
            lease.put(record.class(Class::Standard)).unwrap();
        }
        if number % 4 == 0 {
            lease.set_session_policy(vault.session_policy()).unwrap();
        }
    }
}

#[test]
fn no_kill_of_an_anchored_vault_is_taken_for_an_older_copy() {
    let scratch = Scratch::new();
    let anchor = scratch.path().join("anchor");
    let words = words();
    let options = options().anchor(Arc::new(InFile(anchor.clone())));
    let setup = Vault::create(scratch.vault(), options, factors(&words)).unwrap();
    drop(setup.dangerous_without_recovery().unwrap());
    let soak = std::env::var("VITALOCK_SOAK").is_ok_and(|soak| soak == "1");
    let kills = if soak { 1000 } else { 60 };
    let mut acknowledged = 0;
    let mut further = 0;
    for kill in 0..kills {
        let line = format!(
            "anchored\t{}\t{}",
            scratch.vault().display(),
            anchor.display()
        );
        let mut child = Talking::start(elsewhere(&line));
        assert_eq!(child.hear().as_deref(), Some("open"));
        // So that there is something to lose, however slow the machine is.
        for _ in 0..kill % 4 {
            assert_eq!(child.hear().as_deref(), Some("put"));
            acknowledged += 1;
        }
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        wait(Duration::from_micros(u16::from_le_bytes(random).into()));
        let said = child.kill_and_hear();
        acknowledged += said.iter().filter(|said| *said == "put").count();

        let vault = open(&scratch.vault(), &anchor);
        let session = vault.unlock(&factors(&words)).unwrap();
        let lease = session.step_up(&factors(&words)).unwrap();
        let count = lease.count(&Query::new()).unwrap();
        let ahead = usize::try_from(count).unwrap().checked_sub(acknowledged);
        let ahead = ahead.expect("what was acknowledged is there");
        assert!(ahead <= 1, "{ahead}");
        further += ahead;
        acknowledged += ahead;
    }
    tell(&format!(
        "{kills} kills of an anchored vault: {acknowledged} records, {further} of them not yet \
         acknowledged, and no alarm"
    ));
    assert!(acknowledged > kills);
}

#[expect(
    clippy::disallowed_methods,
    reason = "a moment to be killed at is a guess"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
