//! Killed at any moment: whatever was acknowledged is there, byte for byte.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use vitalock::{Class, Query, Record, Vault};

use crate::child::{RECORDS, Task, record_of, spawn};
use crate::support::Scratch;
use crate::support::data::tell;
use crate::support::fixture::{assert_whole_and_settled, make_quick_vault, step_up, unlock};
use crate::sweep::soak;

/// After so many kills the vault has grown enough; a fresh one is taken.
const ROUNDS: u64 = 50;

#[test]
fn whatever_was_acknowledged_before_a_kill_is_there_byte_for_byte() {
    let kills: u64 = if soak() { 1_000 } else { 60 };
    let mut luck = Luck::new();
    let (mut done, mut unseen) = (0, 0);
    while done < kills {
        let scratch = Scratch::new();
        drop(make_quick_vault(&scratch.vault(), false));
        let mut next = 0;
        for _ in 0..ROUNDS.min(kills - done) {
            let acknowledged = put_until_killed(&scratch.vault(), next, &mut luck);
            let found = batches(&scratch.vault(), next);
            let mut after = next;
            for (number, records) in &found {
                assert_eq!(*number, after, "no batch is skipped");
                assert_eq!(records.len() as u64, RECORDS, "batch {number} is whole");
                for (at, found) in (0..).zip(records) {
                    let put = record_of(*number, at);
                    assert_eq!(found, &(put.protection_class(), put.body().to_vec()));
                }
                after += 1;
            }
            // One more batch may have become durable just before its acknowledgement.
            assert!(
                (acknowledged..=acknowledged + 1).contains(&after),
                "{acknowledged} {after}"
            );
            unseen += after - acknowledged;
            next = after;
            done += 1;
        }
        let all = batches(&scratch.vault(), 0);
        assert_eq!(all.len() as u64, next, "later kills took nothing away");
    }
    assert_eq!(done, kills);
    tell(&format!(
        "{kills} kills; {unseen} batches were durable and not yet acknowledged"
    ));
}

/// Lets a child put batches from `next` on and kills it; the first number not acknowledged.
fn put_until_killed(dir: &Path, next: u64, luck: &mut Luck) -> u64 {
    let mut child = spawn(Task::Batches(next), dir);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut wanted, mut acknowledged) = (luck.below(6), next);
    for line in lines {
        let line = line.unwrap();
        if let Some((_, number)) = line.split_once("VITALOCK put ") {
            acknowledged = number.parse::<u64>().unwrap() + 1;
        }
        if wanted == 0 {
            luck.dawdle();
            // What it still says before it dies is read below, to the end of the pipe.
            child.kill().unwrap();
        }
        wanted = wanted.saturating_sub(1);
    }
    child.wait().unwrap();
    acknowledged
}

/// The batches from `from` on, with each record's class and body, in the order of their places.
fn batches(dir: &Path, from: u64) -> BTreeMap<u64, Vec<(Class, Vec<u8>)>> {
    let vault = Vault::open(dir).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    let mut found: BTreeMap<u64, BTreeMap<u64, (Class, Vec<u8>)>> = BTreeMap::new();
    for record in lease.query(&Query::new()) {
        let record: Record = record.unwrap();
        let (client, _) = record.client_identity().unwrap();
        let (batch, at) = client.split_once('/').unwrap();
        let (batch, at) = (batch.parse().unwrap(), at.parse().unwrap());
        if batch >= from {
            let content = (record.protection_class(), record.body().to_vec());
            let doubled = found.entry(batch).or_default().insert(at, content);
            assert!(doubled.is_none(), "{client} is there once");
        }
    }
    drop(lease);
    session.lock();
    drop((session, vault));
    assert_whole_and_settled(dir);
    let in_order = |records: BTreeMap<u64, (Class, Vec<u8>)>| records.into_values().collect();
    let found = found.into_iter();
    found
        .map(|(batch, records)| (batch, in_order(records)))
        .collect()
}

/// Random numbers, from a seed that is printed.
struct Luck(u64);

impl Luck {
    fn new() -> Self {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        let seed = u64::from_le_bytes(seed) | 1;
        tell(&format!("the moments of the kills come from seed {seed}"));
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Lets a random part of a commit pass.
    fn dawdle(&mut self) {
        for _ in 0..self.below(3_000_000) {
            std::hint::spin_loop();
        }
    }
}
