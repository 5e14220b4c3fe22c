//! Are the walls between the rooms standing? Reads `src/` as text and holds it against the table
//! of rooms in docs/architecture.md. Beside every check stands its control: a made-up file with
//! the fault, which the same function must report.
#![expect(
    clippy::indexing_slicing,
    reason = "a scanner that runs past the end of a file is to fail loudly"
)]

mod page;
mod rules;
mod scanner;
mod source;

use rules::{Faults, Home};
use source::Tree;

/// The rooms and their ranks, as the page has them.
const RANKS: &[(u8, &str)] = &[
    (0, "actor"),
    (0, "anchor"),
    (0, "class"),
    (0, "error"),
    (0, "id"),
    (0, "memory"),
    (0, "random"),
    (0, "secret"),
    (0, "time"),
    (1, "fs"),
    (2, "sealing"),
    (3, "keys"),
    (3, "storage"),
    (4, "audit"),
    (4, "blobs"),
    (4, "inbox"),
    (4, "records"),
    (4, "samples"),
    (5, "fhir"),
    (6, "session"),
    (7, "backup"),
    (7, "posture"),
    (8, "vault"),
];

/// The files that may hold `unsafe`, as the page has them.
const UNSAFE: &[&str] = &[
    "src/memory.rs",
    "src/storage/heap.rs",
    "src/storage/vfs/ffi.rs",
];

/// Files that may be longer than [`LIMIT`], each with its reason.
const LONGER: &[(&str, &str)] = &[(
    "src/storage/vfs/ffi.rs",
    "two tables of C functions, each a few lines, and the only file of the VFS with `unsafe`",
)];

const LIMIT: usize = 400;

const HOMES: &[Home] = &[
    Home {
        names: &["std::fs", "std::os::unix::fs", "rustix::fs", "File"],
        places: &["src/fs/"],
        reason: "files are the business of fs",
    },
    Home {
        names: &["rusqlite", "libsqlite3_sys"],
        places: &["src/storage/"],
        reason: "SQL is the business of storage",
    },
    Home {
        names: &["aead"],
        places: &["src/sealing/"],
        reason: "ciphers are the business of sealing",
    },
    Home {
        names: &["aes", "aes_gcm", "aws_lc_rs", "xaes_256_gcm"],
        places: &["src/sealing/aead/"],
        reason: "ciphers are the business of sealing",
    },
    Home {
        names: &["argon2", "hkdf"],
        places: &["src/keys/"],
        reason: "deriving keys is the business of keys",
    },
    Home {
        names: &["hmac", "sha2"],
        places: &["src/keys/", "src/sealing/"],
        reason: "hashes are the business of keys and sealing",
    },
    Home {
        names: &["getrandom"],
        places: &["src/random.rs"],
        reason: "there is one door to randomness",
    },
    Home {
        names: &["zeroize"],
        // Besides the two homes: Argon2's block memory, the checksum of a written code, the key of
        // one message, and the blocks that SQLite frees.
        places: &[
            "src/memory.rs",
            "src/secret.rs",
            "src/keys/code.rs",
            "src/keys/kdf.rs",
            "src/sealing/aead/aws_lc.rs",
            "src/storage/heap.rs",
        ],
        reason: "secrets live in the types of secret, which wipe themselves",
    },
    Home {
        names: &["std::time::SystemTime", "SystemTime"],
        places: &["src/time.rs"],
        reason: "the wall clock is read in one place",
    },
    Home {
        names: &["std::time::Instant", "Instant"],
        places: &[],
        reason: "it stands still while the device sleeps (R-71)",
    },
    Home {
        names: &["std::env", "std::net", "std::process"],
        places: &[],
        reason: "the store has no environment, no network and no children (R-144)",
    },
];

#[test]
fn imports_point_down_the_ranks() {
    stands(rules::imports(&Tree::read(), RANKS));
}

#[test]
fn an_import_that_points_up_is_reported() {
    let imports = |path: &str, text: &str| rules::imports(&Tree::of([(path, text)]), RANKS).len();
    assert_eq!(imports("src/fs/lock.rs", "use crate::error::Result;"), 0);
    assert_eq!(
        imports("src/error/mod.rs", "use crate::{id, time::Timestamp};"),
        0
    );
    assert_eq!(imports("src/fs/lock.rs", "use super::private;"), 0);
    assert_eq!(imports("src/vault/mod.rs", "mod create; use create::x;"), 0);
    assert_eq!(imports("src/lib.rs", "use crate::vault::Vault;"), 0);
    assert_eq!(imports("src/fs/lock.rs", "// use crate::keys;"), 0);
    assert_eq!(
        imports("src/fs/lock.rs", "pub(crate) fn f(&self) { self.g() }"),
        0
    );

    for (path, text) in [
        ("src/fs/lock.rs", "use crate::keys::Slot;"),
        ("src/fs/lock.rs", "use crate::{error::Result, keys::Slot};"),
        ("src/fs/lock.rs", "fn f() { crate::session::open() }"),
        ("src/fs/lock.rs", "use super::super::keys;"),
        ("src/fs/mod.rs", "use super::keys;"),
        (
            "src/fs/lock.rs",
            "use super::{private, super::vault::Vault as V};",
        ),
        (
            "src/fs/lock.rs",
            "mod inner { use super::super::super::sealing::Sealed; }",
        ),
        ("src/keys/slot.rs", "use crate::storage::Store;"),
        ("src/storage/rows.rs", "use crate::keys;"),
        ("src/error/mod.rs", "use crate::fs::private;"),
        ("src/fs/lock.rs", "use crate::Error;"),
        ("src/fs/lock.rs", "use crate::*;"),
        ("src/fs/lock.rs", "use crate as house;"),
        ("src/util.rs", ""),
    ] {
        assert_eq!(imports(path, text), 1, "{path}: {text}");
    }
}

#[test]
fn the_page_has_the_same_ranks_and_knows_which_rooms_are_built() {
    let rows = page::ranks(&page::read());
    let mut written: Vec<_> = rows
        .iter()
        .map(|row| (row.rank, row.room.as_str()))
        .collect();
    written.sort_unstable();
    assert_eq!(written, RANKS);

    let tree = Tree::read();
    for row in rows.iter().filter(|row| row.planned) {
        let built = tree
            .files
            .iter()
            .any(|file| file.room().as_ref() == Some(&row.room));
        assert!(
            !built,
            "docs/architecture.md says `{}` is not built yet",
            row.room
        );
    }
}

#[test]
fn unsafe_stands_only_in_the_named_files() {
    stands(rules::unsafe_files(&Tree::read(), UNSAFE));
    assert_eq!(page::unsafe_files(&page::read()), UNSAFE);
}

#[test]
fn unsafe_elsewhere_is_reported() {
    let faults = |text: &str| rules::unsafe_files(&Tree::of([("src/fs/lock.rs", text)]), UNSAFE);
    assert_eq!(faults("fn f() { unsafe { g() } }").len(), 1);
    assert_eq!(
        faults("#[cfg(test)] mod tests { unsafe impl Send for X {} }").len(),
        1
    );
    assert_eq!(
        faults("#![deny(unsafe_code)] // unsafe\nconst X: &str = \"unsafe\";").len(),
        0
    );
    let idle = Tree::of([("src/memory.rs", "//! Nothing raw is left.")]);
    assert_eq!(rules::unsafe_files(&idle, UNSAFE).len(), 1);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    stands(rules::safety_comments(&Tree::read()));
}

#[test]
fn an_unsafe_block_without_a_reason_is_reported() {
    let faults = |text: &str| rules::safety_comments(&Tree::of([("src/memory.rs", text)])).len();
    assert_eq!(
        faults("// SAFETY: it is mapped.\nlet x =\n    unsafe { f() };"),
        0
    );
    assert_eq!(
        faults("// SAFETY: plain bytes,\n// one owner.\nunsafe impl Send for X {}"),
        0
    );
    assert_eq!(faults("let y = 1;\nlet x = unsafe { f() };"), 1);
    assert_eq!(
        faults("// SAFETY: for another one.\nlet y = 1;\nlet x = unsafe { f() };"),
        1
    );
    assert_eq!(faults("// It is fine.\nunsafe impl Send for X {}"), 1);
}

/// What a callback of the VFS does its work in.
const CATCHING: &[&str] = &["ask_below", "guarded", "pass_on", "with_state"];

#[test]
fn no_panic_crosses_from_the_vfs_into_sqlite() {
    stands(rules::caught(&Tree::read(), "src/storage/vfs/", CATCHING));
}

#[test]
fn a_callback_that_catches_no_panic_is_reported() {
    let faults = |text: &str| {
        let tree = Tree::of([("src/storage/vfs/ffi.rs", text)]);
        rules::caught(&tree, "src/storage/vfs/", CATCHING).len()
    };
    let caught = "unsafe extern \"C\" fn f(x: c_int) -> c_int { unsafe { pass_on(x, g) } }";
    assert_eq!(faults(caught), 0);
    let bare = "unsafe extern \"C\" fn f(x: c_int) -> c_int { if x { 1 } else { 0 } }";
    assert_eq!(faults(bare), 1);
    assert_eq!(faults(&[bare, caught].concat()), 1);
    assert_eq!(
        faults("type F = unsafe extern \"C\" fn(c_int) -> c_int;"),
        0
    );
}

#[test]
fn names_stay_in_their_rooms() {
    stands(rules::homes(&Tree::read(), HOMES));
}

#[test]
fn a_name_outside_its_room_is_reported() {
    let homes = |path: &str, text: &str| rules::homes(&Tree::of([(path, text)]), HOMES).len();
    assert_eq!(
        homes(
            "src/fs/lock.rs",
            "use std::fs::File; use rustix::fs::flock;"
        ),
        0
    );
    assert_eq!(
        homes(
            "src/records/mod.rs",
            "use crate::fs::Directory; fs::read();"
        ),
        0
    );
    assert_eq!(homes("src/secret.rs", "use zeroize::Zeroize;"), 0);
    assert_eq!(
        homes(
            "src/keys/slot.rs",
            "#[cfg(test)] mod tests { use std::fs; }"
        ),
        0
    );
    assert_eq!(
        homes("src/storage/x.rs", "#[cfg(test)] use std::fs; fn f() {}"),
        0
    );

    for (path, text) in [
        ("src/records/x.rs", "use std::fs;"),
        ("src/records/x.rs", "use ::std::fs as f;"),
        (
            "src/records/x.rs",
            "use std::{io, path::{Path, PathBuf}, fs::{File}};",
        ),
        ("src/records/x.rs", "fn f() { std::fs::read(p) }"),
        ("src/storage/x.rs", "let f = File::open(p);"),
        ("src/storage/x.rs", "use rustix::{fs::openat, io};"),
        ("src/vault/x.rs", "fn f(c: &rusqlite::Connection) {}"),
        ("src/keys/x.rs", "use xaes_256_gcm::Xaes256Gcm;"),
        ("src/sealing/x.rs", "use aws_lc_rs::aead::LessSafeKey;"),
        ("src/storage/x.rs", "use aes::Aes256;"),
        ("src/vault/x.rs", "use argon2::Argon2;"),
        ("src/sealing/x.rs", "use hkdf::Hkdf;"),
        ("src/storage/x.rs", "use sha2::Sha256;"),
        ("src/keys/x.rs", "getrandom::fill(bytes);"),
        ("src/records/x.rs", "use zeroize::Zeroizing;"),
        ("src/session/x.rs", "use std::time::Instant;"),
        ("src/session/x.rs", "let now = SystemTime::now();"),
        ("src/vault/x.rs", "std::env::var(name)"),
        ("src/vault/x.rs", "#[cfg(not(test))] use std::fs;"),
    ] {
        assert_eq!(homes(path, text), 1, "{path}: {text}");
    }
}

#[test]
fn every_file_is_headed_and_every_door_is_only_a_door() {
    stands(rules::doors(&Tree::read()));
}

#[test]
fn a_missing_head_or_a_door_with_logic_is_reported() {
    let faults = |path: &str, text: &str| rules::doors(&Tree::of([(path, text)])).len();
    let head =
        "//! A room.\n//!\n//! **Does** a thing.\n//! **Never** another.\n//! **Format** none.\n";
    assert_eq!(faults("src/fs/mod.rs", &format!("{head}mod lock;")), 0);
    assert_eq!(faults("src/time.rs", &format!("{head}fn f() {{}}")), 0);
    assert_eq!(
        faults("src/fs/lock.rs", "//! One process per vault.\nfn f() {}"),
        0
    );
    assert_eq!(faults("src/fs/lock.rs", "use std::io;"), 1);
    assert_eq!(faults("src/fs/mod.rs", &format!("{head}fn f() {{}}")), 1);
    assert_eq!(
        faults("src/storage/vfs/mod.rs", "//! Seals pages.\nfn f() {}"),
        1
    );
    assert_eq!(
        faults("src/time.rs", &head.replace("**Never**", "Never")),
        1
    );
}

#[test]
fn no_refused_word_is_used() {
    stands(rules::refused_words(&Tree::read()));
}

#[test]
fn a_refused_word_is_reported() {
    let faults = |text: &str| rules::refused_words(&Tree::of([("src/vault/x.rs", text)])).len();
    assert_eq!(
        faults("let authenticated = open(key)?; // authenticated = true"),
        0
    );
    for text in [
        "self.authenticated = true;",
        "Session { authenticated: true }",
        "if session.is_authenticated() {}",
        "let mut random = rand::thread_rng();",
        "fn f(random: SmallRng) {}",
        "X::seed_from_u64(1)",
        "#[macro_export] macro_rules! x {}",
        "#[path = \"../elsewhere.rs\"] mod x;",
        "include!(\"elsewhere.rs\");",
    ] {
        assert_eq!(faults(text), 1, "{text}");
    }
}

#[test]
fn sql_is_never_put_together_from_text() {
    stands(rules::formatted_sql(&Tree::read()));
}

#[test]
fn formatted_sql_is_reported() {
    let faults = |text: &str| rules::formatted_sql(&Tree::of([("src/storage/x.rs", text)])).len();
    assert_eq!(faults("const ALL: &str = \"SELECT id FROM records\";"), 0);
    assert_eq!(faults("write!(f, \"UPDATED {n}\")"), 0);
    assert_eq!(faults("format!(\"SELECT id FROM {table}\")"), 1);
    assert_eq!(
        faults("let sql = format!(\n    \"{}\", concat!(\"DELETE \", \"FROM x\"));"),
        1
    );
    assert_eq!(faults("write!(sql, r#\"insert: INSERT INTO {t}\"#)"), 1);
    assert_eq!(faults("f(format!(\"{n}\"), \"SELECT 1\")"), 0);
}

#[test]
fn no_file_is_longer_than_its_reader_has_patience() {
    stands(rules::lengths(&Tree::read(), LIMIT, LONGER));
}

#[test]
fn a_long_file_is_reported_and_its_tests_do_not_count() {
    let path = "src/fs/lock.rs";
    let faults = |text: &str, longer: &[(&str, &str)]| {
        rules::lengths(&Tree::of([(path, text)]), LIMIT, longer).len()
    };
    let lines = |count: usize| "const X: u8 = 1;\n".repeat(count);
    let tested = format!(
        "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
        lines(400),
        lines(100)
    );
    assert_eq!(faults(&lines(400), &[]), 0);
    assert_eq!(faults(&tested, &[]), 0);
    assert_eq!(faults(&lines(401), &[]), 1);
    assert_eq!(faults(&lines(401), &[(path, "a table")]), 0);
    assert_eq!(faults(&lines(400), &[(path, "a table")]), 1);
}

#[test]
fn a_module_declared_for_tests_is_a_test_and_its_neighbour_is_not() {
    let tree = Tree::of([
        ("src/fs/mod.rs", "#[cfg(test)]\nmod fault;\nmod lock;"),
        ("src/fs/fault.rs", "use crate::vault::Vault;"),
        ("src/fs/lock.rs", "use crate::vault::Vault;"),
    ]);
    let faults = rules::imports(&tree, RANKS);
    assert_eq!(
        faults,
        ["src/fs/lock.rs:1: `fs` (rank 1) imports `vault` (rank 8)"]
    );
}

#[test]
fn the_checks_see_the_whole_of_src() {
    let tree = Tree::read();
    for path in ["src/lib.rs", "src/error/kind.rs", "src/memory.rs"] {
        let file = tree
            .files
            .iter()
            .find(|file| file.path == path)
            .expect(path);
        assert!(file.production.len() > 20, "{path} is read as code");
    }
}

/// Fails, naming every fault.
#[track_caller]
fn stands(faults: Faults) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
