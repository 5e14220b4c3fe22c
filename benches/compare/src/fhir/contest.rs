//! Fills and searches in rotated order, medians, and ratios of the same round with their quartiles.

use std::path::Path;

use serde_json::Value;

use super::super::fhir_peer::task::{Outcome, PAGE, Task};
use super::super::player::{Peer, Player};
use super::questions::{Question, names, questions};
use super::resources::Resources;
use super::{SQLCIPHER, VITALOCK};

/// Everything at one size.
pub(crate) struct Tally {
    pub(crate) resources: u64,
    pub(crate) bundles: u64,
    pub(crate) bytes: u64,
    pub(crate) versions: Vec<String>,
    /// What the tables hold, and the parameters that no row was written for.
    pub(crate) tables: Value,
    pub(crate) lines: Vec<Line>,
}

/// A metric, for those who took part.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) search: Option<String>,
    pub(crate) figures: Vec<Figure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    /// Bytes of the machine's memory.
    Memory,
    /// For one resource, told as how many a second.
    Import,
    Micros,
}

/// One peer's values over the rounds, and those by Vitalock's in the same round.
pub(crate) struct Figure {
    pub(crate) peer: &'static Peer,
    pub(crate) value: Quartiles,
    pub(crate) to_vitalock: Quartiles,
}

#[derive(Clone, Copy)]
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

/// A transaction, and a turn.
const BATCH: u64 = 2_000;
const FILLS: u64 = 3;
const ROUNDS: u64 = 11;
/// So many searches of a kind are checked before the clock starts.
const CHECKED: usize = 10;
const LATE_PAGE: u64 = 100;

pub(crate) fn contest(peers: &[&'static Peer], resources: &Resources, scratch: &Path) -> Tally {
    let size = resources.count;
    let fills = if size > 200_000 { 1 } else { FILLS };
    let (mut import, mut insert) = (Rounds::of(peers), Rounds::of(peers));
    let (mut bytes, mut filling) = (Rounds::of(peers), Rounds::of(peers));
    let mut filled = None;
    for round in 0..fills {
        eprintln!("{size} resources: fill {} of {fills}", round + 1);
        // The processes of the round before end, and their files go, before the next ones come.
        drop(filled.take());
        let at = tempfile::tempdir_in(scratch).unwrap();
        let mut players: Vec<_> = peers
            .iter()
            .map(|peer| peer.start_with(at.path(), &[&resources.file]))
            .collect();
        let (whole, rest) = fill(&mut players, size, round);
        filling.add_told(players.iter_mut().map(memory).collect());
        import.add(whole);
        insert.add(rest);
        bytes.add(players.iter_mut().map(bytes_of).collect());
        filled = Some((players, at));
    }
    let (mut players, _at) = filled.expect("there was a round");
    let mut lines = vec![
        import.line("import", "import, resources a second", Unit::Import),
        insert.line(
            "import_derived",
            "import, with the rows of the tables derived beforehand",
            Unit::Import,
        ),
        bytes.line("file_size", "all files, MB (times the JSON)", Unit::Bytes),
    ];
    let mut asked = Vec::new();
    for question in questions(resources) {
        let late = check(&mut players, &question);
        asked.push(question);
        asked.extend(late);
    }
    // From here on it counts anew.
    for player in &mut players {
        memory(player);
    }
    lines.push(read(&mut players, peers, resources));
    for question in &asked {
        lines.push(search(&mut players, peers, question));
    }
    let mut searching = Rounds::of(peers);
    searching.add_told(players.iter_mut().map(memory).collect());
    for (question, what) in OPENED {
        let question = asked.iter().find(|asked| asked.name == question);
        let question = question.expect("it is one of them");
        lines.push(open(&mut players, peers, question, what));
    }
    lines.extend(filling.memory("import_memory", "most memory while importing, MB"));
    lines.extend(searching.memory("search_memory", "most memory while searching, MB"));
    let versions = players.iter_mut().map(version).collect();
    let tables = players
        .iter_mut()
        .find(|player| player.peer.name == SQLCIPHER);
    Tally {
        resources: size,
        bundles: resources.bundles,
        bytes: resources.bytes,
        versions,
        tables: tables.map_or(Value::Null, |player| ask(player, &Task::Rows).answer),
        lines,
    }
}

/// Fills every store, a transaction at a time: what disturbs the machine for a while disturbs all of
/// them. The microseconds for a resource with and without what may be done beforehand.
fn fill(players: &mut [Player], size: u64, round: u64) -> (Vec<f64>, Vec<f64>) {
    let (mut whole, mut rest) = (vec![0.0; players.len()], vec![0.0; players.len()]);
    for (turn, first) in (0..size).step_by(BATCH as usize).enumerate() {
        let many = BATCH.min(size - first);
        let outcomes = in_turn(players, &Task::Fill(many), round + turn as u64);
        for (at, outcome) in outcomes.iter().enumerate() {
            let share = many as f64 / size as f64;
            whole[at] += outcome.micros * share;
            rest[at] += (outcome.micros - outcome.beforehand) * share;
        }
    }
    (whole, rest)
}

fn read(players: &mut [Player], peers: &[&'static Peer], resources: &Resources) -> Line {
    let title = "read by type and id";
    eprintln!("{} resources: {title}", resources.count);
    let mut rounds = Rounds::of(peers);
    for round in 0..ROUNDS {
        let task = Task::Read(names(resources, round));
        rounds.add(micros(in_turn(players, &task, round)));
    }
    rounds.line("read", title, Unit::Micros)
}

fn search(players: &mut [Player], peers: &[&'static Peer], question: &Question) -> Line {
    let page = question.page;
    eprintln!("{}", question.title);
    let mut rounds = Rounds::of(peers);
    for round in 0..ROUNDS {
        let searches = question.of_round(round);
        let task = Task::Search { searches, page };
        rounds.add(micros(in_turn(players, &task, round)));
    }
    Line {
        search: Some(question.example().to_owned()),
        ..rounds.line(&question.name, &question.title, Unit::Micros)
    }
}

/// Who finds something else is not compared. Those of the searches that have a late page.
fn check(players: &mut [Player], question: &Question) -> Option<Question> {
    eprintln!("checking: {}", question.title);
    let mut late = Vec::new();
    for search in question.searches.iter().take(CHECKED) {
        let (search, page) = (search.clone(), 1);
        let task = Task::Check { search, page };
        let outcomes = in_turn(players, &task, 0);
        let found = outcomes[0].answer[0].as_u64();
        let Task::Check { search, .. } = task else {
            continue;
        };
        if found.expect("a number is told") >= LATE_PAGE * PAGE && search.contains("_sort=") {
            let page = LATE_PAGE;
            in_turn(
                players,
                &Task::Check {
                    search: search.clone(),
                    page,
                },
                0,
            );
            late.push(search);
        }
    }
    (!late.is_empty()).then(|| question.late(LATE_PAGE, late))
}

/// What is searched for first.
const OPENED: [(&str, &str); 2] = [
    ("identifier", "opening, and the first search, by identifier"),
    (
        "code_date",
        "opening, and the first search, by code, since 2015, latest first",
    ),
];

/// Opens each store with the key at hand, and reads a page.
fn open(players: &mut [Player], peers: &[&'static Peer], question: &Question, title: &str) -> Line {
    eprintln!("{title}");
    let mut rounds = Rounds::of(peers);
    for round in 0..ROUNDS {
        let search = question.of_round(round).swap_remove(0);
        rounds.add(micros(in_turn(players, &Task::Open(search), round)));
    }
    rounds.line(&format!("open_{}", question.name), title, Unit::Micros)
}

/// The most memory that a peer had since this was asked before, in bytes.
fn memory(player: &mut Player) -> Option<f64> {
    let kib = ask(player, &Task::Memory).answer.as_f64()?;
    Some(kib * 1024.0)
}

fn micros(outcomes: Vec<Outcome>) -> Vec<f64> {
    outcomes.iter().map(|outcome| outcome.micros).collect()
}

fn bytes_of(player: &mut Player) -> f64 {
    let bytes = ask(player, &Task::Size).answer;
    bytes.as_f64().expect("a size is a number")
}

fn version(player: &mut Player) -> String {
    let version = ask(player, &Task::Version).answer;
    version.as_str().expect("a version is text").to_owned()
}

/// Has everyone do a task, beginning with another one each round; the outcomes in usual order.
fn in_turn(players: &mut [Player], task: &Task, round: u64) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = players.iter().map(|_| None).collect();
    for turn in 0..players.len() {
        let at = (turn + round as usize) % players.len();
        outcomes[at] = Some(ask(&mut players[at], task));
    }
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    for (outcome, player) in outcomes.iter().zip(players) {
        let (title, task) = (player.peer.title, task.to_line());
        assert_eq!(
            outcome.answer, outcomes[0].answer,
            "{title} found other: {task}"
        );
    }
    outcomes
}

fn ask(player: &mut Player, task: &Task) -> Outcome {
    let line = player.ask(&task.to_line());
    Outcome::of_line(&line).unwrap_or_else(|| panic!("{} answered {line:?}", player.peer.title))
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

    /// Those of a round in which every peer told one.
    fn add_told(&mut self, values: Vec<Option<f64>>) {
        self.values
            .extend(values.into_iter().collect::<Option<Vec<_>>>());
    }

    /// Nothing where the system does not tell.
    fn memory(self, name: &str, title: &str) -> Option<Line> {
        (!self.values.is_empty()).then(|| self.line(name, title, Unit::Memory))
    }

    fn line(self, name: &str, title: &str, unit: Unit) -> Line {
        let place = self.peers.iter().position(|peer| peer.name == VITALOCK);
        let vitalock = place.expect("it always takes part");
        let figure = |(at, peer): (usize, &&'static Peer)| Figure {
            peer,
            value: Quartiles::of(self.values.iter().map(|round| round[at])),
            to_vitalock: Quartiles::of(self.values.iter().map(|round| round[at] / round[vitalock])),
        };
        Line {
            name: name.to_owned(),
            title: title.to_owned(),
            unit,
            search: None,
            figures: self.peers.iter().enumerate().map(figure).collect(),
        }
    }
}

impl Quartiles {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (values.len() - 1) as f64 * share;
            let (low, high) = (place.floor(), place.ceil());
            let (under, over) = (values[low as usize], values[high as usize]);
            under + (over - under) * (place - low)
        };
        Self {
            lower: at(0.25),
            median: at(0.5),
            upper: at(0.75),
        }
    }
}
