//! A vault of which nothing is on the device.

use std::sync::Arc;

use vitalock::{
    Class, ContactKey, Credentials, EmergencyQuestion, ErrorKind, Footprint, Query, Record, Vault,
};

use crate::support::anchors::Memory;
use crate::support::fixture::{make_quick_vault_with, step_up, unlock};
use crate::support::{Keystore, Scratch, make_vault_with, options, words};

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn note(class: Class) -> Record {
    Record::new("Note", vec![7; 3000])
        .class(class)
        .subject("Patient/1")
}

#[test]
fn a_vault_in_memory_is_a_vault_and_no_file() {
    let scratch = Scratch::new();
    let (keystore, words) = (Keystore::new(), words());
    let factors = Credentials::passphrase(&words).and(&keystore);
    let anchor = Arc::new(Memory::default());
    let in_memory = options()
        .footprint(Footprint::MemoryOnly)
        .anchor(anchor.clone());
    // The directory is not looked at: there is none, and there could be none.
    let nowhere = scratch.path().join("absent").join("vault");
    let before: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    let (vault, code) = make_vault_with(&nowhere, &keystore, in_memory);
    assert_eq!(vault.footprint(), Footprint::MemoryOnly);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let ids = Class::ALL.map(|class| lease.put(note(class)).unwrap().id);
    let contact = ContactKey::make().unwrap();
    let slots = lease.slots();
    let slot = slots.add_emergency_contact(&contact.public_key()).unwrap();
    drop(lease);
    let found = ids.map(|id| session.get(id).unwrap().is_some());
    assert_eq!(found, [true, true, false]);
    session.deposit(&note(Class::Priority)).unwrap();
    // Locked and paused, it is there again for who has the factors, and for nobody else.
    session.lock();
    vault.pause();
    assert_eq!(kind(vault.unlock(&factors)), Some(ErrorKind::Paused));
    vault.resume().unwrap();
    let wrong = vitalock::Passphrase::new(b"not what the owner knows").unwrap();
    let wrong = Credentials::passphrase(&wrong).and(&keystore);
    assert_eq!(kind(vault.unlock(&wrong)), Some(ErrorKind::UnlockFailed));
    let most = |vault: &Vault| vault.slots().iter().map(|slot| slot.failed_attempts).max();
    assert_eq!(most(&vault), Some(1));
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    assert_eq!(lease.count(&Query::new()).unwrap(), 4);
    lease.erase_subject("Patient/1").unwrap();
    assert_eq!(lease.count(&Query::new()).unwrap(), 0);
    lease.put(note(Class::Emergency)).unwrap();
    let trail = lease.verify().unwrap();
    assert_eq!(trail.faults, []);
    assert!(trail.entries > 10);
    let posture = vault.posture().to_json();
    assert!(posture.contains("nothing is on the device"));
    let usage = lease.usage().unwrap();
    let names: Vec<_> = usage.files.iter().map(|file| &*file.name).collect();
    assert!(
        names.contains(&"priority.db") && !names.contains(&"reserve"),
        "{names:?}"
    );
    drop((lease, session));
    let request = vault.request_emergency(slot).unwrap();
    let question = EmergencyQuestion::read(&request.to_bytes()).unwrap();
    let answer = contact.answer(&question).unwrap();
    let emergency = vault.unlock_emergency_by_contact(&request, &answer, "found unconscious");
    assert_eq!(emergency.unwrap().count(&Query::new()).unwrap(), 1);
    let code = vitalock::RecoveryCode::parse(code.as_bytes()).unwrap();
    let mut recovery = vault
        .recover(&Credentials::recovery(&code).and(&keystore), factors)
        .unwrap();
    let typed = recovery.code().reveal(str::to_owned);
    drop(recovery.confirm(typed.as_bytes()).unwrap());
    drop(vault.unlock(&factors).unwrap());
    let after: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(after.len(), before.len());
    drop(vault);
    assert_eq!(kind(Vault::open(&nowhere)), Some(ErrorKind::VaultNotFound));
}

#[test]
fn two_vaults_in_memory_have_nothing_in_common() {
    let scratch = Scratch::new();
    let in_memory = || options().footprint(Footprint::MemoryOnly);
    let one = make_quick_vault_with(&scratch.vault(), in_memory());
    // The same place is free for another, also for one on the disk.
    let other = make_quick_vault_with(&scratch.vault(), in_memory());
    let third = make_quick_vault_with(&scratch.vault(), options());
    let sessions = [&one, &other, &third].map(unlock);
    for (number, session) in sessions.iter().enumerate() {
        for _ in 0..=number {
            session.put(note(Class::Standard)).unwrap();
        }
    }
    let counts = sessions
        .each_ref()
        .map(|session| session.count(&Query::new()).unwrap());
    assert_eq!(counts, [1, 2, 3]);
    // A header that says so of itself belongs to no file.
    drop((sessions, third));
    for name in ["header", "header.2"] {
        let path = scratch.vault().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("footprint full", "footprint memory")).unwrap();
    }
    assert_eq!(
        kind(Vault::open(scratch.vault())),
        Some(ErrorKind::HeaderDamaged)
    );
}

#[test]
fn what_is_in_memory_is_sealed_there_and_gives_room_back() {
    let scratch = Scratch::new();
    let options = options()
        .footprint(Footprint::MemoryOnly)
        .keep_history(true);
    let vault = make_quick_vault_with(&scratch.vault(), options);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let empty = vault.size().unwrap().total();
    let ids: Vec<_> = (0..500)
        .map(|_| lease.put(note(Class::Standard)).unwrap().id)
        .collect();
    let full = vault.size().unwrap().total();
    assert!(full > empty + 1_500_000, "{full} {empty}");
    for id in ids {
        lease.erase(id).unwrap();
    }
    while lease.shrink(1 << 20).unwrap() > 0 {}
    let after = vault.size().unwrap().total();
    assert!(after < full / 2, "{after} of {full}");
    assert_eq!(lease.verify().unwrap().faults, []);
}
