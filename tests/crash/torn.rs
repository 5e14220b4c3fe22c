//! A log that ends anywhere: the vault opens with the commits before the tear, and no others.

use std::fs::{self, OpenOptions};

use vitalock::{Class, Query, Record, Vault};

use crate::support::Scratch;
use crate::support::fixture::{copy, make_quick_vault, unlock};
use crate::sweep::soak;

const FRAME: u64 = 24 + 4096;
const LOG_HEADER: u64 = 72;

#[test]
fn a_log_torn_at_any_byte_gives_a_prefix_of_the_commits() {
    let scratch = Scratch::in_memory();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let mut commits = 0;
    for number in 0..6_u64 {
        // Some commits are one frame of body, some are many.
        let body = vec![b'x'; usize::try_from(number % 3).unwrap() * 5000];
        let record = Record::new(&format!("kind-{number}"), body).client(&number.to_string(), 1);
        session.put(record).unwrap();
        commits += 1;
    }
    let crashed = scratch.path().join("crashed");
    copy(&scratch.vault(), &crashed);
    drop((session, vault));

    let whole = fs::metadata(crashed.join("standard.db-wal")).unwrap().len();
    let frames = (whole - LOG_HEADER) / FRAME;
    assert!(
        frames > 20,
        "the log holds all the commits: {frames} frames"
    );
    let step = if soak() { 64 } else { 1024 };
    let mut cuts: Vec<u64> = (0..=whole).step_by(step).collect();
    for frame in 0..=frames {
        let boundary = LOG_HEADER + frame * FRAME;
        cuts.extend([boundary - 1, boundary, boundary + 1, boundary + 24]);
    }
    cuts.retain(|cut| *cut <= whole);
    cuts.push(whole);
    cuts.sort_unstable();
    cuts.dedup();

    let mut least = 0;
    for cut in cuts {
        let torn = scratch.path().join("torn");
        copy(&crashed, &torn);
        let log = OpenOptions::new()
            .write(true)
            .open(torn.join("standard.db-wal"));
        log.unwrap().set_len(cut).unwrap();
        let vault = Vault::open(&torn).unwrap();
        let session = unlock(&vault);
        let mut found: Vec<u64> = session
            .query(&Query::new().class(Class::Standard).first_updated_first())
            .map(|record| {
                record
                    .unwrap()
                    .client_identity()
                    .unwrap()
                    .0
                    .parse()
                    .unwrap()
            })
            .collect();
        found.sort_unstable();
        let count = found.len() as u64;
        assert_eq!(found, (0..count).collect::<Vec<_>>(), "cut at {cut}");
        assert!(
            count >= least,
            "a longer log has no fewer commits: cut at {cut}"
        );
        least = count;
        session.put(Record::new("later", "it goes on")).unwrap();
        drop((session, vault));
        fs::remove_dir_all(&torn).unwrap();
    }
    assert_eq!(least, commits, "the whole log has them all");
}
