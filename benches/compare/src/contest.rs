//! Rounds in rotated order, medians, and ratios of the same round.

use std::path::Path;

use super::peer::task::{BATCH, Outcome, Task};
use super::player::{Peer, Player};

/// One row of the table: what is measured and in what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
}

/// A metric at one size, for those who took part.
pub(crate) struct Line {
    pub(crate) metric: &'static Metric,
    pub(crate) size: u64,
    pub(crate) figures: Vec<Figure>,
}

/// One peer's figure, a median over the rounds.
pub(crate) struct Figure {
    pub(crate) peer: &'static Peer,
    pub(crate) median: f64,
    /// The medians of this peer's value by another's in the same round.
    pub(crate) to_plain: f64,
    pub(crate) to_vitalock: f64,
}

static BULK: Metric = metric(
    "bulk_insert",
    "insert, 1,000 a transaction, µs a record",
    "µs/record",
);
static SIZE: Metric = metric("file_size", "all files, MB", "bytes");

/// What is done to the filled store, how often in a round, and in how many rounds. What writes
/// comes last, so that the rest is of the size that was said.
static TASKS: [(Metric, Task, u64); 4] = [
    (
        metric("point_read", "read by identity, µs", "µs"),
        Task::Read(2_000),
        21,
    ),
    (
        metric("range_query", "query, 500 records of a time read, µs", "µs"),
        Task::Range(10),
        21,
    ),
    (
        metric(
            "cold_open",
            "open with the key, to the first record, µs",
            "µs",
        ),
        Task::Open(20),
        21,
    ),
    (
        metric("single_insert", "insert, each durable, µs", "µs"),
        Task::Single(50),
        21,
    ),
];

const fn metric(name: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric { name, title, unit }
}

/// Everything at one size.
pub(crate) fn contest(size: u64, scratch: &Path) -> Vec<Line> {
    let peers: Vec<_> = Peer::ALL.iter().filter(|peer| size <= peer.most).collect();
    let loads = if size > 100_000 { 3 } else { 5 };
    let (mut bulk, mut bytes) = (Rounds::of(&peers), Rounds::of(&peers));
    let mut filled = None;
    for round in 0..loads {
        eprintln!("{size} records: fill {} of {loads}", round + 1);
        // The processes of the round before end, and their files go, before the next ones come.
        drop(filled.take());
        let at = tempfile::tempdir_in(scratch).unwrap();
        let mut players: Vec<_> = peers.iter().map(|peer| peer.start(at.path())).collect();
        bulk.add(fill(&mut players, size));
        bytes.add(sizes(&mut players));
        filled = Some((players, at));
    }
    let (mut players, _at) = filled.expect("there was a round");
    let mut lines = vec![bulk.line(&BULK, size), bytes.line(&SIZE, size)];
    for (metric, task, rounds) in &TASKS {
        eprintln!("{size} records: {}", metric.title);
        let mut values = Rounds::of(&peers);
        for round in 0..*rounds {
            let outcomes = in_turn(&mut players, *task, round);
            values.add(outcomes.iter().map(|outcome| outcome.value).collect());
        }
        lines.push(values.line(metric, size));
    }
    lines
}

/// Fills every store, a slice at a time: what disturbs the machine for a while disturbs all of
/// them. A mean, because it is the mean that holds what emptying the log takes now and then.
fn fill(players: &mut [Player], size: u64) -> Vec<f64> {
    let slice = (size / 50 / BATCH * BATCH).max(BATCH);
    let mut spent = vec![0.0; players.len()];
    for (turn, first) in (0..size).step_by(slice as usize).enumerate() {
        let many = slice.min(size - first);
        let outcomes = in_turn(players, Task::Fill(many), turn as u64);
        for (spent, outcome) in spent.iter_mut().zip(outcomes) {
            *spent += outcome.value * many as f64;
        }
    }
    spent.iter().map(|spent| spent / size as f64).collect()
}

/// The bytes on disk. Those who seal must not have left a body in clear, and plain SQLite must:
/// else the comparison is of something else than it says.
fn sizes(players: &mut [Player]) -> Vec<f64> {
    let size = |player: &mut Player| {
        let outcome = player.run(Task::Size, 0);
        let expected = u64::from(player.peer.name == "plain");
        assert_eq!(outcome.answer, expected, "{} in clear", player.peer.title);
        outcome.value
    };
    players.iter_mut().map(size).collect()
}

/// Has everyone do a task, beginning with another one each round; the outcomes in usual order.
fn in_turn(players: &mut [Player], task: Task, round: u64) -> Vec<Outcome> {
    let mut outcomes = vec![None; players.len()];
    for turn in 0..players.len() {
        let at = (turn + round as usize) % players.len();
        outcomes[at] = Some(players[at].run(task, round));
    }
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    for (outcome, player) in outcomes.iter().zip(players) {
        let title = player.peer.title;
        assert_eq!(outcome.answer, outcomes[0].answer, "{title} found other");
    }
    outcomes
}

/// The values of every peer, round by round.
struct Rounds {
    peers: Vec<&'static Peer>,
    values: Vec<Vec<f64>>,
}

impl Rounds {
    fn of(peers: &[&'static Peer]) -> Self {
        Self {
            peers: peers.to_vec(),
            values: Vec::new(),
        }
    }

    fn add(&mut self, values: Vec<f64>) {
        self.values.push(values);
    }

    fn line(self, metric: &'static Metric, size: u64) -> Line {
        let place = |name| self.peers.iter().position(|peer| peer.name == name);
        let place = |name| place(name).expect("it always takes part");
        let (plain, vitalock) = (place("plain"), place("vitalock"));
        let figure = |(at, peer): (usize, &&'static Peer)| Figure {
            peer,
            median: median(self.values.iter().map(|round| round[at])),
            to_plain: median(self.values.iter().map(|round| round[at] / round[plain])),
            to_vitalock: median(self.values.iter().map(|round| round[at] / round[vitalock])),
        };
        let figures = self.peers.iter().enumerate().map(figure).collect();
        Line {
            metric,
            size,
            figures,
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}
