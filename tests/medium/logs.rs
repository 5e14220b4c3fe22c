//! A log that is not as it was left: it ends before whatever was changed, at the last commit that
//! stands there whole.

use std::sync::OnceLock;

use vitalock::ErrorKind;

use crate::answers::{All, Verdict, compare};
use crate::flips::places;
use crate::populated::{Place, Populated, populated};
use crate::soak;
use crate::support::fixture::DATABASES;
use crate::support::spec::pages::{FRAME, LOG_HEADER, TAIL};

const HEADER: usize = LOG_HEADER + TAIL;

/// The logs of the open vault, and what each class answers where its log ends after so many frames.
struct Logs {
    made: &'static Populated,
    classes: [OfClass; 3],
}

struct OfClass {
    log: String,
    frames: usize,
    ends: Vec<All>,
}

fn logs() -> &'static Logs {
    static MADE: OnceLock<Logs> = OnceLock::new();
    MADE.get_or_init(Logs::make)
}

impl Logs {
    fn make() -> Self {
        let made = populated();
        let place = Place::new(&made.open);
        let classes = std::array::from_fn(|at| {
            let log = format!("{}-wal", DATABASES[at]);
            let plain = made.plain_log(at);
            let mut ends = Vec::new();
            let end = |frames: usize| {
                place.put(&made.open);
                place.write(&log, &made.open[&log][..HEADER + frames * FRAME]);
                made.questions.ask(&place.dir())
            };
            ends.push(end(0));
            let frames = plain[LOG_HEADER..].chunks_exact(FRAME);
            let count = frames.len();
            for (frame, number) in frames.zip(1..) {
                let commits = frame[4..8] != [0; 4];
                let all = if commits {
                    end(number)
                } else {
                    ends[number - 1].clone()
                };
                ends.push(all);
            }
            OfClass {
                log,
                frames: count,
                ends,
            }
        });
        Self { made, classes }
    }

    /// Changes a class's log; the vault answers as if it ended after so many frames.
    fn assert_ends(
        &self,
        place: &Place,
        at: usize,
        frames: usize,
        change: impl FnOnce(&mut Vec<u8>),
        what: &str,
    ) {
        let of_class = &self.classes[at];
        let mut log = self.made.open[&of_class.log].clone();
        change(&mut log);
        place.put(&self.made.open);
        place.write(&of_class.log, &log);
        let all = self.made.questions.ask(&place.dir());
        assert!(
            all == of_class.ends[frames],
            "{}, {what}: not the commits of {frames} frames",
            of_class.log
        );
    }
}

/// Where a frame lies, the first at 0.
fn frame(at: usize) -> std::ops::Range<usize> {
    HEADER + at * FRAME..HEADER + (at + 1) * FRAME
}

#[test]
fn a_log_that_ends_after_any_frame_gives_a_commit_of_its_class_and_all_of_the_others() {
    let logs = logs();
    let tampering = Some(ErrorKind::TamperDetected);
    for (at, of_class) in logs.classes.iter().enumerate() {
        let states = &logs.made.states[at];
        let mut met = Vec::new();
        let mut waiting = 0;
        for (frames, all) in of_class.ends.iter().enumerate() {
            let what = format!("{} after {frames} frames", of_class.log);
            let mut answers = all.iter().flat_map(|answers| answers.values());
            if answers.all(|answer| answer.failure == tampering) {
                // What the lowest class left for the others was done by them long ago.
                waiting += 1;
                continue;
            }
            let state = states.iter().position(|state| *state == all[at]);
            met.push(state.unwrap_or_else(|| panic!("{what}: a state that never was")));
            for other in (0..3).filter(|other| *other != at) {
                let verdict = compare(&all[other], &logs.made.answers[other]);
                assert_eq!(verdict, Verdict::Right, "{what}");
            }
        }
        assert!(met.is_sorted(), "{}", of_class.log);
        met.dedup();
        assert_eq!(
            met,
            (0..states.len()).collect::<Vec<_>>(),
            "{}",
            of_class.log
        );
        // The frames from the commit that leaves an intent to the end of the one that removes it.
        assert_eq!(waiting > 0, at == 0, "{}: {waiting}", of_class.log);
        assert!(waiting < 4, "{}: {waiting}", of_class.log);
    }
}

#[test]
fn a_log_ends_where_a_bit_was_flipped() {
    let logs = logs();
    let place = Place::new(&logs.made.open);
    for (at, of_class) in logs.classes.iter().enumerate() {
        for (byte, bit) in places(at, HEADER) {
            let flip = |log: &mut Vec<u8>| log[byte] ^= bit;
            logs.assert_ends(&place, at, 0, flip, &format!("byte {byte} of the header"));
        }
        for number in 0..of_class.frames {
            for (byte, bit) in places(number, FRAME) {
                let flip = |log: &mut Vec<u8>| log[frame(number)][byte] ^= bit;
                let what = format!("byte {byte} of frame {}", number + 1);
                logs.assert_ends(&place, at, number, flip, &what);
            }
        }
    }
}

#[test]
fn a_log_ends_where_a_frame_is_not_the_one_that_was_written_there() {
    let logs = logs();
    let place = Place::new(&logs.made.open);
    for (at, of_class) in logs.classes.iter().enumerate() {
        let log = &logs.made.open[&of_class.log];
        let older = &logs.made.older[&of_class.log];
        for number in 0..of_class.frames {
            let put = |ends: usize, what: &str, change: &dyn Fn(&mut Vec<u8>)| {
                let what = format!("{what} frame {}", number + 1);
                logs.assert_ends(&place, at, ends, change, &what);
            };
            let copy = |changed: &mut Vec<u8>, to: usize, from: &[u8]| {
                changed[frame(to)].copy_from_slice(from);
            };
            // Every frame has its turn, or all of them.
            let turn = |turn: usize| soak() || number % 5 == turn;
            if turn(0) {
                let cut = frame(number).start + 2077;
                put(number, "cut inside", &|log| log.truncate(cut));
            }
            if turn(1) {
                put(number, "zeros for", &|log| log[frame(number)].fill(0));
            }
            if turn(2) {
                put(number, "without", &|log| drop(log.drain(frame(number))));
            }
            if turn(3) {
                let from = &older[frame(number)];
                put(number, "an older log's", &|log| copy(log, number, from));
            }
            if turn(4) {
                let range = frame(0).start..frame(number).end;
                put(0, "an older log up to", &|log| {
                    log[range.clone()].copy_from_slice(&older[range.clone()]);
                });
            }
            let others = if soak() {
                (0..of_class.frames).collect()
            } else {
                vec![(number + 1) % of_class.frames]
            };
            for other in others.into_iter().filter(|other| *other != number) {
                let (one, two) = (&log[frame(number)], &log[frame(other)]);
                let named = format!("frame {} over", other + 1);
                put(number, &named, &|log| copy(log, number, two));
                let named = format!("frame {} in exchange for", other + 1);
                put(number.min(other), &named, &|log| {
                    copy(log, number, two);
                    copy(log, other, one);
                });
            }
        }
    }
}

#[test]
fn a_header_of_another_log_begins_a_log_without_frames() {
    let logs = logs();
    let place = Place::new(&logs.made.open);
    for (at, of_class) in logs.classes.iter().enumerate() {
        let older = &logs.made.older[&of_class.log];
        let other = &logs.made.open[&logs.classes[(at + 1) % 3].log];
        let header = |from: &[u8]| {
            let from = from[..HEADER].to_vec();
            move |log: &mut Vec<u8>| log[..HEADER].copy_from_slice(&from)
        };
        logs.assert_ends(&place, at, 0, header(older), "the header of an older log");
        logs.assert_ends(
            &place,
            at,
            0,
            header(other),
            "the header of another class's log",
        );
        logs.assert_ends(
            &place,
            at,
            0,
            header(&[0; HEADER]),
            "zeros instead of the header",
        );
        for length in [0, 1, 31, 32, 71, 72] {
            logs.assert_ends(
                &place,
                at,
                0,
                |log| log.truncate(length),
                "cut inside the header",
            );
        }
        // What stands behind the last commit counts for nothing.
        let behind = older[frame(of_class.frames)].to_vec();
        logs.assert_ends(
            &place,
            at,
            of_class.frames,
            |log| log.extend(behind),
            "older frames behind the end",
        );
        logs.assert_ends(
            &place,
            at,
            of_class.frames,
            |log| log.extend([7; 5000]),
            "bytes behind the end",
        );
        logs.assert_ends(
            &place,
            at,
            of_class.frames,
            |log| log.extend_from_within(frame(3)),
            "a frame behind the end",
        );
    }
}
