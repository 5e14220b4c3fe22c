//! After locking, no key, no passphrase and no plaintext is left in the process's memory (R-80,
//! another process uses a vault in many ways and stops on the way, and this one searches
//! all of its memory for every secret that a second reader of the format finds.
//!
//! The secrets are searched for in pieces of 16 bytes anywhere and of 8 bytes where words lie, so a
//! quarter of a key counts. What a stopped thread has in its registers is not searched.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may fail where it stands"
)]

use std::process::Command;

mod canary;
mod child;
#[path = "../support/data.rs"]
mod data;
mod dump;
mod link;
mod needles;
mod parent;
mod person;
mod shapes;
#[path = "../support/spec/mod.rs"]
mod spec;

/// One test for each way of using a vault, and the table by which the other process finds it.
macro_rules! shapes {
    ($($name:ident => $shape:path,)+) => {
        $(
            #[test]
            fn $name() {
                parent::watch(stringify!($name));
            }
        )+

        fn shape(name: &str) -> fn(&child::Child) {
            match name {
                $(stringify!($name) => $shape,)+
                "control" => shapes::proof::control,
                "leak" => shapes::proof::leak,
                "protection" => shapes::proof::protection,
                "sqlite first" => shapes::proof::sqlite_first,
                _ => panic!("there is no such shape"),
            }
        }
    };
}

shapes! {
    unlocking_by_passphrase_and_share_leaves_nothing => shapes::unlocking::primary,
    unlocking_by_biometric_leaves_nothing => shapes::unlocking::biometric,
    unlocking_by_passphrase_alone_leaves_nothing => shapes::unlocking::passphrase,
    unlocking_for_an_emergency_leaves_nothing => shapes::unlocking::emergency,
    unlocking_by_a_contact_leaves_nothing => shapes::unlocking::contact,
    recovering_by_code_and_passphrase_leaves_nothing => shapes::recovering::recovery_by_passphrase,
    recovering_by_code_and_share_leaves_nothing => shapes::recovering::recovery_by_share,
    recovering_by_code_alone_leaves_nothing => shapes::recovering::recovery_by_code,
    wrong_factors_before_the_right_ones_leave_nothing => shapes::unlocking::wrong_factors,
    unlocking_again_and_again_leaves_nothing => shapes::unlocking::many_unlocks,
    making_a_vault_leaves_nothing => shapes::making::setup,
    making_a_vault_with_many_lanes_leaves_nothing => shapes::making::setup_with_lanes,
    small_and_large_bodies_leave_nothing => shapes::writing::sizes,
    a_batch_over_all_classes_leaves_nothing => shapes::writing::batch,
    a_batch_that_is_rolled_back_leaves_nothing => shapes::writing::rollback,
    writes_that_are_refused_leave_nothing => shapes::writing::refused_writes,
    revisions_and_their_history_leave_nothing => shapes::writing::history,
    a_record_that_moves_between_classes_leaves_nothing => shapes::writing::move_between_classes,
    getting_many_and_reading_matches_to_the_end_leaves_nothing => shapes::reading::full_reads,
    an_iterator_left_half_way_and_kept_leaves_nothing => shapes::reading::abandoned_iterator,
    an_iterator_of_a_lease_that_ended_holds_nothing => shapes::reading::abandoned_lease_iterator,
    paging_with_cursors_leaves_nothing => shapes::reading::cursors,
    erasing_a_record_leaves_nothing => shapes::erasing::erase,
    erasing_a_person_takes_the_key_out_of_memory_at_once => shapes::erasing::erase_subject,
    keeping_within_quotas_leaves_nothing => shapes::erasing::quotas,
    removing_what_has_expired_leaves_nothing => shapes::erasing::expiry,
    ending_a_lease_takes_the_priority_keys_out_of_memory_at_once => shapes::leasing::lease,
    depositing_for_priority_leaves_nothing => shapes::leasing::deposits,
    a_lease_left_open_while_the_session_locks_leaves_nothing => shapes::leasing::lock_under_lease,
    a_session_that_nobody_ends_leaves_nothing_when_its_limit_is_reached => shapes::expiring::idle,
    pausing_leaves_the_everyday_keys_and_nothing_else => shapes::expiring::paused,
    importing_fhir_leaves_nothing => shapes::importing::fhir,
    many_threads_that_read_and_stay_leave_nothing => shapes::threading::threads,
    threads_that_end_and_one_that_panics_leave_nothing => shapes::threading::ended_threads,
    locking_while_others_read_leaves_nothing => shapes::threading::lock_under_load,
    changing_the_passphrase_leaves_nothing => shapes::slots::new_passphrase,
    adding_and_removing_slots_leaves_nothing => shapes::slots::slots,
    renewing_the_recovery_code_leaves_nothing => shapes::slots::new_code,
    rows_that_were_tampered_with_leave_nothing => shapes::writing::tampered,
    dropping_without_locking_leaves_nothing => shapes::threading::dropped,
    clones_of_a_session_that_outlive_it_hold_nothing => shapes::threading::clones,
}

/// What the other tests start as a process of its own.
#[test]
#[ignore = "the other tests start it"]
fn another_process() {
    child::run();
}

#[test]
fn every_secret_is_found_while_it_should_be_there() {
    let Some(outcome) = parent::watch("control") else {
        return;
    };
    let mut expected = vec![
        "everyday words as typed".to_owned(),
        "everyday words in NFC".to_owned(),
    ];
    for class in 1..=3 {
        for key in [
            "class key",
            "header MAC key",
            "subject-wrap key",
            "terms key",
            "settings key",
            "intents key",
            "cursor key",
            "blind key",
            "subject key",
        ] {
            expected.push(format!("{key} of class {class}"));
        }
        for field in canary::Field::ALL {
            expected.push(format!("{field:?} of class {class}"));
        }
        expected.push(format!("Body of class {class} as a word"));
    }
    for name in expected {
        assert!(outcome.found.contains(&name), "{name} was not found");
    }
}

#[test]
fn a_secret_that_is_kept_is_caught() {
    let command = Command::new(std::env::current_exe().unwrap());
    let Some(outcome) = parent::run("leak", command) else {
        return;
    };
    let planted = [
        "everyday words as typed",
        "everyday words as code points",
        "Body of class 1",
        "Subject of class 3",
        "primary standard: share",
    ];
    let is = |line: &str, name: &str| line.starts_with(&format!("locked: {name} "));
    for name in planted {
        let caught = outcome.violations.iter().any(|line| is(line, name));
        assert!(caught, "{name} was not caught");
    }
    for line in &outcome.violations {
        assert!(planted.iter().any(|name| is(line, name)), "{line}");
    }
}

#[test]
fn the_key_page_is_locked_and_left_out_of_dumps() {
    let Some(outcome) = parent::watch("protection") else {
        return;
    };
    assert_eq!(
        outcome.facts,
        ["locked true", "undumpable true", "wiped true"]
    );
    for flag in ["lo", "dd"] {
        assert!(
            outcome.key_page.iter().any(|has| has == flag),
            "{:?}",
            outcome.key_page
        );
    }
}

#[test]
fn where_sqlite_was_in_use_before_it_is_said_and_everything_works() {
    let Some(outcome) = parent::watch("sqlite first") else {
        return;
    };
    assert_eq!(
        outcome.facts,
        ["locked true", "undumpable true", "wiped false"]
    );
}

#[test]
fn without_locked_memory_it_is_said_and_everything_works() {
    // The right to lock any amount outlives the limit, so it goes as well.
    let limited = |program: &std::path::Path| {
        let mut command = Command::new("setpriv");
        command.args([
            "--inh-caps=-ipc_lock",
            "--bounding-set=-ipc_lock",
            "--no-new-privs",
        ]);
        command.args(["prlimit", "--memlock=0:0"]).arg(program);
        command
    };
    let possible = limited("true".as_ref()).status();
    if !possible.is_ok_and(|status| status.success()) {
        data::tell("SKIPPED: a process without locked memory: setpriv or prlimit does not do it");
        return;
    }
    let Some(outcome) = parent::run("protection", limited(&std::env::current_exe().unwrap()))
    else {
        return;
    };
    assert!(
        outcome.violations.is_empty(),
        "{}",
        outcome.violations.join("\n")
    );
    assert_eq!(
        outcome.facts,
        ["locked false", "undumpable true", "wiped true"]
    );
    assert!(!outcome.key_page.iter().any(|flag| flag == "lo"));
}
