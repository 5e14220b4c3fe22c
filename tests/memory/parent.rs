//! The side that searches: it answers the other process for the person and the hardware, and reads
//! its memory where it stops.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::canary::Field;
use crate::child::{DIR, SEED, SHAPE};
use crate::data::tell;
use crate::dump::{self, Hit};
use crate::needles::{self, Group, Needles};
use crate::person::{Platform, Secrets, random, template};
use crate::spec::pages::PageSeal;
use crate::spec::{self, EMERGENCY, PRIORITY, STANDARD};

/// What came of one run of the other process.
#[derive(Default)]
pub(crate) struct Outcome {
    /// A line for each secret that was where it may not be.
    pub(crate) violations: Vec<String>,
    /// The secrets that were found where they were expected.
    pub(crate) found: BTreeSet<String>,
    /// What the child said of itself.
    pub(crate) facts: Vec<String>,
    /// The kernel's flags for the page that holds the class keys.
    pub(crate) key_page: Vec<String>,
}

/// Runs a shape in which nothing may be found; `None` where memory cannot be read.
pub(crate) fn watch(shape: &str) -> Option<Outcome> {
    let outcome = run(shape, Command::new(std::env::current_exe().unwrap()))?;
    let violations = outcome.violations.join("\n");
    assert!(violations.is_empty(), "in {shape}:\n{violations}");
    Some(outcome)
}

/// Runs a shape and judges every stop.
pub(crate) fn run(shape: &str, command: Command) -> Option<Outcome> {
    let mut watch = Watch::start(shape, command);
    let mut lines = BufReader::new(watch.child.stdout.take().unwrap()).lines();
    let mut permitted = false;
    loop {
        let Some(Ok(line)) = lines.next() else {
            let status = watch.child.wait().unwrap();
            panic!("the other process ended in the middle of {shape}: {status}");
        };
        if let Some(line) = line.strip_prefix('@') {
            // It speaks, so it runs: before that its memory may be another program's.
            permitted = permitted || dump::is_permitted(watch.child.id());
            if !permitted {
                tell(
                    "SKIPPED: the memory of another process cannot be read here (ptrace is restricted)",
                );
                watch.child.kill().unwrap();
                watch.child.wait().unwrap();
                return None;
            }
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let answer = watch.answer(word, rest);
            watch.to.write_all(&answer).unwrap();
            if word == "done" {
                break;
            }
        }
    }
    lines.for_each(drop);
    assert!(watch.child.wait().unwrap().success(), "{shape} failed");
    assert!(watch.stops > 0, "{shape} never stopped to be searched");
    Some(watch.outcome)
}

struct Watch {
    dir: tempfile::TempDir,
    platform: Platform,
    secrets: Secrets,
    needles: Needles,
    child: Child,
    to: ChildStdin,
    refuse: bool,
    tampered: bool,
    stops: usize,
    outcome: Outcome,
}

impl Watch {
    fn start(shape: &str, mut command: Command) -> Self {
        let template = template();
        let dir = tempfile::tempdir().unwrap();
        copy_vault(
            &template.dir.path().join("vault"),
            &dir.path().join("vault"),
        );
        let seed = u64::from_le_bytes(random());
        let mut child = command
            .args(["--exact", "another_process", "--ignored", "--nocapture"])
            .env(SHAPE, shape)
            .env(DIR, dir.path())
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            dir,
            platform: template.platform.copy(),
            secrets: template.secrets.clone(),
            needles: Needles::new(seed, &template.secrets),
            to: child.stdin.take().unwrap(),
            child,
            refuse: false,
            tampered: false,
            stops: 0,
            outcome: Outcome::default(),
        }
    }

    fn answer(&mut self, word: &str, rest: &str) -> Vec<u8> {
        match word {
            "length" => return vec![u8::try_from(self.secrets.get(rest).len()).unwrap()],
            "secret" => return self.secrets.get(rest).as_bytes().to_vec(),
            "enrol" => return self.platform.enrol_key(),
            "release" => return self.release(rest),
            "stop" => self.judge(rest),
            "says" => self.outcome.facts.push(rest.to_owned()),
            "refuse" => self.refuse = rest == "on",
            "tamper" => self.tamper(),
            "made" => self.learn_code(rest),
            "erased" => {
                for class in [EMERGENCY, STANDARD, PRIORITY] {
                    self.needles.erase_subject(class, Field::OtherSubject);
                }
            }
            "destroy" | "done" => {}
            other => panic!("the other process said {other}"),
        }
        vec![0]
    }

    fn release(&self, asked: &str) -> Vec<u8> {
        let words: Vec<&str> = asked.split(' ').collect();
        let (blob, challenge) = (spec::unhex(words[1]), spec::array(&spec::unhex(words[2])));
        let share = self
            .platform
            .share(words[0] == "priority", &blob, &challenge);
        share.filter(|_| !self.refuse).unwrap_or([0; 32]).to_vec()
    }

    fn learn_code(&mut self, code: &str) {
        self.secrets
            .0
            .push(("new code".to_owned(), code.to_owned()));
        self.needles.add_text("new code", code);
        for usage in [1, 2] {
            if let Some(bits) = spec::code_bits(code, usage) {
                self.needles.add_factor("new code: bits", &bits);
            }
        }
    }

    /// Changes one bit of each stored body.
    fn tamper(&mut self) {
        self.tampered = true;
        let database = self.vault().join("standard.db");
        let (header, keys) = needles::keys(&self.vault(), STANDARD, &self.platform, &self.secrets);
        let seal = PageSeal::new(header.vault, &keys);
        let scratch = tempfile::tempdir().unwrap();
        let plain = scratch.path().join("plain.db");
        let sealed = fs::read(&database).unwrap();
        fs::write(&plain, seal.open_database(&sealed)).unwrap();
        let connection = rusqlite::Connection::open(&plain).unwrap();
        let mut read = connection
            .prepare("SELECT place, body FROM records")
            .unwrap();
        let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Vec<(i64, Vec<u8>)> = rows.unwrap().map(Result::unwrap).collect();
        for (place, mut body) in rows {
            body[30] ^= 1;
            let sql = "UPDATE records SET body = ?2 WHERE place = ?1";
            connection.execute(sql, (place, body)).unwrap();
        }
        drop(read);
        connection.close().unwrap();
        let changed = seal.seal_database(&fs::read(&plain).unwrap());
        fs::write(&database, changed).unwrap();
    }

    fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    /// Searches all of the child's memory and notes what may not be there, and what is missing.
    fn judge(&mut self, stage: &str) {
        self.stops += 1;
        if !self.tampered {
            self.needles
                .learn(&self.vault(), &self.platform, &self.secrets);
        }
        let (hits, searched) = dump::search(self.child.id(), &self.needles.pieces);
        assert!(searched > 1 << 20, "{searched} bytes are not a process");
        let mut found: BTreeMap<usize, Vec<&Hit>> = BTreeMap::new();
        for hit in &hits {
            found.entry(hit.needle).or_default().push(hit);
        }
        let mut groups = BTreeSet::new();
        for (needle, hits) in found {
            let (name, group) = self.needles.name(needle);
            groups.insert(group);
            if stage == "held" {
                self.outcome.found.insert(name.to_owned());
            }
            if name == "class key of class 2" {
                self.outcome.key_page = dump::flags(self.child.id(), hits[0].address);
            }
            if !may_hold(stage, group) {
                self.outcome
                    .violations
                    .push(describe(stage, name, group, &hits));
            }
        }
        for group in must_hold(stage) {
            assert!(
                groups.contains(group),
                "{group:?} is not found while {stage}"
            );
        }
    }
}

/// Where in its life a process may have what.
fn may_hold(stage: &str, group: Group) -> bool {
    match (stage, group) {
        ("held", _) => true,
        ("open", Group::Keys(class) | Group::Names(class)) => class != PRIORITY,
        ("lease", Group::Keys(_) | Group::Names(_)) => true,
        ("emergency", Group::Keys(class) | Group::Names(class)) => class == EMERGENCY,
        ("open" | "lease" | "emergency" | "locked", _) => false,
        _ => panic!("there is no stage {stage}"),
    }
}

/// What must be found, for otherwise the search proves nothing.
fn must_hold(stage: &str) -> &'static [Group] {
    match stage {
        "held" => &[Group::Keys(STANDARD), Group::Factor, Group::Body],
        "open" => &[Group::Keys(STANDARD), Group::Keys(EMERGENCY)],
        "lease" => &[Group::Keys(STANDARD), Group::Keys(PRIORITY)],
        "emergency" => &[Group::Keys(EMERGENCY)],
        _ => &[],
    }
}

fn describe(stage: &str, name: &str, group: Group, hits: &[&Hit]) -> String {
    let mut text = format!("{stage}: {name} ({group:?}), {} times", hits.len());
    for hit in hits.iter().take(3) {
        write!(text, "\n    {} at {:x}", hit.region, hit.address).unwrap();
        for line in hit.around.chunks(16) {
            let readable = line.iter().map(|byte| match byte {
                b' '..=b'~' => char::from(*byte),
                _ => '.',
            });
            let readable: String = readable.collect();
            write!(text, "\n        {:32}  {readable}", spec::hex(line)).unwrap();
        }
    }
    text
}

fn copy_vault(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
