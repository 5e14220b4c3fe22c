//! One handle for a vault, whoever asks.

use vitalock::{ErrorKind, RecordId, Vault};

use crate::child::line;
use crate::process::{
    STRANGER, Talking, elsewhere, elsewhere_as, factors, is_root, make_plain, run,
};
use crate::support::{Scratch, words};
use crate::tree::tree;

fn refusal<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

const BUSY: Option<ErrorKind> = Some(ErrorKind::VaultBusy);

#[test]
fn a_second_handle_of_this_process_waits_for_the_last_of_the_first() {
    let (scratch, words) = (Scratch::new(), words());
    let vault = make_plain(&scratch.vault(), &words).unwrap();
    assert_eq!(refusal(Vault::open(scratch.vault())), BUSY);
    let session = vault.unlock(&factors(&words)).unwrap();
    assert_eq!(refusal(Vault::open(scratch.vault())), BUSY);
    drop(vault);
    let kept = refusal(Vault::open(scratch.vault()));
    assert_eq!(kept, BUSY, "the session still has the files open");
    session.lock();
    drop(session);
    let vault = Vault::open(scratch.vault()).unwrap();
    drop(vault.unlock(&factors(&words)).unwrap());
}

#[test]
fn a_second_process_waits_until_the_first_lets_go_or_dies() {
    let (scratch, words) = (Scratch::new(), words());
    drop(make_plain(&scratch.vault(), &words).unwrap());
    let hold = || {
        let mut holder = Talking::start(elsewhere(&line("hold", &scratch.vault())));
        let id = RecordId::parse(&holder.hear().unwrap()).unwrap();
        (holder, id)
    };
    let (mut holder, first) = hold();
    assert_eq!(refusal(Vault::open(scratch.vault())), BUSY);
    holder.go_on();
    assert_eq!(holder.hear().as_deref(), Some("dropped"));
    drop(Vault::open(scratch.vault()).unwrap());
    holder.go_on();
    assert!(holder.end().0.success());

    let (holder, second) = hold();
    assert_eq!(refusal(Vault::open(scratch.vault())), BUSY);
    holder.kill();
    let vault = Vault::open(scratch.vault()).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    for id in [first, second] {
        assert_eq!(session.get(id).unwrap().unwrap().body(), b"held");
    }
}

#[test]
fn a_directory_or_a_file_that_cannot_be_written_is_said_to_be_so() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    let (scratch, words) = (Scratch::new(), words());
    let dir = scratch.vault();
    drop(make_plain(&dir, &words).unwrap());
    let root = rustix::process::geteuid().is_root();
    let attempt = || {
        let words = line("attempt", &dir);
        let (said, status, rest) = run(match root {
            true => elsewhere_as(STRANGER, &words),
            false => elsewhere(&words),
        });
        assert!(status.success(), "{said:?}: {rest}");
        said
    };
    if root {
        // Root may write everywhere, so all of it is another's, who does the rest.
        crate::process::give_away(scratch.path());
        crate::process::give_away(&dir);
        for entry in dir.read_dir().unwrap() {
            crate::process::give_away(&entry.unwrap().path());
        }
    }
    let mode = |name: &str, mode| set_permissions(dir.join(name), Permissions::from_mode(mode));
    assert_eq!(attempt(), ["VaultExists", "put"]);
    let before = tree(&dir);
    mode("", 0o500).unwrap();
    assert_eq!(attempt(), ["VaultExists", "ReadOnly"]);
    mode("", 0o700).unwrap();
    for name in ["standard.db", "emergency.db"] {
        mode(name, 0o400).unwrap();
        assert_eq!(attempt(), ["VaultExists", "ReadOnly"], "{name}");
        mode(name, 0o600).unwrap();
    }
    mode("lock", 0o400).unwrap();
    assert_eq!(attempt(), ["VaultExists", "ReadOnly"]);
    mode("lock", 0o600).unwrap();
    assert_eq!(tree(&dir), before);
    assert_eq!(attempt(), ["VaultExists", "put"]);
}

#[test]
fn another_user_gets_nothing() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    if !is_root("another_user_gets_nothing") {
        return;
    }
    let scratch = Scratch::new();
    drop(make_plain(&scratch.vault(), &words()).unwrap());
    let before = tree(&scratch.vault());
    let attempt = || run(elsewhere_as(STRANGER, &line("attempt", &scratch.vault()))).0;
    set_permissions(scratch.path(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(attempt(), ["Io", "Io"], "cannot even look");
    set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(attempt(), ["PathForeignOwner", "PathForeignOwner"]);
    for name in ["", "header", "lock", "standard.db"] {
        let path = scratch.vault().join(name);
        let mut reader = std::process::Command::new("cat");
        std::os::unix::process::CommandExt::uid(&mut reader, STRANGER);
        let read = reader.arg(&path).output().unwrap();
        assert!(!read.status.success() && read.stdout.is_empty(), "{name}");
    }
    assert_eq!(tree(&scratch.vault()), before);
}
