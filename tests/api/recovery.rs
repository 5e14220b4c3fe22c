//! Ways back with the written code: for a lost phone, a forgotten passphrase, a vault without a key
//! store, and for nobody who only found the code.

use vitalock::{
    Credentials, ErrorKind, Options, Passphrase, Query, Record, RecoveryCode, SlotKind, Vault,
};

use crate::support::{
    Keystore, Scratch, files_of, headers_of, make_vault, make_vault_with, options, words,
};

const NEW_WORDS: &[u8] = b"7 other herons fly";

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn parse(code: &str) -> RecoveryCode {
    RecoveryCode::parse(code.as_bytes()).unwrap()
}

fn kinds(vault: &Vault) -> Vec<SlotKind> {
    vault.slots().iter().map(|slot| slot.kind).collect()
}

/// Recovers, and gives the new code.
fn recover(vault: &Vault, old: &Credentials<'_>, new: Credentials<'_>) -> String {
    let mut recovery = vault.recover(old, new).unwrap();
    let code = recovery.code().reveal(str::to_owned);
    let session = recovery.confirm(code.as_bytes()).unwrap();
    assert_eq!(session.count(&Query::new()).unwrap(), 1);
    drop(session.step_up(&new).unwrap());
    code
}

fn put_one(vault: &Vault, factors: &Credentials<'_>) {
    vault
        .unlock(factors)
        .unwrap()
        .put(Record::new("Note", "kept"))
        .unwrap();
}

#[test]
fn a_lost_phone_is_replaced_with_code_and_passphrase() {
    let (scratch, phone, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &phone);
    let old = Credentials::passphrase(&words).and(&phone);
    put_one(&vault, &old);
    let new_phone = Keystore::new();
    let new = Credentials::passphrase(&words).and(&new_phone);
    let code = parse(&code);
    let share = Credentials::recovery(&code).and(&new_phone);
    assert_eq!(
        kind(vault.recover(&share, new)),
        Some(ErrorKind::ShareMissing)
    );
    let by_words = Credentials::recovery(&code).and_passphrase(&words);
    let next = recover(&vault, &by_words, new);
    assert_eq!(new_phone.live_keys(), 4);
    drop(vault.unlock(&new).unwrap());
    assert!(vault.unlock(&old).is_err(), "the lost phone opens nothing");
    // The code was used; the next one works.
    assert_eq!(
        kind(vault.recover(&by_words, new)),
        Some(ErrorKind::UnlockFailed)
    );
    let next = parse(&next);
    recover(&vault, &Credentials::recovery(&next).and(&new_phone), new);
    assert_eq!(
        new_phone.live_keys(),
        4,
        "and the keys of the slots before are gone"
    );
}

#[test]
fn a_forgotten_passphrase_is_replaced_with_code_and_phone() {
    let (scratch, phone, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &phone);
    let old = Credentials::passphrase(&words).and(&phone);
    put_one(&vault, &old);
    let finger = Keystore::named("finger");
    {
        let session = vault.unlock(&old).unwrap();
        let lease = session.step_up(&old).unwrap();
        lease.slots().add(&Credentials::share(&finger)).unwrap();
        lease.slots().add_emergency().unwrap();
    }
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let new = Credentials::passphrase(&new_words).and(&phone);
    let code = parse(&code);
    recover(&vault, &Credentials::recovery(&code).and(&phone), new);
    assert_eq!(kind(vault.unlock(&old)), Some(ErrorKind::UnlockFailed));
    let touch = vault.unlock(&Credentials::share(&finger));
    assert_eq!(
        kind(touch),
        Some(ErrorKind::NoMatchingSlot),
        "every finger enrols anew"
    );
    let mut found = kinds(&vault);
    found.sort_by_key(|kind| SlotKind::ALL.iter().position(|other| other == kind));
    let expected = [
        SlotKind::Primary,
        SlotKind::RecoveryShare,
        SlotKind::RecoveryPassphrase,
        SlotKind::Emergency,
    ];
    assert_eq!(found, expected);
    assert_eq!(phone.live_keys(), 4);
}

#[test]
fn the_code_goes_with_the_passphrase_that_is_valid_now() {
    let (scratch, phone, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &phone);
    let old = Credentials::passphrase(&words).and(&phone);
    put_one(&vault, &old);
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let new = Credentials::passphrase(&new_words).and(&phone);
    {
        let session = vault.unlock(&old).unwrap();
        let lease = session.step_up(&old).unwrap();
        lease.slots().replace(lease.slot(), &new).unwrap();
    }
    let code = parse(&code);
    let by_old = Credentials::recovery(&code).and_passphrase(&words);
    assert_eq!(
        kind(vault.recover(&by_old, new)),
        Some(ErrorKind::UnlockFailed)
    );
    let other_phone = Keystore::named("other-phone");
    let by_new = Credentials::recovery(&code).and_passphrase(&new_words);
    recover(
        &vault,
        &by_new,
        Credentials::passphrase(&new_words).and(&other_phone),
    );
}

#[test]
fn a_vault_without_a_key_store_is_recovered_with_the_code() {
    let (scratch, words) = (Scratch::new(), words());
    let factors = Credentials::passphrase(&words);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    assert_eq!(
        kinds(&vault),
        [SlotKind::Passphrase, SlotKind::RecoveryCode]
    );
    put_one(&vault, &factors);
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let new = Credentials::passphrase(&new_words);
    let code = parse(&code);
    recover(&vault, &Credentials::recovery(&code), new);
    assert_eq!(
        kinds(&vault),
        [SlotKind::Passphrase, SlotKind::RecoveryCode]
    );
    assert_eq!(kind(vault.unlock(&factors)), Some(ErrorKind::UnlockFailed));
    let used = vault.recover(&Credentials::recovery(&code), new);
    assert_eq!(kind(used), Some(ErrorKind::UnlockFailed));
}

/// The code alone is a slot of vaults that have no share. It must not stay when they get one.
#[test]
fn the_code_alone_ends_with_the_vault_that_had_no_share() {
    let (scratch, words, phone) = (Scratch::new(), words(), Keystore::new());
    let alone = Credentials::passphrase(&words);
    let setup = Vault::create(scratch.vault(), options(), alone).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    put_one(&vault, &alone);
    let both = Credentials::passphrase(&words).and(&phone);
    let next = {
        let session = vault.unlock(&alone).unwrap();
        let lease = session.step_up(&alone).unwrap();
        lease.slots().replace(lease.slot(), &both).unwrap();
        let renewal = lease.slots().renew_recovery(&both).unwrap();
        let next = renewal.code().reveal(str::to_owned);
        renewal.confirm(next.as_bytes()).unwrap();
        next
    };
    let expected = [
        SlotKind::Primary,
        SlotKind::RecoveryShare,
        SlotKind::RecoveryPassphrase,
    ];
    assert_eq!(kinds(&vault), expected);
    for code in [parse(&code), parse(&next)] {
        let by_code = vault.recover(&Credentials::recovery(&code), both);
        assert_eq!(kind(by_code.map(|_| ())), Some(ErrorKind::NoMatchingSlot));
    }
    recover(
        &vault,
        &Credentials::recovery(&parse(&next)).and(&phone),
        both,
    );
    assert_eq!(kinds(&vault), expected);
}

#[test]
fn the_code_alone_recovers_only_where_the_app_said_so() {
    let (phone, words) = (Keystore::new(), words());
    let factors = Credentials::passphrase(&words).and(&phone);
    for allowed in [false, true] {
        let scratch = Scratch::new();
        let choice = options().dangerous_recover_by_code_alone(allowed);
        let (vault, code) = make_vault_with(&scratch.vault(), &phone, choice);
        put_one(&vault, &factors);
        assert_eq!(kinds(&vault).contains(&SlotKind::RecoveryCode), allowed);
        let (code, new_phone) = (parse(&code), Keystore::named("new-phone"));
        let new = Credentials::passphrase(&words).and(&new_phone);
        if !allowed {
            let refused = vault.recover(&Credentials::recovery(&code), new);
            assert_eq!(kind(refused.map(|_| ())), Some(ErrorKind::NoMatchingSlot));
            continue;
        }
        let next = parse(&recover(&vault, &Credentials::recovery(&code), new));
        // The choice stays, and each of the three ways takes the new code.
        for by_code in [
            Credentials::recovery(&next),
            Credentials::recovery(&next).and(&new_phone),
            Credentials::recovery(&next).and_passphrase(&words),
        ] {
            drop(vault.recover(&by_code, new).unwrap());
        }
    }
    assert!(format!("{:?}", Options::new()).contains("code_alone: false"));
}

/// A mistyped passphrase beside a new code would be noticed on the day the code is needed.
#[test]
fn a_new_code_is_joined_only_with_factors_that_open_the_vault() {
    let (scratch, phone, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &phone);
    let factors = Credentials::passphrase(&words).and(&phone);
    put_one(&vault, &factors);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let before = files_of(&scratch.vault());
    let mistyped = Passphrase::new(b"vier stille Reiher warten").unwrap();
    for (wrong, expected) in [
        (
            Credentials::passphrase(&mistyped).and(&phone),
            ErrorKind::UnlockFailed,
        ),
        (Credentials::passphrase(&words), ErrorKind::NoMatchingSlot),
        (Credentials::share(&phone), ErrorKind::NoMatchingSlot),
    ] {
        assert_eq!(kind(lease.slots().renew_recovery(&wrong)), Some(expected));
    }
    let renewal = lease.slots().renew_recovery(&factors).unwrap();
    let next = renewal.code().reveal(str::to_owned);
    let mut typed = next.clone();
    typed.replace_range(0..1, if next.starts_with('0') { "2" } else { "0" });
    let refused = kind(renewal.confirm(typed.as_bytes()));
    assert_eq!(refused, Some(ErrorKind::RecoveryCodeMistyped));
    let refused = kind(renewal.confirm(code.as_bytes()));
    assert_eq!(
        refused,
        Some(ErrorKind::RecoveryNotConfirmed),
        "the old code is not the new one"
    );
    let now = files_of(&scratch.vault());
    assert_eq!(
        (&now["header"], &now["header.2"]),
        (&before["header"], &before["header.2"])
    );
    renewal.confirm(next.as_bytes()).unwrap();
    drop((lease, session));
    let [old, next] = [&code, &next].map(|code| parse(code));
    for (code, expected) in [(&old, Some(ErrorKind::UnlockFailed)), (&next, None)] {
        for half in [
            Credentials::recovery(code).and(&phone),
            Credentials::recovery(code).and_passphrase(&words),
        ] {
            assert_eq!(kind(vault.recover(&half, factors).map(|_| ())), expected);
        }
    }
    assert_eq!(phone.live_keys(), 4);
}

#[test]
fn a_recovery_that_is_not_confirmed_changes_nothing() {
    let (scratch, phone, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &phone);
    let factors = Credentials::passphrase(&words).and(&phone);
    put_one(&vault, &factors);
    let before = files_of(&scratch.vault());
    let code = parse(&code);
    let by_code = Credentials::recovery(&code).and(&phone);
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let new = Credentials::passphrase(&new_words).and(&phone);
    let mut recovery = vault.recover(&by_code, new).unwrap();
    let typed = recovery.code().reveal(str::to_owned);
    for wrong in ["", "0000", &typed[1..]] {
        let refused = recovery.confirm(wrong.as_bytes());
        assert_eq!(kind(refused), Some(ErrorKind::RecoveryCodeMistyped));
    }
    assert_eq!(files_of(&scratch.vault()), before);
    let headers = headers_of(&scratch.vault());
    // While the vault is open it is not given new slots behind the session's back.
    let session = vault.unlock(&factors).unwrap();
    let refused = recovery.confirm(typed.as_bytes());
    assert_eq!(kind(refused), Some(ErrorKind::SessionActive));
    assert_eq!(
        kind(vault.recover(&by_code, new)),
        Some(ErrorKind::SessionActive)
    );
    drop(session);
    assert_eq!(headers_of(&scratch.vault()), headers);
    assert_eq!(phone.live_keys(), 4);
    drop(recovery.confirm(typed.as_bytes()).unwrap());
    assert_eq!(kind(vault.unlock(&factors)), Some(ErrorKind::UnlockFailed));
    drop(vault.unlock(&new).unwrap());
}
