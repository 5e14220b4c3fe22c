//! What somebody else put where a file of the vault belongs: each refused by its own kind, and
//! nothing changed.

use std::fs::{self, Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use vitalock::{ErrorKind, Passphrase, Vault};

use crate::process::{STRANGER, factors, is_root, make_plain};
use crate::support::{Scratch, words};
use crate::tree::{Found, tree};

/// A way to spoil a place, and what is said of it. Each leaves what was there, aside.
type Plant = (&'static str, fn(&Path, &Path), ErrorKind);

const PLANTS: [Plant; 5] = [
    ("link", link, ErrorKind::PathIsSymlink),
    ("second name", second_name, ErrorKind::PathIsHardLink),
    ("fifo", fifo, ErrorKind::PathWrongType),
    ("directory", directory, ErrorKind::PathWrongType),
    ("loose mode", loose, ErrorKind::PathLooseMode),
];
const PLANTS_OF_ROOT: [Plant; 2] = [
    ("device", device, ErrorKind::PathWrongType),
    ("foreign owner", foreign, ErrorKind::PathForeignOwner),
];

fn link(place: &Path, aside: &Path) {
    fs::rename(place, aside).unwrap();
    symlink(aside, place).unwrap();
}

fn second_name(place: &Path, aside: &Path) {
    fs::hard_link(place, aside).unwrap();
}

fn fifo(place: &Path, aside: &Path) {
    fs::rename(place, aside).unwrap();
    let mut made = Command::new("mkfifo");
    assert!(run(made.args(["-m", "600"]).arg(place)));
}

fn directory(place: &Path, aside: &Path) {
    fs::rename(place, aside).unwrap();
    fs::create_dir(place).unwrap();
    mode(place, 0o700);
}

fn loose(place: &Path, _: &Path) {
    mode(
        place,
        fs::metadata(place).unwrap().permissions().mode() | 0o040,
    );
}

fn device(place: &Path, aside: &Path) {
    fs::rename(place, aside).unwrap();
    let mut made = Command::new("mknod");
    made.args(["-m", "600"]).arg(place).args(["c", "1", "3"]);
    assert!(run(&mut made));
}

fn foreign(place: &Path, _: &Path) {
    chown(place, Some(STRANGER), None).unwrap();
}

fn run(command: &mut Command) -> bool {
    command.status().unwrap().success()
}

fn mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn plants(test: &str) -> Vec<Plant> {
    let mut plants = PLANTS.to_vec();
    if is_root(&format!("{test}, in part")) {
        plants.extend(PLANTS_OF_ROOT);
    }
    plants
}

/// A vault, copied from one that is made once.
fn fresh() -> Scratch {
    static MADE: LazyLock<Scratch> = LazyLock::new(|| {
        let scratch = Scratch::new();
        drop(make_plain(&scratch.vault(), &words()).unwrap());
        scratch
    });
    let scratch = Scratch::new();
    let mut copy = Command::new("cp");
    assert!(run(copy.arg("-a").args([MADE.vault(), scratch.vault()])));
    scratch
}

/// Opens, unlocks and steps up; how that ends.
fn all_the_way(dir: &Path) -> Option<ErrorKind> {
    let words = words();
    let way = || {
        let vault = Vault::open(dir)?;
        let session = vault.unlock(&factors(&words))?;
        session.step_up(&factors(&words)).map(drop)
    };
    way().err().map(|error| error.kind())
}

/// Everything there is. Whoever gets as far as Priority was unlocked before, and Standard says so,
/// while the reserve is made: both are then left out.
fn seen(root: &Path, planted: &str) -> Vec<Found> {
    let mut all = tree(root);
    if planted.starts_with("priority.db") {
        let unlocked = ["vault/standard.db", "vault/reserve"];
        all.retain(|found| !unlocked.contains(&found.name.as_str()));
    }
    all
}

/// The reserve is room, and the events are only told: without them the vault works, and nothing is
/// taken for them.
#[test]
fn what_stands_in_the_place_of_the_reserve_or_the_events_is_left_alone() {
    let test = "what_stands_in_the_place_of_the_reserve_or_the_events_is_left_alone";
    for (name, plant, _) in plants(test) {
        for file in ["reserve", "events"] {
            let scratch = fresh();
            fails_once(&scratch.vault());
            let events = fs::read(scratch.vault().join("events")).unwrap();
            assert_eq!(all_the_way(&scratch.vault()), None, "it makes the reserve");
            fs::write(scratch.vault().join("events"), events).unwrap();
            let place = scratch.vault().join(file);
            assert!(fs::metadata(&place).unwrap().len() > 0);
            plant(&place, &scratch.path().join("aside"));
            let of_it = || {
                let mut all = tree(scratch.path());
                let names = [format!("vault/{file}"), "aside".to_owned()];
                all.retain(|found| names.contains(&found.name));
                let mut reads = all.iter_mut();
                reads
                    .try_for_each(|found| {
                        let path = scratch.path().join(&found.name);
                        found.content = match found.kind {
                            "file" => fs::read(path)?,
                            _ => Vec::new(),
                        };
                        Ok::<(), std::io::Error>(())
                    })
                    .unwrap();
                all
            };
            let before = of_it();
            fails_once(&scratch.vault());
            assert_eq!(all_the_way(&scratch.vault()), None, "{file}: {name}");
            assert_eq!(of_it(), before, "{file}: {name}");
        }
    }
}

/// An attempt that the trail will tell of.
fn fails_once(dir: &Path) {
    let other = Passphrase::new(b"five loud herons wade here").unwrap();
    let vault = Vault::open(dir).unwrap();
    let failed = vault.unlock(&factors(&other)).unwrap_err().kind();
    assert_eq!(failed, ErrorKind::UnlockFailed);
}

#[test]
fn what_stands_in_the_place_of_a_file_is_refused_and_left_alone() {
    for (name, plant, kind) in plants("what_stands_in_the_place_of_a_file_is_refused") {
        for file in [
            "attempts",
            "emergency.db",
            "header",
            "header.2",
            "lock",
            "priority.db",
            "standard.db",
        ] {
            let scratch = fresh();
            plant(&scratch.vault().join(file), &scratch.path().join("aside"));
            let before = seen(scratch.path(), file);
            assert_eq!(all_the_way(&scratch.vault()), Some(kind), "{file}: {name}");
            assert_eq!(seen(scratch.path(), file), before, "{file}: {name}");
            let before = tree(scratch.path());
            let made = make_plain(&scratch.vault(), &words()).unwrap_err().kind();
            assert_eq!(made, ErrorKind::VaultExists, "{file}: {name}");
            assert_eq!(tree(scratch.path()), before, "{file}: {name}");
        }
    }
}

#[test]
fn what_stands_in_the_place_of_a_log_is_refused_and_left_alone() {
    for (name, plant, kind) in plants("what_stands_in_the_place_of_a_log_is_refused") {
        for file in ["emergency.db-wal", "priority.db-wal", "standard.db-wal"] {
            let scratch = fresh();
            let log = scratch.vault().join(file);
            fs::write(&log, "").unwrap();
            mode(&log, 0o600);
            plant(&log, &scratch.path().join("aside"));
            let before = seen(scratch.path(), file);
            assert_eq!(all_the_way(&scratch.vault()), Some(kind), "{file}: {name}");
            assert_eq!(seen(scratch.path(), file), before, "{file}: {name}");
        }
    }
}

#[test]
fn a_journal_or_an_index_file_is_never_believed() {
    for file in ["emergency.db", "priority.db", "standard.db"] {
        for suffix in ["-journal", "-shm"] {
            let scratch = fresh();
            let database = scratch.vault().join(file);
            // A journal that SQLite would play back: its first page is that of another time.
            let mut journal = vec![0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7];
            journal.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 22, 0, 0, 2, 0, 0, 0, 16, 0]);
            journal.resize(512, 0);
            journal.extend([0, 0, 0, 1]);
            journal.extend([0x55; 4096]);
            journal.extend([0; 4]);
            let planted = scratch.vault().join(format!("{file}{suffix}"));
            fs::write(&planted, &journal).unwrap();
            mode(&planted, 0o600);
            let before = seen(scratch.path(), file);
            let pages = fs::read(&database).unwrap();
            let tampered = Some(ErrorKind::TamperDetected);
            assert_eq!(all_the_way(&scratch.vault()), tampered, "{file}{suffix}");
            assert_eq!(fs::read(&database).unwrap(), pages, "not played back");
            assert_eq!(seen(scratch.path(), file), before, "{file}{suffix}");
            fs::remove_file(&planted).unwrap();
            assert_eq!(all_the_way(&scratch.vault()), None);
        }
    }
}

#[test]
fn what_stands_in_the_place_of_the_vault_is_refused_and_left_alone() {
    let of_files = plants("what_stands_in_the_place_of_the_vault_is_refused");
    for (name, plant, kind) in of_files {
        let (second, there) = (name == "second name", name == "directory");
        if second || there {
            continue;
        }
        let scratch = Scratch::new();
        drop(make_plain(&scratch.vault(), &words()).unwrap());
        plant(&scratch.vault(), &scratch.path().join("aside"));
        let before = tree(scratch.path());
        assert_eq!(all_the_way(&scratch.vault()), Some(kind), "{name}");
        let made = make_plain(&scratch.vault(), &words()).unwrap_err().kind();
        assert_eq!(made, kind, "{name}");
        assert_eq!(tree(scratch.path()), before, "{name}");
    }
}

#[test]
fn a_file_where_the_vault_would_be_is_no_vault() {
    let scratch = Scratch::new();
    fs::write(scratch.vault(), "a file").unwrap();
    let before = tree(scratch.path());
    let wrong = ErrorKind::PathWrongType;
    assert_eq!(all_the_way(&scratch.vault()), Some(wrong));
    let made = make_plain(&scratch.vault(), &words()).unwrap_err().kind();
    assert_eq!(made, wrong);
    assert_eq!(tree(scratch.path()), before);
}

#[test]
fn a_place_that_others_can_rearrange_is_refused() {
    let scratch = Scratch::new();
    drop(make_plain(&scratch.vault(), &words()).unwrap());
    let parent = Some(ErrorKind::PathWritableParent);
    for loose in [0o777, 0o1777] {
        mode(scratch.path(), loose);
        let before = tree(scratch.path());
        assert_eq!(all_the_way(&scratch.vault()), parent, "{loose:o}");
        let beside = scratch.path().join("another");
        let made = make_plain(&beside, &words()).unwrap_err().kind();
        assert_eq!(Some(made), parent);
        assert_eq!(tree(scratch.path()), before);
    }
    mode(scratch.path(), 0o700);
    assert_eq!(all_the_way(&scratch.vault()), None);
}

#[test]
fn a_draft_that_leads_outside_is_not_written_through() {
    let (scratch, words) = (Scratch::new(), words());
    let vault = make_plain(&scratch.vault(), &words).unwrap();
    let outside = scratch.path().join("outside");
    fs::write(&outside, "outside").unwrap();
    symlink(&outside, scratch.vault().join("header.draft")).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    let lease = session.step_up(&factors(&words)).unwrap();
    lease.slots().add_emergency().unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"outside");
    assert!(!scratch.vault().join("header.draft").exists());
}
