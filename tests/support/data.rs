//! Real data that is not part of the project.
//!
//! **Does** find the shared archives and unpack each once, into a cache that git ignores.
//! **Never** fails a test because the data is absent: it says so, whatever the test harness hides.
//! **Format** tar archives, unpacked by `tar`.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io, process};

/// The folder with what `archive` (such as `fhir/x.tar.xz`) holds; `None`, and a loud word, if
/// there is no such archive here. It is looked for under `$VITALOCK_SHARED/data`, else under
/// `../shared/data` beside the project.
pub(crate) fn unpacked(archive: &str) -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared =
        env::var_os("VITALOCK_SHARED").map_or_else(|| project.join("../shared"), PathBuf::from);
    let packed = shared.join("data").join(archive);
    let stem = packed.file_name()?.to_str()?.split(".tar").next()?;
    let cache = project.join(".cache/data");
    let folder = cache.join(stem);
    if folder.is_dir() {
        return Some(folder);
    }
    if !packed.is_file() {
        return skipped(archive, "the archive is not here");
    }
    // Unpacked under a name of this process and renamed, so that the folder is whole or not there.
    let partial = cache.join(format!("{stem}.{}.partial", process::id()));
    fs::create_dir_all(&partial).expect("the cache can be written");
    let tar = Command::new("tar")
        .arg("-xf")
        .arg(&packed)
        .arg("-C")
        .arg(&partial)
        .status();
    if !tar.is_ok_and(|status| status.success()) {
        fs::remove_dir_all(&partial).expect("the cache can be written");
        return skipped(archive, "tar cannot unpack it");
    }
    if let Err(error) = fs::rename(&partial, &folder) {
        // Another test was faster.
        fs::remove_dir_all(&partial).expect("the cache can be written");
        assert!(folder.is_dir(), "the cache cannot be written: {error}");
    }
    Some(folder)
}

/// Every file under `folder` whose name ends in `.json`, in the order of their names.
pub(crate) fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Tells the person who runs the tests, past what the harness captures.
pub(crate) fn tell(words: &str) {
    writeln!(io::stderr(), "{words}").expect("standard error can be written");
}

fn skipped(archive: &str, why: &str) -> Option<PathBuf> {
    tell(&format!("SKIPPED: {archive}: {why}"));
    None
}
