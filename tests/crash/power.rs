//! Power is lost after any call of a life: whatever was acknowledged is there, and of the step under
//! way all or nothing.
//!
//! The fault medium is neither a hook in the library nor a VFS under it: the life is lived by a
//! process of its own, on the files and by the calls of every day, and what power may leave is
//! worked out from the record of these calls (`recording`, `medium`). So headers, locks and names
//! are under test as well as databases and logs, and what is tested is what is used.

use std::collections::VecDeque;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use crate::child::{Task, strace_works};
use crate::luck::Luck;
use crate::medium::{Broken, Cut, Image, Medium};
use crate::recording::{Op, Recording};
use crate::support::Scratch;
use crate::support::data::tell;
use crate::support::fixture::make_quick_vault;
use crate::sweep::soak;
use crate::verdict::{it_goes_on, judge, stands};

/// What lies on the medium after a cut, and how far the life had come.
struct Found {
    image: Arc<Image>,
    cut: String,
    acknowledged: u64,
    /// Whether it is to be written to as well.
    goes_on: bool,
}

/// Lives the first steps of a life in a child and records what it does to the files.
fn record_life(seed: u64, steps: u64) -> Recording {
    let scratch = Scratch::in_memory();
    drop(make_quick_vault(&scratch.vault(), true));
    let task = Task::Live {
        seed,
        from: 0,
        to: steps,
    };
    Recording::of(task, &scratch.vault(), &[])
}

/// The ways to lose power after one call.
fn cuts(medium: &Medium, luck: &mut Luck, chances: u64) -> Vec<Cut> {
    let mut cuts = vec![Cut::Lost, Cut::Kept];
    cuts.extend((0..chances).map(|_| Cut::Chance(luck.below(1 << 48))));
    if let Some(length) = medium.last_write() {
        let sectors = length.div_ceil(512).max(2);
        let mut places = match luck.percent(50) {
            true => vec![512 * (1 + luck.index(sectors - 1))],
            false => vec![1 + luck.index(length)],
        };
        if soak() {
            places.extend((1..sectors).map(|sector| sector * 512));
            places.extend([1, 23, 24, 4095, 4097, length - 1]);
        }
        // What was cut off or written before it and not flushed is lost, and its second half is not.
        let (keep, length) = (false, length.div_ceil(2));
        cuts.push(Cut::TornBefore { keep, length });
        for length in places {
            let keep = luck.percent(50);
            cuts.push(match luck.percent(70) {
                true => Cut::TornAfter { keep, length },
                false => Cut::TornBefore { keep, length },
            });
        }
    }
    cuts
}

/// Gives every image that power may leave of a recording to `look`, on several threads, up to the
/// first in which something is wrong; how many it looked at, and what was wrong.
fn sweep(
    recording: &Recording,
    broken: Broken,
    chances: u64,
    luck: &mut Luck,
    look: impl Fn(&Found) -> Result<(), String> + Sync,
) -> (usize, Option<String>) {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let (sender, receiver) = sync_channel::<Found>(2 * workers);
    let receiver = Mutex::new(receiver);
    let wrong = Mutex::new(None);
    let mut count = 0;
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = receiver.lock().unwrap().recv();
                    let Ok(found) = next else { return };
                    let looked = catch_unwind(AssertUnwindSafe(|| look(&found)));
                    let looked = looked.unwrap_or_else(|_| Err("panicked".to_owned()));
                    if let Err(what) = looked {
                        let (number, cut) = (found.acknowledged, &found.cut);
                        let what = format!("{number} steps acknowledged, {cut}: {what}");
                        wrong.lock().unwrap().get_or_insert(what);
                    }
                }
            });
        }
        let mut medium = Medium::before(recording, broken);
        let mut known = VecDeque::new();
        let mut acknowledged = 0;
        for (number, op) in recording.ops.iter().enumerate() {
            if let Op::Said(words) = op
                && let Some(done) = words.strip_prefix("done ")
            {
                acknowledged = done.parse().unwrap();
            }
            // Before the first flush that does nothing all is as it should be.
            if !medium.pass(op) || (broken != Broken::Nothing && !medium.was_deaf) {
                continue;
            }
            for cut in cuts(&medium, luck, chances) {
                let image = Arc::new(medium.image(cut));
                let known_already = (Arc::clone(&image), acknowledged);
                if known.contains(&known_already) {
                    continue;
                }
                known.push_front(known_already);
                known.truncate(KEPT);
                let cut = format!("{cut:?} after call {number}, {}", name_of(op));
                let found = Found {
                    image,
                    cut,
                    acknowledged,
                    goes_on: count % 8 == 0,
                };
                if wrong.lock().unwrap().is_some() || sender.send(found).is_err() {
                    return;
                }
                count += 1;
            }
        }
        drop(sender);
    });
    (count, wrong.into_inner().unwrap())
}

/// How many images are known again where they come once more.
const KEPT: usize = 16;

fn name_of(op: &Op) -> String {
    match op {
        Op::Write {
            inode,
            offset,
            bytes,
        } => format!("{} bytes at {offset} of file {inode}", bytes.len()),
        other => format!("{other:?}"),
    }
}

/// Puts an image where a vault can be opened.
pub(crate) fn lay_out(image: &Image, dir: &Path) {
    DirBuilder::new().mode(0o700).create(dir).unwrap();
    for (name, content) in image {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600);
        let mut file = file.open(dir.join(name)).unwrap();
        file.write_all(content).unwrap();
    }
}

fn verdict(found: &Found, seed: u64) -> Result<bool, String> {
    let scratch = Scratch::in_memory();
    lay_out(&found.image, &scratch.vault());
    let verdict = judge(&scratch.vault(), seed, found.acknowledged)?;
    if found.goes_on {
        let went_on = it_goes_on(&scratch.vault());
        went_on.map_err(|error| format!("does not go on: {:?}", error.kind()))?;
    }
    Ok(verdict)
}

#[test]
fn power_lost_after_any_call_takes_nothing_that_was_acknowledged() {
    if !strace_works() {
        return;
    }
    let lives = if soak() { 20 } else { 1 };
    let mut luck = Luck::new("what power leaves");
    let (mut images, mut calls) = (0, 0);
    let (before, after) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for _ in 0..lives {
        let seed = luck.below(1 << 48);
        let recording = record_life(seed, STEPS);
        assert_every_kind_of_call_is_there(&recording);
        calls += recording.count(|op| !matches!(op, Op::Said(_)));
        let chances = if soak() { 20 } else { 1 };
        let (looked_at, wrong) = sweep(&recording, Broken::Nothing, chances, &mut luck, |found| {
            let further = verdict(found, seed)?;
            let side = if further { &after } else { &before };
            side.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert!(wrong.is_none(), "life {seed}: {}", wrong.unwrap());
        images += looked_at;
    }
    let (before, after) = (before.into_inner(), after.into_inner());
    tell(&format!(
        "{calls} calls, {images} images: {before} as acknowledged, {after} a step further"
    ));
    assert!(before > 100 && after > 100, "both sides are met");
}

const STEPS: u64 = 19;

fn assert_every_kind_of_call_is_there(recording: &Recording) {
    for (what, least, count) in [
        (
            "writes",
            100,
            recording.count(|op| matches!(op, Op::Write { .. })),
        ),
        (
            "truncations",
            5,
            recording.count(|op| matches!(op, Op::Truncate(..))),
        ),
        (
            "flushes",
            50,
            recording.count(|op| matches!(op, Op::Sync(_))),
        ),
        (
            "flushes of names",
            6,
            recording.count(|op| matches!(op, Op::SyncDirectory)),
        ),
        (
            "new names",
            6,
            recording.count(|op| matches!(op, Op::Create(..))),
        ),
        (
            "renames",
            6,
            recording.count(|op| matches!(op, Op::Rename { .. })),
        ),
        (
            "removals",
            6,
            recording.count(|op| matches!(op, Op::Unlink(_))),
        ),
    ] {
        assert!(count >= least, "{count} {what}");
    }
}

/// The same with flushes that do nothing: what was acknowledged is lost, and it is noticed. Every
/// kind of flush is needed, and for every one a missing one would be found.
#[test]
fn without_any_one_kind_of_flush_something_is_lost_and_found_missing() {
    if !strace_works() {
        return;
    }
    let mut luck = Luck::new("what power leaves where nothing is flushed");
    let seed = luck.below(1 << 48);
    let recording = record_life(seed, STEPS);
    for broken in [
        Broken::EveryFlush,
        Broken::FlushOf("-wal"),
        Broken::FlushOf(".db"),
        Broken::FlushOf("draft"),
        Broken::FlushOfNames,
    ] {
        let (looked_at, lost) = sweep(&recording, broken, 2, &mut luck, |found| {
            verdict(found, seed).map(drop)
        });
        let first = lost.as_ref().and_then(|lost| lost.lines().next());
        tell(&format!(
            "{broken:?}: lost after {looked_at} images: {first:?}"
        ));
        assert!(first.is_some(), "{broken:?} goes unnoticed");
    }
}

/// Power is lost again while what it left the first time is put in order.
#[test]
fn power_lost_again_while_a_vault_recovers_takes_nothing_either() {
    if !strace_works() {
        return;
    }
    let mut luck = Luck::new("what power leaves twice");
    let seed = luck.below(1 << 48);
    let life = record_life(seed, STEPS);
    let mut left = Vec::new();
    let collected = Mutex::new(&mut left);
    sweep(&life, Broken::Nothing, 1, &mut luck, |found| {
        // A log with something in it has to be recovered.
        let mut logs = found
            .image
            .iter()
            .filter(|(name, _)| name.ends_with("-wal"));
        if logs.any(|(_, content)| content.len() > 72) {
            collected
                .lock()
                .unwrap()
                .push((Arc::clone(&found.image), found.acknowledged));
        }
        Ok(())
    });
    let firsts = if soak() { 200 } else { 4 };
    let (mut calls, mut images) = (0, 0);
    for _ in 0..firsts {
        let (image, acknowledged) = left.swap_remove(luck.index(left.len()));
        let scratch = Scratch::in_memory();
        lay_out(&image, &scratch.vault());
        let mut recording = Recording::of(Task::Open, &scratch.vault(), &[]);
        assert!(matches!(recording.ops.last(), Some(Op::Said(words)) if words == "opened"));
        calls += recording.count(|op| !matches!(op, Op::Said(_)));
        recording
            .ops
            .insert(0, Op::Said(format!("done {acknowledged}")));
        let (looked_at, wrong) = sweep(&recording, Broken::Nothing, 1, &mut luck, |found| {
            verdict(found, seed).map(drop)
        });
        assert!(wrong.is_none(), "life {seed}: {}", wrong.unwrap());
        images += looked_at;
    }
    tell(&format!(
        "{firsts} recoveries of {calls} calls, {images} images"
    ));
    assert!(images > 10 * firsts, "recovering changes files");
}

/// A vault whose making is cut short is a vault that its words open, or a place to make one.
#[test]
fn power_lost_while_a_vault_is_made_leaves_a_vault_or_a_place_for_one() {
    if !strace_works() {
        return;
    }
    let scratch = Scratch::in_memory();
    let recording = Recording::of(Task::Make, &scratch.vault(), &[]);
    let mut luck = Luck::new("what power leaves of a vault in the making");
    let (whole, again, passed) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let ready = recording
        .ops
        .iter()
        .position(|op| matches!(op, Op::Said(words) if words == "made"));
    let mut ops = recording.ops;
    ops.truncate(ready.unwrap());
    // The last call stands for all that come later.
    ops.insert(ops.len() - 1, Op::Said("done 1".to_owned()));
    let recording = Recording { ops, ..recording };
    let share = if soak() { 1 } else { 5 };
    let (images, wrong) = sweep(&recording, Broken::Nothing, 1, &mut luck, |found| {
        let number = passed.fetch_add(1, Ordering::Relaxed);
        let has_header = found.image.contains_key("header.2");
        if !number.is_multiple_of(share) && !has_header {
            return Ok(());
        }
        let scratch = Scratch::in_memory();
        lay_out(&found.image, &scratch.vault());
        match stands(&scratch.vault()) {
            Ok(true) => drop(whole.fetch_add(1, Ordering::Relaxed)),
            Ok(false) if found.acknowledged == 0 => drop(again.fetch_add(1, Ordering::Relaxed)),
            Ok(false) => return Err("no vault".to_owned()),
            Err(error) => return Err(format!("{:?}", error.kind())),
        }
        Ok(())
    });
    assert!(wrong.is_none(), "{}", wrong.unwrap());
    let (whole, again) = (whole.into_inner(), again.into_inner());
    tell(&format!(
        "{images} images: of those tried, {whole} were vaults and {again} were not yet"
    ));
    assert!(whole > 5 && again > 5);
}
