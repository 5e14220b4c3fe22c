//! A peer at work: it does what it is told on standard input, and answers how long that took.
#![expect(
    clippy::disallowed_types,
    reason = "a measurement lasts seconds, awake"
)]

use std::env;
use std::hint::black_box;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use super::files;
use super::population::{mix, observation};
use super::question::{Question, Shape};
use super::store::Store;
use super::task::{BATCH, Outcome, Task};

/// Makes a store in the directory that the driver names, and serves until it hangs up.
pub(crate) fn serve<S: Store>() {
    let directory = env::args_os().nth(1).expect("the driver names a directory");
    let directory = Path::new(&directory);
    let mut store = S::make(directory);
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let [name, many, round] = words.as_slice() else {
            panic!("the driver speaks in three words");
        };
        let task = Task::of_words(name, many).expect("the driver knows the tasks");
        let answer = match task {
            Task::Version => store.version(),
            _ => run(task, &mut store, directory, round.parse().unwrap()).to_words(),
        };
        println!("{answer}");
        stdout().flush().unwrap();
    }
    store.close();
}

/// What is asked is made before the clock starts, and what is read is let go before it stops.
fn run(task: Task, store: &mut impl Store, directory: &Path, round: u64) -> Outcome {
    let size = store.len();
    let chance = |at: u64| mix(round << 32 | at);
    match task {
        Task::Fill(many) => {
            let mut spent = Duration::ZERO;
            for first in (size..size + many).step_by(BATCH as usize) {
                let batch = first..(first + BATCH).min(size + many);
                let records = batch.map(observation).collect();
                let clock = Instant::now();
                store.put(records);
                spent += clock.elapsed();
            }
            outcome(spent, many, store.len())
        }
        Task::Open(many) => {
            let (mut spent, mut bytes) = (Duration::ZERO, 0);
            for at in 0..many {
                store.close();
                let clock = Instant::now();
                store.open();
                bytes += store.read(chance(at) % size);
                spent += clock.elapsed();
            }
            outcome(spent, many, black_box(bytes) as u64)
        }
        Task::Range(many) => {
            let times: Vec<_> = (0..many).map(|at| time(chance(at), size)).collect();
            let (mut found, mut bytes) = (0, 0);
            let clock = Instant::now();
            for (from, until) in times {
                let (records, length) = store.range(from, until);
                found += records;
                bytes += length;
            }
            outcome(clock.elapsed(), many, black_box(found + bytes) as u64)
        }
        Task::Read(many) => {
            let numbers: Vec<_> = (0..many).map(|at| chance(at) % size).collect();
            let clock = Instant::now();
            let bytes: usize = numbers.into_iter().map(|number| store.read(number)).sum();
            outcome(clock.elapsed(), many, black_box(bytes) as u64)
        }
        Task::Single(many) => {
            let records: Vec<_> = (size..size + many).map(observation).collect();
            let clock = Instant::now();
            for record in records {
                store.put(vec![record]);
            }
            outcome(clock.elapsed(), many, store.len())
        }
        Task::Size => {
            store.close();
            let files = files::below(directory);
            store.open();
            Outcome {
                value: files::bytes(&files) as f64,
                answer: files.iter().any(|file| files::is_in_clear(file)).into(),
            }
        }
        Task::Version => unreachable!("it is answered with a name"),
    }
}

/// The `number`-th stretch of time that holds 500 records.
fn time(number: u64, size: u64) -> (i64, i64) {
    match Question::of(Shape::Window, number, size) {
        Question::Window { from, until } => (from, until),
        _ => unreachable!("the shape is a window"),
    }
}

fn outcome(spent: Duration, many: u64, answer: u64) -> Outcome {
    Outcome {
        value: spent.as_secs_f64() * 1e6 / many as f64,
        answer,
    }
}
