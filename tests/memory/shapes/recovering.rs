//! Coming back with the written code.

use vitalock::{Credentials, RecoveryCode, Session, Vault};

use super::{lock, put_and_read};
use crate::child::Child;

fn recover(child: &Child, old: impl FnOnce(&Vault, &RecoveryCode, Credentials<'_>) -> Session) {
    let vault = child.open();
    let code = RecoveryCode::parse(child.typed("recovery code").bytes()).unwrap();
    let words = child.words("new words");
    let phone = child.host("phone");
    let session = old(&vault, &code, Credentials::passphrase(&words).and(&phone));
    drop((code, words));
    put_and_read(child, &session);
    lock(child, vault, session);
}

/// Goes through a recovery with its new code, once mistyped.
fn confirm(child: &Child, vault: &Vault, old: Credentials<'_>, new: Credentials<'_>) -> Session {
    let mut recovery = vault.recover(&old, new).unwrap();
    recovery
        .code()
        .reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    let typed = child.typed("new code");
    assert!(recovery.confirm(&typed.bytes()[1..]).is_err());
    recovery.confirm(typed.bytes()).unwrap()
}

pub(crate) fn recovery_by_passphrase(child: &Child) {
    recover(child, |vault, code, new| {
        // The recovery slots follow the passphrase that was added last.
        let words = child.words("long words");
        confirm(
            child,
            vault,
            Credentials::recovery(code).and_passphrase(&words),
            new,
        )
    });
}

pub(crate) fn recovery_by_share(child: &Child) {
    recover(child, |vault, code, new| {
        let phone = child.host("phone");
        confirm(child, vault, Credentials::recovery(code).and(&phone), new)
    });
}

pub(crate) fn recovery_by_code(child: &Child) {
    recover(child, |vault, code, new| {
        confirm(child, vault, Credentials::recovery(code), new)
    });
}
