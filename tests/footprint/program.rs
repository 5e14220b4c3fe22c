//! The report, run as a person runs it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::life::put;
use crate::support::Scratch;
use crate::support::fixture::{copy, make_quick_vault, step_up, unlock};

/// Builds the example, as cargo does before all tests but not before this one alone.
fn program() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "leak_report"]);
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success());
    let test = env::current_exe().unwrap();
    test.ancestors()
        .nth(2)
        .unwrap()
        .join("examples/leak_report")
}

fn run(program: &Path, arguments: &[&Path]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

#[track_caller]
fn assert_says(output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stdout);
    for word in words {
        assert!(told.contains(word), "{word:?} in {told}");
    }
}

#[test]
fn the_report_says_what_the_files_tell_and_what_two_copies_tell() {
    let program = program();
    let output = run(&program, &[]);
    assert!(output.status.success(), "{output:?}");
    assert_says(
        &output,
        &[
            "mode 600, last written",
            "this class is open or was not closed; 1 to ",
            "the class was closed; its log went into the database",
            "room was given back",
            "blocks of sealed bytes that repeat: 0",
            "a slot of kind passphrase",
            "kdf=argon2id:19456:2:1",
        ],
    );

    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let older = scratch.path().join("older");
    let session = unlock(&vault);
    put(&step_up(&session), 0..30);
    copy(&scratch.vault(), &older);
    put(&step_up(&session), 30..60);
    let newer = scratch.path().join("newer");
    copy(&scratch.vault(), &newer);
    assert_says(
        &run(&program, &[&newer, &older]),
        &["standard.db-wal: one transaction or more, at most one for each new frame"],
    );
    session.lock();
    assert_says(
        &run(&program, &[&scratch.vault(), &newer]),
        &["standard.db: something was added"],
    );
    assert_says(
        &run(&program, &[&newer, &newer]),
        &["nothing was written in between"],
    );
}

#[test]
fn what_is_no_vault_is_said_to_be_none() {
    let program = program();
    let scratch = Scratch::new();
    for dir in [scratch.path(), &scratch.path().join("absent")] {
        let output = run(&program, &[dir]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("leak_report: "));
    }
    for arguments in [&["--help"][..], &["a", "b", "c"]] {
        let paths: Vec<&Path> = arguments.iter().map(Path::new).collect();
        assert_eq!(run(&program, &paths).status.code(), Some(2));
    }
}
