//! Whether what is left of a vault is what has to be there.

use std::fs;
use std::path::Path;

use vitalock::{Credentials, ErrorKind, Record, Vault};

use crate::change::try_reopen;
use crate::life::{Life, Step, passphrase};
use crate::support::fixture::{Twin, make_quick_vault, step_up, unlock};

/// Opens what is left of a vault and holds it against its life: whether the step after those that
/// were acknowledged is done, as far as one can see, or else what is wrong.
pub(crate) fn judge(dir: &Path, seed: u64, acknowledged: u64) -> Result<bool, String> {
    let (life, next) = (
        Life::at(seed, acknowledged),
        Life::at(seed, acknowledged + 1),
    );
    let state = try_reopen(dir).map_err(|error| format!("does not open: {:?}", error.kind()))?;
    let (before, after) = (life.state(), next.state());
    let is_after = state == after && state != before;
    let between = life.step() == Step::EraseExpired && state.is_between(&before, &after);
    if !(is_after || state == before || between) {
        return Err(format!(
            "{state:#?}\nis neither\n{before:#?}\nnor\n{after:#?}"
        ));
    }
    if fs::read(dir.join("header")).ok() != fs::read(dir.join("header.2")).ok() {
        return Err("the copies of the header differ".to_owned());
    }
    words_open(dir, seed, acknowledged)?;
    Ok(is_after)
}

/// Where the passphrase was just replaced, or was about to be: that of now opens the vault and the
/// one before does not, or one of them does.
fn words_open(dir: &Path, seed: u64, acknowledged: u64) -> Result<(), String> {
    let numbers = [
        acknowledged.saturating_sub(1),
        acknowledged,
        acknowledged + 1,
    ];
    let [before, now, after] = numbers.map(|number| Life::at(seed, number).words);
    let (first, second, required) = match (before == now, now == after) {
        (true, true) => return Ok(()),
        (false, _) => (before, now, Some(false)),
        (true, false) => (now, after, None),
    };
    let vault = Vault::open(dir).map_err(|error| format!("{error}"))?;
    let opens = |number| {
        let words = passphrase(number);
        match vault.unlock(&Credentials::passphrase(&words).and(&Twin)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnlockFailed => Ok(false),
            Err(error) => Err(format!("{error}")),
        }
    };
    let (first, second) = (opens(first)?, opens(second)?);
    match required {
        _ if first == second => Err(format!("both passphrases open, or neither: {first}")),
        Some(required) if first != required => Err("the replaced passphrase opens".to_owned()),
        _ => Ok(()),
    }
}

/// That the vault can be written to.
pub(crate) fn it_goes_on(dir: &Path) -> vitalock::Result<()> {
    let vault = Vault::open(dir)?;
    let session = unlock(&vault);
    let lease = step_up(&session);
    let stored = lease.put(Record::new("later", "it goes on"))?;
    assert!(lease.get(stored.id)?.is_some());
    Ok(())
}

/// Whether a vault is there, which its first words open, or one can be made instead.
pub(crate) fn stands(dir: &Path) -> vitalock::Result<bool> {
    let (vault, was_there) = match Vault::open(dir) {
        Ok(vault) => (vault, true),
        Err(error) => match error.kind() {
            ErrorKind::VaultIncomplete | ErrorKind::VaultNotFound => {
                (make_quick_vault(dir, true), false)
            }
            _ => return Err(error),
        },
    };
    let words = passphrase(0);
    let session = vault.unlock(&Credentials::passphrase(&words).and(&Twin))?;
    let lease = session.step_up(&Credentials::passphrase(&words).and(&Twin))?;
    let stored = lease.put(Record::new("first", "it begins"))?;
    assert!(lease.get(stored.id)?.is_some());
    drop(lease);
    session.lock();
    drop((session, vault));
    Ok(was_there)
}
