//! Header files that are short, long, missing, doubled or no text at all.

use std::fs::{self, File};
use std::path::Path;

use vitalock::{ErrorKind, Vault};

use crate::elsewhere::{elsewhere, peak_memory, told};
use crate::frozen::{COPIES, Frozen, put, soak};
use crate::support::data::tell;

/// That `bytes` as both copies are refused with `kind` and left alone, and as one copy are healed.
fn assert_refused(frozen: &Frozen, bytes: &[u8], kind: ErrorKind, what: &str) {
    frozen.put_both(bytes);
    assert_eq!(frozen.failure(&frozen.touch()), Some(kind), "{what}");
    for name in COPIES {
        assert!(frozen.now()[name] == bytes, "{what}: {name} was written");
        frozen.put(name, bytes);
    }
    for name in COPIES {
        frozen.restore();
        frozen.put(name, bytes);
        assert_eq!(frozen.failure(&frozen.touch()), None, "{what} in {name}");
        assert!(
            frozen.now() == frozen.files,
            "{what} in {name} was not healed"
        );
    }
}

#[test]
fn every_truncation_of_both_copies_is_damage() {
    let frozen = Frozen::make();
    let header = frozen.header().as_bytes();
    for length in 0..header.len() {
        frozen.put_both(&header[..length]);
        let failure = frozen.failure(&frozen.touch());
        assert_eq!(failure, Some(ErrorKind::HeaderDamaged), "{length} bytes");
    }
    let step = if soak() { 1 } else { 41 };
    for (turn, length) in (0..header.len()).step_by(step).enumerate() {
        frozen.restore();
        frozen.put(COPIES[turn % 2], &header[..length]);
        assert_eq!(frozen.failure(&frozen.touch()), None, "{length} bytes");
        assert_eq!(frozen.now(), frozen.files, "{length} bytes");
    }
}

#[test]
fn what_the_store_would_not_write_is_damage() {
    let frozen = Frozen::make();
    let text = frozen.header();
    let lines: Vec<&str> = text.lines().collect();
    let join = |lines: &[&str]| {
        lines
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    };
    let damaged = ErrorKind::HeaderDamaged;
    let check = |text: &str, what: &str| assert_refused(&frozen, text.as_bytes(), damaged, what);

    check("", "an empty file");
    check("\n", "a line feed");
    check(&format!("{text}\n"), "an empty line at the end");
    check(
        &format!("{text}mac priority {}\n", "0".repeat(64)),
        "a fourth MAC",
    );
    check(&format!("{text} "), "a space at the end");
    check(&format!("\u{feff}{text}"), "a byte order mark");
    check(&text.replace('\n', "\r\n"), "carriage returns");
    check(&text.replacen('\n', " \n", 1), "a trailing space");
    check(&text.replacen(' ', "  ", 1), "two spaces");
    check(&text.replacen(' ', "\t", 1), "a tab");
    check(
        &text.replacen("generation ", "generation 0", 1),
        "a leading zero",
    );
    check(&text.replacen("generation ", "generation +", 1), "a sign");
    check(
        &text.replacen("generation ", "generation 99999999999999999999", 1),
        "a huge number",
    );
    for (from, to) in [
        ("idle=120", "idle=0"),
        ("idle=120", "idle=901"),
        ("idle=120", "idle=0120"),
        ("idle=120", "idle=never"),
        ("idle=120", "idle="),
        ("absolute=43200", "absolute=43201"),
        ("absolute=43200", "absolute=18446744073709551616"),
        ("background=0", "background=31"),
        (" background=0", ""),
        ("background=0", "background=0 idle=120"),
        ("seconds=60", "seconds=301"),
        ("seconds=60", "seconds=0"),
        ("reads=unlimited", "reads=0"),
        ("reads=unlimited", "reads=1000001"),
        ("reads=unlimited", "reads=none"),
        ("anchor none", "anchor lost"),
        ("anchor none\n", ""),
        ("inbox standard=", "inbox  standard="),
        ("inbox standard=", "inbox standard=0"),
        (" priority=", " standard="),
        ("attempts tenth=disable", "attempts tenth=never"),
        ("attempts tenth=disable\n", ""),
        ("footprint full", "footprint cache=59"),
        ("footprint full", "footprint cache=315360001"),
        ("footprint full", "footprint cache=060"),
        ("footprint full\n", ""),
    ] {
        assert!(text.contains(from), "the header has {from}");
        check(&text.replacen(from, to, 1), to);
    }
    check(text.trim_end(), "no line feed at the end");
    check(&text.to_uppercase(), "upper case");
    check(&format!("{text}{text}"), "the header twice");
    check(&join(&lines[7..]), "no beginning");

    let slot = |at: usize| lines[at].starts_with("slot ");
    let starts: Vec<usize> = (0..lines.len()).filter(|at| slot(*at)).collect();
    let end = lines
        .iter()
        .position(|line| line.starts_with("retired "))
        .unwrap();
    let first = &lines[starts[0]..starts[1]];
    let mut doubled = lines.clone();
    doubled.splice(end..end, first.iter().copied());
    check(&join(&doubled), "the same slot twice");
    let mut none = lines.clone();
    none.drain(starts[0]..end);
    check(&join(&none), "no slot");
    let last = *starts.last().unwrap();
    let ids: Vec<String> = (starts.len()..17)
        .map(|n| format!("slot {n:016x} emergency"))
        .collect();
    let mut many = lines.clone();
    for id in &ids {
        many.splice(end..end, [id, lines[last + 1]]);
    }
    check(&join(&many), "seventeen slots");
    let mut retired = lines.clone();
    for _ in 0..32 {
        retired.insert(end, lines[end]);
    }
    check(&join(&retired), "thirty-three platform keys to destroy");

    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        frozen.put_both(join(&fewer).as_bytes());
        let retired = lines[at].starts_with("retired ");
        let kind = if retired {
            ErrorKind::TamperDetected
        } else {
            damaged
        };
        assert_eq!(
            frozen.failure(&frozen.touch()),
            Some(kind),
            "without line {at}"
        );
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        frozen.put_both(join(&twice).as_bytes());
        assert_eq!(
            frozen.failure(&frozen.touch()),
            Some(kind),
            "line {at} twice"
        );
    }
    frozen.restore();
    frozen.assert_whole();
}

#[test]
fn reordered_lines_open_nothing() {
    let frozen = Frozen::make();
    let lines: Vec<&str> = frozen.header().lines().collect();
    for at in 1..lines.len() {
        let mut swapped = lines.clone();
        swapped.swap(at - 1, at);
        frozen.put_both((swapped.join("\n") + "\n").as_bytes());
        let failure = frozen.failure(&frozen.touch());
        assert_eq!(
            failure,
            Some(ErrorKind::HeaderDamaged),
            "lines {} and {at}",
            at - 1
        );
    }
    // Whole slots in another order are a header that could be, and not the one that was signed.
    let (primary, touch) = (frozen.slot_lines("primary"), frozen.slot_lines("biometric"));
    let swapped = lines.join("\n") + "\n";
    let [primary, touch] = [primary, touch].map(|lines| lines.join("\n"));
    let swapped = swapped
        .replace(&primary, "HERE")
        .replace(&touch, &primary)
        .replace("HERE", &touch);
    assert_refused(
        &frozen,
        swapped.as_bytes(),
        ErrorKind::TamperDetected,
        "slots exchanged",
    );
}

#[test]
fn what_is_no_text_or_too_long_is_damage() {
    let frozen = Frozen::make();
    let text = frozen.header().as_bytes();
    let damaged = ErrorKind::HeaderDamaged;
    assert_refused(&frozen, &vec![0; text.len()], damaged, "zeros");
    assert_refused(&frozen, &vec![0xFF; text.len()], damaged, "no UTF-8");
    assert_refused(
        &frozen,
        &[text, &[0]].concat(),
        damaged,
        "a zero at the end",
    );
    assert_refused(
        &frozen,
        &[text, &[0xC3, 0x28]].concat(),
        damaged,
        "no UTF-8 at the end",
    );
    for length in [128 * 1024, 128 * 1024 + 1] {
        let mut long = text.to_vec();
        long.resize(length, b'\n');
        assert_refused(&frozen, &long, damaged, "a long file");
    }
}

#[test]
fn a_missing_copy_is_made_again_and_two_missing_ones_are_not() {
    let frozen = Frozen::make();
    for name in COPIES {
        fs::remove_file(frozen.dir().join(name)).unwrap();
        assert_eq!(frozen.failure(&frozen.touch()), None, "without {name}");
        assert_eq!(frozen.now(), frozen.files, "without {name}");
    }
    let mut rest = frozen.files.clone();
    for name in COPIES {
        fs::remove_file(frozen.dir().join(name)).unwrap();
        rest.remove(name);
    }
    let failure = frozen.failure(&frozen.touch());
    assert_eq!(failure, Some(ErrorKind::VaultNotFound));
    let again = Vault::create(frozen.dir(), crate::support::options(), frozen.everyday());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::VaultExists);
    assert_eq!(
        frozen.now(),
        rest,
        "nothing was made and nothing was removed"
    );
    // The marker of an interrupted set-up does not make other files disposable.
    frozen.put("header", frozen.header().as_bytes());
    frozen.put("setup", b"");
    let again = Vault::create(frozen.dir(), crate::support::options(), frozen.everyday());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::VaultExists);
    assert_eq!(frozen.failure(&frozen.touch()), None);
    assert_eq!(frozen.now(), frozen.files);
}

#[test]
fn a_huge_header_is_refused_without_being_read() {
    let frozen = Frozen::make();
    for name in COPIES {
        let file = File::options()
            .write(true)
            .open(frozen.dir().join(name))
            .unwrap();
        file.set_len(1 << 30).unwrap();
    }
    let child = "files::a_process_that_meets_a_huge_header";
    let output = elsewhere(child, frozen.dir()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "the other process of a_huge_header_is_refused_without_being_read"]
fn a_process_that_meets_a_huge_header() {
    let Some(dir) = told() else { return };
    let before = peak_memory();
    let error = Vault::open(&dir).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HeaderDamaged);
    let grown = peak_memory() - before;
    // Far less than a header of this length, and more than the pages of code that are met on the way.
    assert!(
        grown < 16 * 1024,
        "{grown} KiB for a header that is refused"
    );
}

#[test]
fn a_copy_on_a_bad_block_is_read_from_the_other() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        return tell("SKIPPED: a_copy_on_a_bad_block_is_read_from_the_other: there is no strace");
    }
    for name in COPIES {
        let frozen = Frozen::make();
        let path = frozen.dir().join(name);
        let mut command = std::process::Command::new("strace");
        command.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=read:error=EIO",
            "-P",
        ]);
        command.arg(&path).arg(std::env::current_exe().unwrap());
        let child = "files::a_process_that_opens_a_vault";
        command.args(["--exact", "--ignored", "--test-threads=1", child]);
        command.env("VITALOCK_TEST_TOLD", frozen.dir());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert_eq!(frozen.now(), frozen.files);
    }
}

#[test]
#[ignore = "the other process of a_copy_on_a_bad_block_is_read_from_the_other"]
fn a_process_that_opens_a_vault() {
    let Some(dir) = told() else { return };
    assert!(!Vault::open(Path::new(&dir)).unwrap().slots().is_empty());
    put(Path::new(&dir), "lock", b"");
}
