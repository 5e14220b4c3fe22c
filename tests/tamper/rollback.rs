//! An old header put back: it opens nothing to old factors whose platform key is gone, and
//! one old copy beside a newer one decides nothing.

use vitalock::{Credentials, ErrorKind, KeyShare, Passphrase, RecoveryCode, Vault};

use crate::frozen::{COPIES, Frozen, assert_everything, but_databases, read_all};
use crate::support::{Scratch, options};

const NEW_WORDS: &[u8] = b"7 other herons fly";

/// Runs `change` in a lease, and gives the header as it was before and as it is after.
fn changed(frozen: &Frozen, change: impl FnOnce(&vitalock::Lease)) -> (Vec<u8>, Vec<u8>) {
    let old = frozen.now()["header"].clone();
    let vault = Vault::open(frozen.dir()).unwrap();
    let session = vault.unlock(&frozen.everyday()).unwrap();
    let lease = session.step_up(&frozen.everyday()).unwrap();
    change(&lease);
    drop((lease, session, vault));
    let new = frozen.now();
    assert_eq!(new["header"], new["header.2"]);
    (old, new["header"].clone())
}

#[test]
fn an_old_header_and_the_old_passphrase_open_nothing() {
    let frozen = Frozen::make();
    let words = Passphrase::new(NEW_WORDS).unwrap();
    let new_factors = Credentials::passphrase(&words).and(&*frozen.keychain);
    let (old, new) = changed(&frozen, |lease| {
        let slot = lease.slots().list().unwrap()[0].id;
        lease.slots().replace(slot, &new_factors).unwrap();
    });
    frozen.put_both(&old);
    for factors in [frozen.everyday(), new_factors] {
        assert_eq!(frozen.failure(&factors), Some(ErrorKind::ShareMissing));
    }
    assert_eq!(frozen.now()["header"], old, "nothing was written");

    // In one copy it neither helps the old passphrase nor hinders the new one.
    for (name, twin) in [(COPIES[0], COPIES[1]), (COPIES[1], COPIES[0])] {
        frozen.put(name, &old);
        frozen.put(twin, &new);
        assert_eq!(
            frozen.failure(&frozen.everyday()),
            Some(ErrorKind::UnlockFailed)
        );
        assert_eq!(frozen.now()[name], old, "nothing was written");
        assert_eq!(frozen.failure(&new_factors), None);
        assert_eq!(frozen.now()[name], new, "healed forwards");
    }
    let vault = Vault::open(frozen.dir()).unwrap();
    assert_everything(&vault.unlock(&new_factors).unwrap(), &new_factors);
}

#[test]
fn an_old_header_brings_back_no_removed_finger_and_no_used_code() {
    let frozen = Frozen::make();
    let (old, _) = changed(&frozen, |lease| {
        let slots = lease.slots();
        let touch = |slot: &&vitalock::SlotInfo| slot.provider.as_deref() == Some("finger");
        let id = slots.list().unwrap().iter().find(touch).unwrap().id;
        let finger: &dyn KeyShare = &*frozen.finger;
        slots.remove(id, Some(finger)).unwrap();
        let everyday = frozen.everyday();
        let renewal = slots.renew_recovery(&everyday).unwrap();
        let code = renewal.code().reveal(str::to_owned);
        renewal.confirm(code.as_bytes()).unwrap();
    });
    frozen.put_both(&old);
    assert_eq!(
        frozen.failure(&frozen.touch()),
        Some(ErrorKind::ShareMissing)
    );
    let vault = Vault::open(frozen.dir()).unwrap();
    let used = Credentials::recovery(&frozen.code).and(&*frozen.keychain);
    let error = vault.recover(&used, frozen.everyday()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShareMissing);
}

/// A change that reached only one copy, as when the second could not be written, is a change: the
/// passphrase that it took away must not come back and undo it.
#[test]
fn a_slot_that_only_an_older_copy_has_opens_nothing_although_no_share_guards_it() {
    let scratch = Scratch::new();
    let words = [
        b"a passphrase by itself".as_slice(),
        b"and another by itself",
    ];
    let [old_words, new_words] = words.map(|words| Passphrase::new(words).unwrap());
    let [old, new] = [&old_words, &new_words].map(Credentials::passphrase);
    let setup = Vault::create(scratch.vault(), options(), old).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    let before = read_all(&scratch.vault());
    {
        let session = vault.unlock(&old).unwrap();
        let lease = session.step_up(&old).unwrap();
        let slot = lease.slot();
        lease.slots().replace(slot, &new).unwrap();
    }
    drop(vault);
    let after = but_databases(&scratch.vault());
    for name in COPIES {
        crate::frozen::put(&scratch.vault(), name, &before[name]);
        let mixed = read_all(&scratch.vault());
        let vault = Vault::open(scratch.vault()).unwrap();
        assert_eq!(
            vault.unlock(&old).unwrap_err().kind(),
            ErrorKind::UnlockFailed
        );
        assert_eq!(read_all(&scratch.vault()), mixed, "nothing was written");
        drop(vault.unlock(&new).unwrap());
        assert_eq!(
            vault.unlock(&old).unwrap_err().kind(),
            ErrorKind::UnlockFailed
        );
        let code = RecoveryCode::parse(code.as_bytes()).unwrap();
        drop(vault.recover(&Credentials::recovery(&code), new).unwrap());
        drop(vault);
        assert_eq!(but_databases(&scratch.vault()), after, "healed forwards");
    }
}
