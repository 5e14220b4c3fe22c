//! A peer of the FHIR contest at work: it does what it is told on standard input, and answers how
//! long that took.
#![expect(
    clippy::disallowed_types,
    reason = "a measurement lasts seconds, awake"
)]

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines, Write, stdin, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::memory;
use super::store::Store;
use super::task::{EVERYTHING, Outcome, PAGE, Task};
use crate::peer::files;

/// Makes a store in the directory that the driver names first, and serves until it hangs up. The
/// resources to put are the lines of the file that it names second.
pub(crate) fn serve<S: Store>() {
    let mut arguments = env::args_os().skip(1);
    let directory = arguments.next().expect("the driver names a directory");
    let resources = arguments.next().expect("the driver names the resources");
    let directory = Path::new(&directory);
    let mut resources = BufReader::new(File::open(resources).unwrap()).lines();
    let mut store = S::make(directory);
    for line in stdin().lock().lines() {
        let task = Task::of_line(&line.unwrap()).expect("the driver knows the tasks");
        let outcome = run(task, &mut store, directory, &mut resources);
        println!("{}", outcome.to_line());
        stdout().flush().unwrap();
    }
    store.close();
}

/// What is asked is made before the clock starts, and what is read is let go before it stops.
fn run<S: Store>(
    task: Task,
    store: &mut S,
    directory: &Path,
    resources: &mut Lines<BufReader<File>>,
) -> Outcome {
    match task {
        Task::Check { search, page } => Outcome::told(check(store, &search, page)),
        Task::Fill(many) => {
            let next: Vec<_> = resources.by_ref().take(many as usize).collect();
            let next: Vec<_> = next.into_iter().map(Result::unwrap).collect();
            let clock = Instant::now();
            let beforehand = store.put(&next);
            let spent = clock.elapsed();
            Outcome {
                beforehand: each(beforehand, next.len()),
                ..outcome(spent, next.len(), next.len() as u64)
            }
        }
        Task::Memory => Outcome::told(memory::peak().into()),
        Task::Open(search) => {
            store.close();
            let mut many = 0;
            let clock = Instant::now();
            store.open();
            ask(store, &search, 1, &mut |body| {
                black_box(body);
                many += 1;
            });
            outcome(clock.elapsed(), 1, many)
        }
        Task::Read(names) => {
            let mut bytes = 0;
            let clock = Instant::now();
            for name in &names {
                let (kind, id) = name.split_once('/').expect("a type and an id");
                store.read(kind, id, &mut |body| bytes += body.len() as u64);
            }
            outcome(clock.elapsed(), names.len(), black_box(bytes))
        }
        Task::Rows => Outcome::told(store.rows()),
        Task::Search { searches, page } => {
            if page > 1 {
                for search in &searches {
                    store.prepare(search, page);
                }
            }
            let mut many = 0;
            let clock = Instant::now();
            for search in &searches {
                ask(store, search, page, &mut |body| {
                    black_box(body);
                    many += 1;
                });
            }
            outcome(clock.elapsed(), searches.len(), many)
        }
        Task::Size => {
            store.close();
            let files = files::below(directory);
            assert!(!files.iter().any(|file| files::is_in_clear(file)), "sealed");
            let bytes = files::bytes(&files);
            store.open();
            Outcome::told(bytes.into())
        }
        Task::Version => Outcome::told(store.version().into()),
    }
}

/// A page of a search, or everything about a patient.
fn ask(store: &mut impl Store, asked: &str, page: u64, found: &mut dyn FnMut(&[u8])) {
    match asked.strip_suffix(EVERYTHING) {
        Some(patient) => store.everything(patient, found),
        None => store.search(asked, page, found),
    }
}

/// How many resources a search finds on all pages, which they are, and when those on one page were
/// so, in their order. Which of two of the same millisecond comes first is left to the store.
fn check(store: &mut impl Store, search: &str, page: u64) -> Value {
    let parse = |body: &[u8]| -> Value { serde_json::from_slice(body).unwrap() };
    let parameters = search.split('&').filter(|part| !part.starts_with("_count"));
    let whole = parameters.collect::<Vec<_>>().join("&");
    let (mut found, mut names) = (0_u64, 0_u64);
    ask(store, &whole, 1, &mut |body| {
        let resource = parse(body);
        found += 1;
        let name = format!("{}/{}", resource["resourceType"], resource["id"]);
        names = names.wrapping_add(digest(name.bytes()));
    });
    if !search.contains("_sort=-date") {
        return json!([found, names]);
    }
    if found < (page - 1) * PAGE {
        return json!([found, names, 0]);
    }
    if page > 1 {
        store.prepare(search, page);
    }
    let mut times = Vec::new();
    store.search(search, page, &mut |body| {
        let time = parse(body)["effectiveDateTime"].take();
        let time: Timestamp = time.as_str().unwrap().parse().unwrap();
        times.extend(time.as_millisecond().to_le_bytes());
    });
    json!([found, names, times.len() / 8, digest(times.into_iter())])
}

/// FNV-1a.
fn digest(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn each(spent: Duration, many: usize) -> f64 {
    spent.as_secs_f64() * 1e6 / many as f64
}

fn outcome(spent: Duration, many: usize, answer: u64) -> Outcome {
    Outcome {
        micros: each(spent, many),
        beforehand: 0.0,
        answer: answer.into(),
    }
}
