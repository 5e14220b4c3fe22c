//! A medium that loses power: what may lie on it after any call of a recording (spec 04, "What the
//! media are assumed to do").
//!
//! It keeps what was flushed apart from what was not. A power cut leaves of the latter nothing, all
//! of it, or any part: writes lost between others that were kept, which is every order in which
//! they can have reached the medium; sectors of a write; a write that ends at any byte; a file that
//! has grown and holds anything where its content was to come; names that were not flushed.

use std::collections::BTreeMap;

use crate::luck::Luck;
use crate::recording::{Inode, Op, Recording};

/// What lies on the medium: names and contents.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// What becomes of what was not flushed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// It is lost.
    Lost,
    /// It is there, as after a kill.
    Kept,
    /// Some of it is there, as this seed has it.
    Chance(u64),
    /// All before the last write is there, or lost, and of that one only the bytes to here.
    TornAfter { keep: bool, length: usize },
    /// The same, and only the bytes from here on.
    TornBefore { keep: bool, length: usize },
}

/// Which flushes do nothing, so that a test can see that they are needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Broken {
    Nothing,
    EveryFlush,
    FlushOf(&'static str),
    FlushOfNames,
}

pub(crate) struct Medium {
    broken: Broken,
    files: Vec<File>,
    /// As they were flushed, and what was done to them since.
    names: BTreeMap<String, Inode>,
    pending: Vec<Entry>,
    /// As the process sees them.
    seen: BTreeMap<String, Inode>,
    last: Option<Inode>,
    /// Whether a flush has done nothing.
    pub(crate) was_deaf: bool,
}

#[derive(Default)]
struct File {
    flushed: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone)]
enum Entry {
    Create(String, Inode),
    Rename(String, String, Inode),
    Unlink(String),
}

const SECTOR: usize = 512;

impl Medium {
    pub(crate) fn before(recording: &Recording, broken: Broken) -> Self {
        let names = recording.first.keys().cloned().zip(0..);
        let names: BTreeMap<_, _> = names.collect();
        let files = recording.first.values().map(|content| File {
            flushed: content.clone(),
            pending: Vec::new(),
        });
        Self {
            broken,
            files: files.collect(),
            seen: names.clone(),
            names,
            pending: Vec::new(),
            last: None,
            was_deaf: false,
        }
    }

    /// Does the next call; whether it changed anything.
    pub(crate) fn pass(&mut self, op: &Op) -> bool {
        self.last = None;
        match op {
            Op::Said(_) => return false,
            Op::Create(name, inode) => {
                self.files.resize_with(inode + 1, File::default);
                self.seen.insert(name.clone(), *inode);
                self.pending.push(Entry::Create(name.clone(), *inode));
            }
            Op::Write {
                inode,
                offset,
                bytes,
            } => {
                self.last = Some(*inode);
                self.files[*inode].pending.push(Change::Write {
                    offset: *offset,
                    bytes: bytes.clone(),
                });
            }
            Op::Truncate(inode, length) => {
                self.files[*inode].pending.push(Change::Truncate(*length));
            }
            Op::Sync(inode) => {
                if self.is_broken(*inode) {
                    self.was_deaf = true;
                } else {
                    self.files[*inode].flush();
                }
            }
            // What was to be flushed is lost, although whoever wrote it goes on seeing it.
            Op::FailedSync(inode) => self.files[*inode].pending.clear(),
            Op::Rename { from, to, inode } => {
                self.seen.remove(from);
                self.seen.insert(to.clone(), *inode);
                let entry = Entry::Rename(from.clone(), to.clone(), *inode);
                self.pending.push(entry);
            }
            Op::Unlink(name) => {
                self.seen.remove(name);
                self.pending.push(Entry::Unlink(name.clone()));
            }
            Op::SyncDirectory => {
                let flushes = matches!(self.broken, Broken::Nothing | Broken::FlushOf(_));
                self.was_deaf |= !flushes;
                if flushes {
                    for entry in std::mem::take(&mut self.pending) {
                        entry.apply(&mut self.names);
                    }
                }
            }
        }
        true
    }

    fn is_broken(&self, inode: Inode) -> bool {
        let named = self.seen.iter().find(|(_, of)| **of == inode);
        match self.broken {
            Broken::Nothing | Broken::FlushOfNames => false,
            Broken::EveryFlush => true,
            Broken::FlushOf(ending) => named.is_some_and(|(name, _)| name.ends_with(ending)),
        }
    }

    /// How long the last write is, if the last call was one.
    pub(crate) fn last_write(&self) -> Option<usize> {
        match self.files[self.last?].pending.last()? {
            Change::Write { bytes, .. } => Some(bytes.len()),
            Change::Truncate(_) => None,
        }
    }

    /// What lies there when power is lost now.
    pub(crate) fn image(&self, cut: Cut) -> Image {
        let mut luck = match cut {
            Cut::Chance(seed) => Luck::from(seed),
            _ => Luck::from(0),
        };
        let mut names = self.names.clone();
        let in_order = luck.percent(50);
        let mut kept = true;
        for entry in &self.pending {
            kept = match cut {
                Cut::Lost => false,
                Cut::Chance(_) if in_order => kept && luck.percent(60),
                Cut::Chance(_) => luck.percent(60),
                Cut::TornAfter { keep, .. } | Cut::TornBefore { keep, .. } => keep,
                Cut::Kept => true,
            };
            if kept {
                entry.apply(&mut names);
            }
        }
        let files = names.into_iter().map(|(name, inode)| {
            let file = &self.files[inode];
            let is_last = self.last == Some(inode);
            (name, file.after(cut, is_last, &mut luck))
        });
        files.collect()
    }
}

impl Entry {
    fn apply(&self, names: &mut BTreeMap<String, Inode>) {
        match self {
            Self::Create(name, inode) => drop(names.insert(name.clone(), *inode)),
            Self::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
            Self::Unlink(name) => drop(names.remove(name)),
        }
    }
}

impl File {
    fn flush(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.flushed);
        }
    }

    fn after(&self, cut: Cut, is_last: bool, luck: &mut Luck) -> Vec<u8> {
        let mut content = self.flushed.clone();
        let last = self.pending.len().checked_sub(1).filter(|_| is_last);
        for (at, change) in self.pending.iter().enumerate() {
            match (cut, change) {
                (Cut::Lost, _) => {}
                (Cut::Kept, _) => change.apply(&mut content),
                (Cut::Chance(_), _) => change.apply_by_chance(&mut content, luck),
                (Cut::TornAfter { length, .. }, Change::Write { offset, bytes })
                    if last == Some(at) =>
                {
                    write(&mut content, *offset, &bytes[..length.min(bytes.len())]);
                }
                (Cut::TornBefore { length, .. }, Change::Write { offset, bytes })
                    if last == Some(at) =>
                {
                    let from = length.min(bytes.len());
                    write(&mut content, offset + from, &bytes[from..]);
                }
                (Cut::TornAfter { keep, .. } | Cut::TornBefore { keep, .. }, _) => {
                    if keep {
                        change.apply(&mut content);
                    }
                }
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write(content, *offset, bytes),
            Self::Truncate(length) => content.resize(*length, 0),
        }
    }

    /// Whole, not at all, by sectors, or torn within one; where it is lost the file may have grown
    /// all the same, and holds zeros there or anything.
    fn apply_by_chance(&self, content: &mut Vec<u8>, luck: &mut Luck) {
        let Self::Write { offset, bytes } = self else {
            if luck.percent(60) {
                self.apply(content);
            }
            return;
        };
        match luck.below(8) {
            0..3 => self.apply(content),
            3..5 => {}
            5 => {
                let at = luck.index(bytes.len() + 1);
                write(content, *offset, &bytes[..at]);
            }
            6 => {
                let first = SECTOR - offset % SECTOR;
                let mut at = 0;
                while at < bytes.len() {
                    let end = if at == 0 { first } else { at + SECTOR };
                    let end = end.min(bytes.len());
                    if luck.percent(50) {
                        write(content, offset + at, &bytes[at..end]);
                    }
                    at = end;
                }
            }
            _ => {
                let end = offset + bytes.len();
                let any = luck.percent(50);
                while content.len() < end {
                    let byte = if any { luck.below(256) } else { 0 };
                    content.push(u8::try_from(byte).unwrap());
                }
            }
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end && !bytes.is_empty() {
        content.resize(end, 0);
    }
    if !bytes.is_empty() {
        content[offset..end].copy_from_slice(bytes);
    }
}

#[test]
fn what_was_flushed_is_never_lost_and_what_was_not_may_be() {
    let write = |inode, offset, text: &str| Op::Write {
        inode,
        offset,
        bytes: text.as_bytes().to_vec(),
    };
    let ops = [
        write(0, 0, "AB"),
        Op::Sync(0),
        write(0, 1, "xyz"),
        Op::Create("new".to_owned(), 1),
        write(1, 0, "n"),
        Op::Sync(1),
    ];
    let recording = Recording {
        first: Image::from([("old".to_owned(), b"____".to_vec())]),
        ops: Vec::new(),
    };
    let mut medium = Medium::before(&recording, Broken::Nothing);
    assert!(ops.iter().all(|op| medium.pass(op)));
    let image = |medium: &Medium, cut| {
        let files = medium.image(cut).into_iter();
        let texts = files.map(|(name, content)| (name, String::from_utf8(content).unwrap()));
        let texts: Vec<String> = texts.map(|(name, text)| format!("{name}={text}")).collect();
        texts.join(" ")
    };
    // The name of a file is not flushed with its content.
    assert_eq!(image(&medium, Cut::Lost), "old=AB__");
    assert_eq!(image(&medium, Cut::Kept), "new=n old=Axyz");
    let by_chance = |medium: &Medium| -> std::collections::BTreeSet<String> {
        (0..200)
            .map(|seed| image(medium, Cut::Chance(seed)))
            .collect()
    };
    let found = by_chance(&medium);
    for expected in [
        "old=AB__",
        "new=n old=AB__",
        "old=Axyz",
        "old=Axy_",
        "old=Ax__",
    ] {
        assert!(found.contains(expected), "{expected}: {found:?}");
    }
    medium.pass(&Op::SyncDirectory);
    medium.pass(&write(0, 0, "12"));
    assert_eq!(medium.last_write(), Some(2));
    let torn = |keep, length| Cut::TornAfter { keep, length };
    assert_eq!(image(&medium, torn(true, 1)), "new=n old=1xyz");
    assert_eq!(image(&medium, torn(false, 1)), "new=n old=1B__");
    let torn = Cut::TornBefore {
        keep: false,
        length: 1,
    };
    assert_eq!(image(&medium, torn), "new=n old=A2__");
    medium.pass(&Op::FailedSync(0));
    assert_eq!(image(&medium, Cut::Kept), "new=n old=AB__");

    let mut deaf = Medium::before(&recording, Broken::EveryFlush);
    assert!(ops.iter().all(|op| deaf.pass(op)));
    assert_eq!(image(&deaf, Cut::Lost), "old=____");
}
