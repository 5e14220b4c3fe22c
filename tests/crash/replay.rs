//! An intent that a crash left, kept by a thief and planted again once it was done.

use vitalock::{Class, Credentials, ErrorKind, Vault};

use crate::change::{Change, Start, reopen};
use crate::child::{Task, calls, run, strace_works};
use crate::support::fixture::{Twin, copy, unlock, unsealed};
use crate::support::unsealed::Unsealed;

#[test]
fn an_intent_that_was_done_and_is_planted_again_is_refused() {
    if !strace_works() {
        return;
    }
    let start = Start::make();
    for change in [
        Change::PutInTwoClasses,
        Change::Move(Class::Emergency, Class::Standard),
    ] {
        let counted = start.copy();
        let mut places = calls(change, &counted.vault(), "fsync").into_iter();
        let planted = places.any(|at| {
            let scratch = start.copy();
            let inject = format!("inject=fsync:signal=SIGKILL:when={at}");
            let words = ["-o", "/dev/null", "-e", "trace=fsync", "-e", &inject];
            run(Task::Change(change), &scratch.vault(), &words);
            let crashed = scratch.path().join("crashed");
            copy(&scratch.vault(), &crashed);
            let Some(kept) = intent(&crashed) else {
                return false;
            };
            let done = reopen(&scratch.vault());
            plant(&scratch.vault(), &kept);
            let vault = Vault::open(scratch.vault()).unwrap();
            let refused = vault.unlock(&Credentials::share(&Twin)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::TamperDetected, "{change:?}");
            drop(vault);
            let connection = emergency(&scratch.vault());
            connection.execute("DELETE FROM intents", []).unwrap();
            drop(connection);
            drop(unlock(&Vault::open(scratch.vault()).unwrap()));
            assert!(
                reopen(&scratch.vault()) == done,
                "nothing of it was done again"
            );
            true
        });
        assert!(planted, "{change:?}: some crash left an intent");
    }
}

type Intent = (Vec<u8>, i64, Vec<u8>);

fn emergency(vault: &std::path::Path) -> Unsealed {
    unsealed(vault, Class::Emergency)
}

fn intent(vault: &std::path::Path) -> Option<Intent> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    emergency(vault)
        .query_row("SELECT intent, class, body FROM intents", [], row)
        .ok()
}

fn plant(vault: &std::path::Path, intent: &Intent) {
    let sql = "INSERT INTO intents (intent, class, body) VALUES (?1, ?2, ?3)";
    emergency(vault)
        .execute(sql, (&intent.0, intent.1, &intent.2))
        .unwrap();
}
