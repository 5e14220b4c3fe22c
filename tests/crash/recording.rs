//! What a process did to a vault's files, call by call, read from a trace of it.
//!
//! Everything a process does to a medium it does by system calls, so their record is the whole of
//! what a medium can lose. It is taken from a process as it is, without a hook in the library.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use crate::child::{FAST, Task, run};
use crate::support::all_files_of;

/// A file, whatever its name is meanwhile.
pub(crate) type Inode = usize;

/// One call that got through, or something that the process said.
#[derive(Debug)]
pub(crate) enum Op {
    Create(String, Inode),
    Write {
        inode: Inode,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate(Inode, usize),
    Sync(Inode),
    /// A flush that was reported as failed.
    FailedSync(Inode),
    Rename {
        from: String,
        to: String,
        inode: Inode,
    },
    Unlink(String),
    SyncDirectory,
    Said(String),
}

/// The files at first, and what was done to them.
pub(crate) struct Recording {
    pub(crate) first: BTreeMap<String, Vec<u8>>,
    pub(crate) ops: Vec<Op>,
}

/// Calls that change files. Those that this reads, and those that nothing here may use. Some
/// processors lack those with a question mark.
const READ: &str = "openat,write,pwrite64,ftruncate,fsync,fdatasync,?rename,?renameat,renameat2,\
                    ?unlink,unlinkat";
const REFUSED: &str = "?creat,?open,openat2,writev,pwritev,pwritev2,truncate,fallocate,?link,\
                       linkat,?symlink,symlinkat,copy_file_range,?sendfile,splice,?sync_file_range,\
                       sync,syncfs,?mmap";

impl Recording {
    /// Lets a child do a task under strace, with more words for that.
    pub(crate) fn of(task: Task, dir: &Path, more: &[&str]) -> Self {
        let log = dir.with_extension("recording");
        let first = if dir.exists() {
            all_files_of(dir)
        } else {
            BTreeMap::new()
        };
        let trace = format!("trace={READ},{REFUSED}");
        let mut words = vec![FAST, "-y", "-xx", "-s", "10000000", "-e", "signal=none"];
        words.extend(["-o", log.to_str().unwrap(), "-e", &trace]);
        words.extend(more);
        let output = run(task, dir, &words);
        assert!(output.status.success(), "{output:?}");
        let text = fs::read_to_string(log).unwrap();
        let dir = dir.canonicalize().unwrap();
        let mut reader = Reader::new(dir.to_str().unwrap(), first.keys());
        let mut begun: HashMap<&str, &str> = HashMap::new();
        for line in text.lines() {
            let (process, call) = line.split_once(' ').unwrap();
            let call = call.trim_start();
            if let Some(first) = call.strip_suffix(" <unfinished ...>") {
                begun.insert(process, first);
            } else if let Some(rest) = call.strip_prefix("<... ") {
                let rest = rest.split_once(" resumed>").unwrap().1;
                let first = begun.remove(process).unwrap_or_default();
                reader.read(&format!("{first}{rest}"));
            } else {
                reader.read(call);
            }
        }
        let ops = reader.ops;
        Self { first, ops }
    }

    /// How many of the calls are of a kind.
    pub(crate) fn count(&self, of: impl Fn(&Op) -> bool) -> usize {
        self.ops.iter().filter(|op| of(op)).count()
    }
}

struct Reader<'a> {
    dir: &'a str,
    /// What the names stand for in the eyes of the process.
    names: BTreeMap<String, Inode>,
    /// How far files that are written from their beginning on have come.
    written: Vec<usize>,
    ops: Vec<Op>,
}

impl<'a> Reader<'a> {
    fn new<'n>(dir: &'a str, first: impl Iterator<Item = &'n String>) -> Self {
        let names: BTreeMap<_, _> = first.cloned().zip(0..).collect();
        Self {
            dir,
            written: vec![0; names.len()],
            names,
            ops: Vec::new(),
        }
    }

    /// Reads one call, without the number of its process.
    fn read(&mut self, call: &str) {
        let Some((name, rest)) = call.split_once('(') else {
            return;
        };
        let Some((words, result)) = rest.rsplit_once(" = ") else {
            return;
        };
        let words = words.trim_end().trim_end_matches(')');
        let words: Vec<&str> = words.split(", ").collect();
        let failed = result.starts_with('-') || result.starts_with('?');
        if name == "fsync" || name == "fdatasync" {
            return self.sync(words[0], failed);
        }
        if failed {
            return;
        }
        match name {
            "write" if words[0].starts_with("1<") => self.said(words[1]),
            "write" => {
                if let Some(inode) = self.file(words[0]) {
                    let offset = self.written[inode];
                    self.written[inode] += self.write(inode, words[1], offset, result);
                }
            }
            "pwrite64" => {
                if let Some(inode) = self.file(words[0]) {
                    let offset = words[3].parse().unwrap();
                    self.write(inode, words[1], offset, result);
                }
            }
            "ftruncate" => {
                if let Some(inode) = self.file(words[0]) {
                    self.ops
                        .push(Op::Truncate(inode, words[1].parse().unwrap()));
                }
            }
            "openat" => {
                let name = self.name(words[0], words[1]);
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    self.open(&name, words[2]);
                }
            }
            "rename" => self.rename(self.name("", words[0]), self.name("", words[1])),
            "renameat" | "renameat2" => {
                self.rename(self.name(words[0], words[1]), self.name(words[2], words[3]));
            }
            "unlink" => self.unlink(self.name("", words[0])),
            "unlinkat" => self.unlink(self.name(words[0], words[1])),
            "mmap" if !(words[3].contains("MAP_SHARED") && words[2].contains("PROT_WRITE")) => {}
            _ => {
                let here = words.iter().filter_map(|word| path(word));
                let mut here = here.filter(|path| path.starts_with(self.dir));
                assert_eq!(here.next(), None, "{name} is not understood");
            }
        }
    }

    fn said(&mut self, word: &str) {
        let text = String::from_utf8(bytes(word)).unwrap();
        for line in text.lines() {
            if let Some((_, said)) = line.split_once("VITALOCK ") {
                self.ops.push(Op::Said(said.trim_end().to_owned()));
            }
        }
    }

    fn sync(&mut self, word: &str, failed: bool) {
        if path(word).as_deref() == Some(self.dir) {
            if !failed {
                self.ops.push(Op::SyncDirectory);
            }
        } else if let Some(inode) = self.file(word) {
            self.ops.push(match failed {
                true => Op::FailedSync(inode),
                false => Op::Sync(inode),
            });
        }
    }

    fn write(&mut self, inode: Inode, word: &str, offset: usize, result: &str) -> usize {
        let written = result.split(' ').next().unwrap().parse().unwrap();
        let mut bytes = bytes(word);
        assert!(bytes.len() >= written, "the trace holds all of it");
        bytes.truncate(written);
        self.ops.push(Op::Write {
            inode,
            offset,
            bytes,
        });
        written
    }

    fn open(&mut self, name: &str, flags: &str) {
        assert!(
            !flags.contains("O_TRUNC") && !flags.contains("O_APPEND"),
            "{name}"
        );
        if flags.contains("O_CREAT") && !self.names.contains_key(name) {
            let inode = self.written.len();
            self.written.push(0);
            self.names.insert(name.to_owned(), inode);
            self.ops.push(Op::Create(name.to_owned(), inode));
        }
    }

    fn rename(&mut self, from: Option<String>, to: Option<String>) {
        match (from, to) {
            (Some(from), Some(to)) => {
                let inode = self.names.remove(&from).unwrap();
                self.names.insert(to.clone(), inode);
                self.ops.push(Op::Rename { from, to, inode });
            }
            (None, None) => {}
            other => panic!("{other:?} leads out of the directory"),
        }
    }

    fn unlink(&mut self, name: Option<String>) {
        if let Some(name) = name {
            assert!(self.names.remove(&name).is_some(), "{name}");
            self.ops.push(Op::Unlink(name));
        }
    }

    /// The file of the vault that a descriptor stands for.
    fn file(&self, word: &str) -> Option<Inode> {
        let path = path(word)?;
        let name = path.strip_prefix(self.dir)?.strip_prefix('/')?;
        // What has no name any more is nothing to whoever comes later.
        let gone = word.ends_with("(deleted)");
        (!gone).then(|| {
            *self
                .names
                .get(name)
                .unwrap_or_else(|| panic!("{name} is known"))
        })
    }

    /// The name in the vault's directory that is meant; empty for the directory itself.
    fn name(&self, at: &str, word: &str) -> Option<String> {
        let named = String::from_utf8(bytes(word)).unwrap();
        let whole = match path(at) {
            Some(at) if !named.starts_with('/') => format!("{at}/{named}"),
            _ => named,
        };
        let rest = whole.strip_prefix(self.dir)?;
        Some(rest.trim_start_matches('/').to_owned())
    }
}

/// What strace wrote beside a descriptor: `5<\x2f...>`.
fn path(word: &str) -> Option<String> {
    let (_, rest) = word.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    String::from_utf8(bytes(path)).ok()
}

/// The bytes of a string that is all `\x..`.
fn bytes(word: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    let word = word.trim_matches('"').as_bytes();
    assert!(word.len().is_multiple_of(4), "a string is whole");
    let parts = word.chunks(4);
    parts
        .map(|part| digit(part[2]) << 4 | digit(part[3]))
        .collect()
}

#[test]
fn a_trace_becomes_what_was_done() {
    let mut reader = Reader::new("/v", [&"old".to_owned()].into_iter());
    let hex =
        |text: &str| -> String { text.bytes().map(|byte| format!("\\x{byte:02x}")).collect() };
    let (v, new) = (hex("/v"), hex("new"));
    let file = hex("/v/new");
    for call in [
        format!("openat(5<{v}>, \"{new}\", O_WRONLY|O_CREAT|O_EXCL, 0600) = 6<{file}>"),
        format!("write(6<{file}>, \"{}\", 2) = 2", hex("ab")),
        format!("write(6<{file}>, \"{}\", 2) = 1", hex("cd")),
        format!(
            "pwrite64(6<{file}>, \"{}\", 1, 9) = -1 EIO (Input/output error) (INJECTED)",
            hex("x")
        ),
        format!("fsync(6<{file}>) = 0"),
        format!("fdatasync(6<{file}>) = -1 EIO (Input/output error) (INJECTED)"),
        format!(
            "renameat(5<{v}>, \"{new}\", 5<{v}>, \"{}\") = 0",
            hex("old")
        ),
        format!("fsync(5<{v}>) = 0"),
        format!(
            "write(1<{}>, \"{}\", 20) = 20",
            hex("pipe:[3]"),
            hex("test VITALOCK done 3\n")
        ),
        format!("unlink(\"{}\") = 0", hex("/v/old")),
        format!(
            "write(6<{}>(deleted), \"{}\", 1) = 1",
            hex("/v/old"),
            hex("x")
        ),
        format!("fsync(7<{}>) = 0", hex("/elsewhere")),
    ] {
        reader.read(&call);
    }
    let ops = format!("{:?}", reader.ops);
    assert_eq!(
        ops,
        "[Create(\"new\", 1), Write { inode: 1, offset: 0, bytes: [97, 98] }, \
         Write { inode: 1, offset: 2, bytes: [99] }, Sync(1), FailedSync(1), \
         Rename { from: \"new\", to: \"old\", inode: 1 }, SyncDirectory, Said(\"done 3\"), \
         Unlink(\"old\")]"
    );
}
