//! A store in a process of its own.
//!
//! SQLite takes one allocator for a whole process, and a vault installs one that wipes. So each
//! store under measurement lives in a child of the bench, which does one thing when it is told to
//! and answers how long that took. Only one child is ever busy.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use super::bundles::bundles;
use super::clock::{Clock, Spent};
use super::plain::{Manner, Plain};
use super::population::{mix, observation, strangers};
use super::question::{Question, Shape};
use super::sealed::Sealed;
use super::store::{Cost, Files, Store};

/// What a child holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Hardened,
    Vitalock,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Hardened, Self::Vitalock];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Hardened => "hardened",
            Self::Vitalock => "vitalock",
        }
    }

    fn make(self, at: &Path) -> Box<dyn Store> {
        match self {
            Self::Plain => Box::new(Plain::make(at, Manner::Usual)),
            Self::Hardened => Box::new(Plain::make(at, Manner::Hardened)),
            Self::Vitalock => Box::new(Sealed::make(at)),
        }
    }
}

/// One thing to do and to time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// So many records, 1,000 in a transaction.
    Fill(u64),
    /// So many records, each in a transaction of its own.
    Single(u64),
    /// So many records in one transaction, each about a new person.
    Strangers(u64),
    /// So many reads by identity, here and there.
    Read(u64),
    /// So many queries of this shape, each up to so many records.
    Find(Shape, u64, u64),
    /// So many counts of this shape.
    Count(Shape, u64),
    /// Bundles into an empty store.
    Import,
    /// Opens so often, with a key at hand, up to the first record.
    Open(Files, u64),
    /// Opens with a passphrase of this cost.
    Unlock(Cost),
    /// The bytes on disk; takes no time.
    Size,
}

/// What came of a task. Every store must give the same `answer`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Microseconds for one of what was done.
    pub(crate) micros: f64,
    /// Microseconds of the processor's time.
    pub(crate) processor: f64,
    /// Something about what was read or written, such as how many bytes it was.
    pub(crate) answer: u64,
}

/// A child that holds a store.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    child: Child,
    tasks: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a child with an empty store below `at`.
    pub(crate) fn start(kind: Kind, at: &Path) -> Self {
        let at = at.join(kind.name());
        fs::create_dir(&at).unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args([CHILD, kind.name()])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tasks, outcomes) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            kind,
            child,
            tasks,
            outcomes: BufReader::new(outcomes),
        }
    }

    /// Has a task done. `round` varies what is asked, the same for every peer.
    pub(crate) fn run(&mut self, task: Task, round: u64) -> Outcome {
        writeln!(self.tasks, "{} {round}", task.to_words()).unwrap();
        let mut line = String::new();
        self.outcomes.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        let mut word = || words.next().expect("the child answers in three words");
        Outcome {
            micros: word().parse().unwrap(),
            processor: word().parse().unwrap(),
            answer: word().parse().unwrap(),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = writeln!(self.tasks, "end 0");
        _ = self.child.wait();
    }
}

/// Serves as a child where this process was started as one; whether it was.
pub(crate) fn served_as_child() -> bool {
    let arguments: Vec<_> = env::args().collect();
    let [_, child, kind, at] = arguments.as_slice() else {
        return false;
    };
    if child != CHILD {
        return false;
    }
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
    serve(kind.expect("the parent names a kind"), Path::new(at));
    true
}

const CHILD: &str = "--holds-a-store";

fn serve(kind: Kind, at: &Path) {
    let mut store = kind.make(at);
    let mut imports = 0;
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let Some((round, task)) = words
            .split_last()
            .and_then(|(round, task)| Some((round.parse::<u64>().ok()?, Task::of_words(task)?)))
        else {
            return;
        };
        let outcome = match task {
            Task::Import => {
                imports += 1;
                let fresh = at.join(format!("import-{imports}"));
                fs::create_dir(&fresh).unwrap();
                let outcome = import(kind.make(&fresh).as_mut());
                fs::remove_dir_all(&fresh).unwrap();
                outcome
            }
            _ => task.run(store.as_mut(), round),
        };
        println!(
            "{} {} {}",
            outcome.micros, outcome.processor, outcome.answer
        );
        stdout().flush().unwrap();
    }
}

impl Task {
    /// What is asked is made before the clock starts, and what is read is let go before it stops.
    fn run(self, store: &mut dyn Store, round: u64) -> Outcome {
        let size = store.len();
        let chance = |at: u64| mix(round << 32 | at);
        match self {
            Self::Fill(many) => {
                let mut spent = Spent::default();
                for first in (size..size + many).step_by(1_000) {
                    let records = (first..size + many).take(1_000).map(observation).collect();
                    let clock = Clock::start();
                    store.put(records);
                    spent += clock.stop();
                }
                outcome(spent, many, store.len())
            }
            Self::Single(many) => {
                let records: Vec<_> = (size..size + many).map(observation).collect();
                let clock = Clock::start();
                for record in records {
                    store.put(vec![record]);
                }
                outcome(clock.stop(), many, store.len())
            }
            Self::Strangers(many) => {
                let records = strangers(size..size + many);
                let clock = Clock::start();
                store.put(records);
                outcome(clock.stop(), many, store.len())
            }
            Self::Read(many) => {
                let numbers: Vec<_> = (0..many).map(|at| chance(at) % size).collect();
                let clock = Clock::start();
                let bytes: usize = numbers.into_iter().map(|number| store.read(number)).sum();
                outcome(clock.stop(), many, black_box(bytes) as u64)
            }
            Self::Find(shape, many, most) => {
                let questions = prepared(store, shape, many, chance);
                let (mut found, mut bytes) = (0, 0);
                let clock = Clock::start();
                for question in &questions {
                    let (records, length) = store.find(question, most as usize);
                    found += records;
                    bytes += length;
                }
                let spent = clock.stop();
                assert!(found > 0, "a question finds something");
                outcome(spent, many, black_box(found + bytes) as u64)
            }
            Self::Count(shape, many) => {
                let questions = prepared(store, shape, many, chance);
                let clock = Clock::start();
                let counted = questions.iter().map(|question| store.count(question)).sum();
                outcome(clock.stop(), many, counted)
            }
            Self::Import => import(store),
            Self::Open(files, many) => {
                let (mut spent, mut bytes) = (Spent::default(), 0);
                for at in 0..many {
                    store.close();
                    let clock = Clock::start();
                    bytes += store.open(chance(at) % size, files);
                    spent += clock.stop();
                }
                outcome(spent, many, bytes as u64)
            }
            Self::Unlock(cost) => {
                // The first makes what it needs besides.
                store.close();
                store.unlock(cost);
                store.close();
                let clock = Clock::start();
                store.unlock(cost);
                let spent = clock.stop();
                store.close();
                store.open(0, Files::One);
                outcome(spent, 1, 0)
            }
            Self::Size => Outcome {
                micros: store.bytes_on_disk() as f64,
                processor: 1.0,
                answer: 0,
            },
        }
    }

    fn to_words(self) -> String {
        match self {
            Self::Fill(many) => format!("fill {many}"),
            Self::Single(many) => format!("single {many}"),
            Self::Strangers(many) => format!("strangers {many}"),
            Self::Read(many) => format!("read {many}"),
            Self::Find(shape, many, most) => format!("find {} {many} {most}", shape.name()),
            Self::Count(shape, many) => format!("count {} {many}", shape.name()),
            Self::Import => "import".to_owned(),
            Self::Open(Files::One, many) => format!("open one {many}"),
            Self::Open(Files::Two, many) => format!("open two {many}"),
            Self::Unlock(Cost::Default) => "unlock default".to_owned(),
            Self::Unlock(Cost::Floor) => "unlock floor".to_owned(),
            Self::Size => "size".to_owned(),
        }
    }

    fn of_words(words: &[&str]) -> Option<Self> {
        Some(match *words {
            ["fill", many] => Self::Fill(many.parse().ok()?),
            ["single", many] => Self::Single(many.parse().ok()?),
            ["strangers", many] => Self::Strangers(many.parse().ok()?),
            ["read", many] => Self::Read(many.parse().ok()?),
            ["find", shape, many, most] => Self::Find(
                Shape::of_name(shape)?,
                many.parse().ok()?,
                most.parse().ok()?,
            ),
            ["count", shape, many] => Self::Count(Shape::of_name(shape)?, many.parse().ok()?),
            ["import"] => Self::Import,
            ["open", "one", many] => Self::Open(Files::One, many.parse().ok()?),
            ["open", "two", many] => Self::Open(Files::Two, many.parse().ok()?),
            ["unlock", "default"] => Self::Unlock(Cost::Default),
            ["unlock", "floor"] => Self::Unlock(Cost::Floor),
            ["size"] => Self::Size,
            _ => return None,
        })
    }
}

fn prepared(
    store: &mut dyn Store,
    shape: Shape,
    many: u64,
    chance: impl Fn(u64) -> u64,
) -> Vec<Question> {
    let size = store.len();
    let questions = (0..many).map(|at| Question::of(shape, chance(at), size));
    let questions: Vec<_> = questions.collect();
    for question in &questions {
        store.prepare(question);
    }
    questions
}

/// Where there are several bundles the first is not timed: an app imports into a store in use.
fn import(store: &mut dyn Store) -> Outcome {
    static BUNDLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let bundles = BUNDLES.get_or_init(|| bundles(MOST_BUNDLES));
    let (before, timed) = bundles.split_at(usize::from(bundles.len() > 1));
    for bundle in before {
        store.import(bundle);
    }
    let clock = Clock::start();
    let resources: usize = timed.iter().map(|bundle| store.import(bundle)).sum();
    outcome(clock.stop(), resources as u64, resources as u64)
}

fn outcome(spent: Spent, many: u64, answer: u64) -> Outcome {
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / many as f64;
    Outcome {
        micros: each(spent.wall),
        processor: each(spent.processor),
        answer,
    }
}

const MOST_BUNDLES: usize = 6;
