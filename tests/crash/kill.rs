//! Killed at any moment of a life: whatever was acknowledged is there, byte for byte.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::child::{Task, spawn};
use crate::luck::Luck;
use crate::support::Scratch;
use crate::support::data::tell;
use crate::support::fixture::{copy, make_quick_vault};
use crate::sweep::soak;
use crate::verdict::judge;

/// After so many kills a fresh vault is taken.
const ROUNDS: u64 = 50;
/// Vaults that are lived in at the same time.
const AT_ONCE: u64 = 2;

#[derive(Default)]
struct Count {
    kills: u64,
    /// Before the vault was open.
    early: u64,
    /// Steps that were acknowledged.
    steps: u64,
    /// Steps that were done and not acknowledged.
    further: u64,
}

#[test]
fn whatever_was_acknowledged_before_a_kill_is_there_byte_for_byte() {
    let kills: u64 = if soak() { 10_000 } else { 300 };
    let mut luck = Luck::new("the moments of the kills");
    let mut count = Count::default();
    std::thread::scope(|scope| {
        let seeds = (0..AT_ONCE).map(|_| luck.below(1 << 48));
        let workers: Vec<_> = seeds
            .map(|seed| scope.spawn(move || kill_often(kills / AT_ONCE, Luck::from(seed))))
            .collect();
        for worker in workers {
            let of_one = worker.join().unwrap();
            count.kills += of_one.kills;
            count.early += of_one.early;
            count.steps += of_one.steps;
            count.further += of_one.further;
        }
    });
    assert_eq!(count.kills, kills);
    let Count {
        early,
        steps,
        further,
        ..
    } = count;
    tell(&format!(
        "{kills} kills, {early} of them before the vault was open; {steps} steps were \
         acknowledged, {further} done and not yet acknowledged"
    ));
    assert!(steps > kills / 2 && early > 0 && further > 0);
}

fn kill_often(kills: u64, mut luck: Luck) -> Count {
    let mut count = Count::default();
    while count.kills < kills {
        let scratch = Scratch::new();
        drop(make_quick_vault(&scratch.vault(), true));
        let (seed, mut number) = (luck.below(1 << 48), 0);
        for _ in 0..ROUNDS.min(kills - count.kills) {
            let before = number;
            let opened = live_until_killed(&scratch.vault(), seed, &mut number, &mut luck);
            count.kills += 1;
            count.early += u64::from(!opened);
            count.steps += number - before;
            // A copy is looked at: the next process is to find the files as the kill left them.
            let left = Scratch::in_memory();
            copy(&scratch.vault(), &left.vault());
            let further = judge(&left.vault(), seed, number)
                .unwrap_or_else(|wrong| panic!("life {seed}, {number} steps: {wrong}"));
            // What one process could see, the next must see.
            number += u64::from(further);
            count.further += u64::from(further);
        }
    }
    count
}

/// Lets a child go on with a life from a step on, or from the next where that is done, and kills
/// it. The number becomes that of the first step that was not acknowledged; whether the vault was
/// open by then.
fn live_until_killed(dir: &Path, seed: u64, number: &mut u64, luck: &mut Luck) -> bool {
    let task = Task::Live {
        seed,
        from: *number,
        to: u64::MAX,
    };
    let mut child = spawn(task, dir);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut wanted, mut opened) = (luck.below(6), false);
    for line in lines {
        let line = line.unwrap();
        let Some((_, said)) = line.split_once("VITALOCK ") else {
            continue;
        };
        let mut words = said.split_whitespace();
        match (words.next(), words.next()) {
            (Some("living" | "done"), Some(step)) => {
                *number = step.parse().unwrap();
                opened = true;
            }
            _ => assert_eq!(said.trim(), "process"),
        }
        if wanted == 0 {
            dawdle(luck);
            // What it still says before it dies is read below, to the end of the pipe.
            child.kill().unwrap();
        }
        wanted = wanted.wrapping_sub(1);
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && status.code().is_none(), "{status}");
    opened
}

/// Lets a random part of a step pass.
fn dawdle(luck: &mut Luck) {
    for _ in 0..luck.below(1_500_000) {
        std::hint::spin_loop();
    }
}
