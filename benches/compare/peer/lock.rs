//! Which version of a crate was built, for the peers that do not tell it themselves.

/// The version of a package in the text of a `Cargo.lock`.
pub(crate) fn version_of<'a>(package: &str, lock: &'a str) -> &'a str {
    let (_, after) = lock
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .expect("the package is locked");
    after.split('"').next().expect("a version ends in a quote")
}
