//! A flush that fails, and has lost what it was to make durable although the process goes on seeing
//! it; and then power is lost as well.

use vitalock::Class;

use crate::change::{Change, Start, try_reopen};
use crate::child::{Task, calls, strace_works};
use crate::luck::Luck;
use crate::medium::{Broken, Cut, Medium};
use crate::recording::{Op, Recording};
use crate::support::Scratch;
use crate::support::data::tell;
use crate::sweep::{points, soak};

#[test]
fn a_flush_that_fails_and_loses_what_it_was_given_loses_nothing_that_was_acknowledged() {
    if !strace_works() {
        return;
    }
    let start = Start::make();
    let mut luck = Luck::new("what power leaves after a failed flush");
    let changes = [
        Change::Put,
        Change::PutInThreeClasses,
        Change::Move(Class::Emergency, Class::Priority),
        Change::EraseSubject,
        Change::AddTouch,
    ];
    let (mut failed, mut images, mut refused) = (0, 0, 0);
    for change in changes {
        let (before, after) = start.before_and_after(change);
        for name in ["fdatasync", "fsync"] {
            let counted = start.copy();
            for at in points(calls(change, &counted.vault(), name), 5) {
                let scratch = start.copy();
                let inject = format!("inject={name}:error=EIO:when={at}");
                let task = Task::Change(change);
                let recording = Recording::of(task, &scratch.vault(), &["-e", &inject]);
                failed += recording.count(|op| matches!(op, Op::FailedSync(_)));
                let mut medium = Medium::before(&recording, Broken::Nothing);
                let mut answered: Vec<&str> = Vec::new();
                for (number, op) in recording.ops.iter().enumerate() {
                    if let Op::Said(words) = op {
                        answered.push(words);
                    }
                    if !medium.pass(op) || !luck.percent(if soak() { 100 } else { 20 }) {
                        continue;
                    }
                    for cut in [Cut::Lost, Cut::Chance(luck.below(1 << 48))] {
                        let there = Scratch::in_memory();
                        crate::power::lay_out(&medium.image(cut), &there.vault());
                        let here = format!("{change:?}, {inject}, {cut:?} after call {number}");
                        let found = try_reopen(&there.vault());
                        let found = found.unwrap_or_else(|error| panic!("{here}: {error}"));
                        let has_later = found.seen.contains_key("later");
                        let found = found.without("later");
                        let done = answered.contains(&"outcome ok");
                        assert!(found == after || (!done && found == before), "{here}");
                        assert!(has_later || !answered.contains(&"later ok"), "{here}");
                        images += 1;
                    }
                }
                refused += usize::from(!answered.contains(&"outcome ok"));
            }
        }
    }
    tell(&format!(
        "{failed} flushes failed, {refused} changes refused, {images} images"
    ));
    assert!(failed > 5 && refused > 2 && images > 100);
}
