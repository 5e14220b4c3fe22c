//! A vault with something of everything, as it lies on the medium closed and open, and what it
//! answered after each of its commits.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use vitalock::{Class, Record, RecordId, Session, Timestamp, Vault};

use crate::answers::{All, Answers, Questions, Verdict, compare};
use crate::support::fixture::{DATABASES, copy, make_quick_vault, seal, step_up, unlock};
use crate::support::spec::pages::{FRAME, LOG_HEADER};
use crate::support::{Scratch, files_of};

/// Names and contents.
pub(crate) type Files = std::collections::BTreeMap<String, Vec<u8>>;

pub(crate) struct Populated {
    pub(crate) questions: Questions,
    /// Copied while open, long before: the logs are others.
    pub(crate) older: Files,
    /// Closed before the commits that are in the logs.
    pub(crate) before: Files,
    /// Copied while open: the latest commits are in the logs only.
    pub(crate) open: Files,
    /// Closed after them.
    pub(crate) closed: Files,
    /// What the last two answer.
    pub(crate) answers: All,
    /// What each class answered after each commit that is in its log, and before the first.
    pub(crate) states: [Vec<Answers>; 3],
}

/// A populated vault, made once.
pub(crate) fn populated() -> &'static Populated {
    static MADE: OnceLock<Populated> = OnceLock::new();
    MADE.get_or_init(Populated::make)
}

const KINDS: [&str; 2] = ["Observation", "Note"];
const CONTENTS: [&str; 2] = ["text/plain", "application/fhir+json"];

fn record(class: Class, number: usize, length: usize) -> Record {
    let at = |number: usize| Timestamp::from_micros(i64::try_from(number).unwrap() * 1_000_000);
    let body: Vec<u8> = (0..length)
        .map(|at| (at * 7 + number).to_le_bytes()[0])
        .collect();
    let mut record = Record::new(KINDS[number % 2], body)
        .class(class)
        .content_type(CONTENTS[number / 2 % 2])
        .effective(at(number * 37 % 101));
    if !number.is_multiple_of(4) {
        record = record.subject(&format!("Patient/{}", number % 4));
    }
    if number.is_multiple_of(3) {
        record = record.client(&format!("{class:?}/{number}"), 1);
    }
    if number.is_multiple_of(5) {
        record = record.expires(at(9_000_000_000 + number)).device("a watch");
    }
    record
}

impl Populated {
    fn make() -> Self {
        let scratch = Scratch::new();
        let dir = scratch.vault();
        let vault = make_quick_vault(&dir, true);
        let session = unlock(&vault);
        let lease = step_up(&session);
        let mut ids = fill(&lease);
        let older = files_of_open(&scratch, &dir);
        // A hole, which later records fill in part.
        for _ in 0..3 {
            let (_, gone) = ids.remove(60);
            assert!(lease.erase(gone).unwrap());
        }
        drop((lease, session, vault));
        let before = files_of(&dir);

        let vault = Vault::open(&dir).unwrap();
        let session = unlock(&vault);
        let lease = step_up(&session);
        let mut copies = vec![files_of_open(&scratch, &dir)];
        for commit in Commit::all() {
            let new = commit.run(&lease, &ids);
            ids.extend(new);
            copies.push(files_of_open(&scratch, &dir));
        }
        let (_, newest) = ids.last().unwrap();
        let updated = lease.get(*newest).unwrap().unwrap().updated();
        drop((lease, session, vault));
        let closed = files_of(&dir);

        // What can be asked is known only now, so the copies are asked now.
        let questions = Questions {
            ids,
            kinds: KINDS.map(str::to_owned).into(),
            contents: CONTENTS.map(str::to_owned).into(),
            subjects: (1..4).map(|number| format!("Patient/{number}")).collect(),
            effective: Some(Timestamp::from_micros(50_000_000)),
            updated,
        };
        let mut states = [const { Vec::new() }; 3];
        for files in &copies {
            let all = questions.ask(&Place::new(files).dir());
            for (states, answers) in states.iter_mut().zip(all) {
                assert!(answers.values().all(|answer| answer.failure.is_none()));
                if states.last() != Some(&answers) {
                    states.push(answers);
                }
            }
        }
        let last = |states: &Vec<Answers>| states.last().unwrap().clone();
        Self {
            questions,
            older,
            before,
            open: copies.pop().unwrap(),
            closed,
            answers: states.each_ref().map(last),
            states,
        }
    }
}

/// Records of every class, some of them with an earlier revision.
fn fill(session: &Session) -> Vec<(Class, RecordId)> {
    let mut ids = Vec::new();
    for (class, records) in Class::ALL.into_iter().zip([6, 110, 6]) {
        for number in 0..records {
            let stored = session.put(record(class, number, number % 11 * 1100));
            let id = stored.unwrap().id;
            ids.push((class, id));
            if number % 4 == 1 {
                change(session, id, b"a second revision");
            }
        }
    }
    ids
}

/// One of the commits that are in the logs.
enum Commit {
    /// Of the record with this place in its class.
    Change(Class, usize, usize),
    Put(Class),
    PutInEach,
}

impl Commit {
    fn all() -> Vec<Self> {
        let each = |class| [Self::Change(class, 2, 13), Self::Put(class)];
        let mut all: Vec<_> = Class::ALL.into_iter().flat_map(each).collect();
        all.push(Self::PutInEach);
        all.push(Self::Change(Class::Standard, 7, 20_000));
        all
    }

    /// Makes it, and gives the records that are new.
    fn run(&self, session: &Session, ids: &[(Class, RecordId)]) -> Vec<(Class, RecordId)> {
        match *self {
            Self::Change(class, place, length) => {
                let mut of_class = ids.iter().filter(|(of, _)| *of == class);
                let (_, id) = of_class.nth(place).unwrap();
                change(session, *id, &vec![b'x'; length]);
                Vec::new()
            }
            Self::Put(class) => {
                let stored = session.put(record(class, 200, 9_000)).unwrap();
                vec![(class, stored.id)]
            }
            Self::PutInEach => {
                let records = Class::ALL.map(|class| record(class, 201, 300));
                let stored = session.commit(&records.into_iter().collect()).unwrap();
                let stored = stored.iter().map(|stored| stored.id);
                Class::ALL.into_iter().zip(stored).collect()
            }
        }
    }
}

fn change(session: &Session, id: RecordId, body: &[u8]) {
    let record = session.get(id).unwrap().unwrap();
    session.put(record.with_body(body.to_vec())).unwrap();
}

/// The files of a vault that is open.
pub(crate) fn files_of_open(scratch: &Scratch, dir: &Path) -> Files {
    let there = scratch.path().join("open");
    copy(dir, &there);
    let files = files_of(&there);
    std::fs::remove_dir_all(there).unwrap();
    files
}

/// Has another process write a file over, in place.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) {
    let scratch = Scratch::new();
    let from = scratch.path().join("bytes");
    std::fs::write(&from, bytes).unwrap();
    let copied = Command::new("cp").arg(from).arg(path).status();
    assert!(copied.unwrap().success());
}

/// A directory that a vault's files are put into, again and again.
pub(crate) struct Place(Scratch);

impl Place {
    pub(crate) fn new(files: &Files) -> Self {
        let place = Self(Scratch::new());
        std::fs::create_dir(place.dir()).unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(place.dir(), private).unwrap();
        place.put(files);
        place
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.vault()
    }

    pub(crate) fn now(&self) -> Files {
        files_of(&self.dir())
    }

    /// Makes the files what they are told to be, no more and no fewer.
    pub(crate) fn put(&self, files: &Files) {
        let now = self.now();
        for name in now.keys().filter(|name| !files.contains_key(*name)) {
            std::fs::remove_file(self.dir().join(name)).unwrap();
        }
        for (name, bytes) in files {
            if now.get(name) != Some(bytes) {
                self.write(name, bytes);
            }
        }
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
    }
}

impl Populated {
    /// How each class's answers compare with the right ones, of the vault in this place.
    pub(crate) fn verdicts(&self, place: &Place) -> [Verdict; 3] {
        let all = self.questions.ask(&place.dir());
        std::array::from_fn(|at| compare(&all[at], &self.answers[at]))
    }

    /// The same for the vault as a whole, in which nothing may be answered otherwise.
    pub(crate) fn verdict(&self, place: &Place, what: &str) -> Verdict {
        let mut kinds = Vec::new();
        for verdict in self.verdicts(place) {
            match verdict {
                Verdict::Right => {}
                Verdict::Refused(met) => kinds.extend(met),
                Verdict::Wrong(why) => panic!("{what}: {why}"),
            }
        }
        kinds.dedup();
        if kinds.is_empty() {
            Verdict::Right
        } else {
            Verdict::Refused(kinds)
        }
    }

    /// The log of a class of the open vault, the lowest at 0, as SQLite sees it.
    pub(crate) fn plain_log(&self, at: usize) -> Vec<u8> {
        let place = Place::new(&self.closed);
        let name = format!("{}-wal", DATABASES[at]);
        seal(&place.dir(), Class::ALL[at]).open_log(&self.open[&name])
    }

    /// Which pages a class's log brings.
    pub(crate) fn pages_in_log(&self, at: usize) -> BTreeSet<usize> {
        let log = self.plain_log(at);
        let frames = log[LOG_HEADER..].chunks_exact(FRAME);
        let number = |frame: &[u8]| u32::from_be_bytes(*frame.first_chunk().unwrap());
        frames
            .map(|frame| usize::try_from(number(frame)).unwrap())
            .collect()
    }
}
