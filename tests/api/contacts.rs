//! The key of a second party, which opens Emergency and stays where it is.

use vitalock::{
    AuditAction, AuditQuery, Class, ContactKey, Credentials, EmergencyQuestion, ErrorKind, Query,
    Record, RecordId, SlotId, SlotKind, Vault,
};

use crate::support::fixture::{make_quick_vault, step_up, unlock};
use crate::support::{Keystore, Scratch, files_of, make_vault, words};

const REASON: &str = "found unconscious";

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

struct Household {
    scratch: Scratch,
    vault: Vault,
    contact: ContactKey,
    slot: SlotId,
    /// One record of each class.
    ids: [RecordId; 3],
}

impl Household {
    fn new() -> Self {
        let scratch = Scratch::new();
        let vault = make_quick_vault(&scratch.vault(), false);
        let contact = ContactKey::make().unwrap();
        let session = unlock(&vault);
        let lease = step_up(&session);
        let classes = [Class::Emergency, Class::Standard, Class::Priority];
        let put = |class| lease.put(Record::new("Note", "kept").class(class));
        let ids = classes.map(|class| put(class).unwrap().id);
        let slot = lease.slots().add_emergency_contact(&contact.public_key());
        let slot = slot.unwrap();
        drop(lease);
        session.lock();
        drop(session);
        Self {
            scratch,
            vault,
            contact,
            slot,
            ids,
        }
    }
}

/// What happens on the contact's device: bytes come in and bytes go out.
fn answer(contact: &ContactKey, request: &[u8]) -> vitalock::Result<Vec<u8>> {
    contact.answer(&EmergencyQuestion::read(request)?)
}

#[test]
fn a_contact_who_answers_opens_emergency_and_nothing_else() {
    let home = Household::new();
    let info = home.vault.slots();
    let info = info.iter().find(|slot| slot.id == home.slot).unwrap();
    assert_eq!(info.kind, SlotKind::EmergencyContact);
    assert_eq!(info.contact, Some(home.contact.public_key()));
    assert!(!info.opens_priority && info.kdf.is_none() && info.provider.is_none());
    let before = files_of(&home.scratch.vault());
    let request = home.vault.request_emergency(home.slot).unwrap();
    let asked = request.to_bytes();
    assert_eq!(asked.len(), 191);
    let question = EmergencyQuestion::read(&asked).unwrap();
    assert_eq!(question.vault(), home.vault.id());
    assert_eq!(question.slot(), home.slot);
    assert_eq!(question.contact(), home.contact.public_key());
    assert_eq!(
        files_of(&home.scratch.vault()),
        before,
        "asking writes nothing"
    );
    // The key was kept as bytes.
    let kept = home.contact.reveal(|bytes| *bytes);
    let answer = answer(&ContactKey::from_bytes(&kept), &asked).unwrap();
    assert_eq!(answer.len(), 81);
    for no_reason in ["", " ", &"x".repeat(257)] {
        let opened = home
            .vault
            .unlock_emergency_by_contact(&request, &answer, no_reason);
        assert_eq!(kind(opened), Some(ErrorKind::InvalidActor));
    }
    let opened = home
        .vault
        .unlock_emergency_by_contact(&request, &answer, REASON);
    let session = opened.unwrap();
    let found = home.ids.map(|id| session.get(id).unwrap().is_some());
    assert_eq!(found, [true, false, false]);
    assert_eq!(session.count(&Query::new()).unwrap(), 1);
    session.lock();
    drop(session);
    let mut after = files_of(&home.scratch.vault());
    after.insert("emergency.db".to_owned(), before["emergency.db"].clone());
    assert_eq!(after, before, "nothing but the trail was written");
    let session = unlock(&home.vault);
    let told = session.emergency_accesses().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].purpose(), Some(REASON));
    assert_eq!(told[0].slot(), Some(home.slot));
}

#[test]
fn what_is_no_answer_to_this_request_opens_nothing_and_is_told() {
    let home = Household::new();
    let other = ContactKey::make().unwrap();
    let request = home.vault.request_emergency(home.slot).unwrap();
    let earlier = home.vault.request_emergency(home.slot).unwrap();
    let asked = request.to_bytes();
    let right = answer(&home.contact, &asked).unwrap();
    let mut changed = right.clone();
    changed[40] ^= 1;
    let of_earlier = answer(&home.contact, &earlier.to_bytes()).unwrap();
    let refused = kind(answer(&other, &asked));
    assert_eq!(refused, Some(ErrorKind::InvalidEmergencyRequest));
    let wrong: [&[u8]; 7] = [
        b"",
        &[0; 81],
        &[0xFF; 81],
        &right[..80],
        &[right.as_slice(), b"x"].concat(),
        &changed,
        &of_earlier,
    ];
    // More often than a code may be guessed: nobody guesses 32 random bytes, so a contact cannot be
    // locked out.
    for _ in 0..2 {
        for wrong in wrong {
            let opened = home
                .vault
                .unlock_emergency_by_contact(&request, wrong, REASON);
            assert_eq!(kind(opened), Some(ErrorKind::UnlockFailed));
        }
    }
    let megabytes = vec![1; 5_000_000];
    let opened = home
        .vault
        .unlock_emergency_by_contact(&request, &megabytes, REASON);
    assert_eq!(kind(opened), Some(ErrorKind::UnlockFailed));
    let opened = home
        .vault
        .unlock_emergency_by_contact(&request, &right, REASON);
    drop(opened.unwrap());
    let session = unlock(&home.vault);
    let failed = AuditQuery::new().action(AuditAction::UnlockFailed);
    let failed: Vec<_> = session.audit_trail(&failed).map(Result::unwrap).collect();
    assert_eq!(failed.len(), 15);
    let kind_of = |entry: &vitalock::AuditEntry| entry.slot_kind();
    assert!(
        failed
            .iter()
            .all(|entry| kind_of(entry) == Some(SlotKind::EmergencyContact))
    );
}

#[test]
fn a_request_that_was_changed_on_the_way_is_refused_or_answered_to_nobody() {
    let home = Household::new();
    let request = home.vault.request_emergency(home.slot).unwrap();
    let asked = request.to_bytes();
    let invalid = Some(ErrorKind::InvalidEmergencyRequest);
    for cut in 0..asked.len() {
        assert_eq!(kind(answer(&home.contact, &asked[..cut])), invalid);
    }
    assert_eq!(
        kind(answer(&home.contact, &[&asked[..], b"x"].concat())),
        invalid
    );
    // The contact's public key is there to choose by, and the last 32 bytes say where the answer goes.
    let (contact, reply) = (22 + 16 + 8..22 + 16 + 8 + 32, 159..191);
    for at in 0..asked.len() {
        let mut changed = asked.clone();
        changed[at] ^= 1;
        match answer(&home.contact, &changed) {
            Err(error) => assert_eq!(Some(error.kind()), invalid, "at {at}"),
            Ok(answered) => {
                assert!(contact.contains(&at) || reply.contains(&at), "at {at}");
                let opened = home
                    .vault
                    .unlock_emergency_by_contact(&request, &answered, REASON);
                assert_eq!(opened.is_ok(), contact.contains(&at), "at {at}");
            }
        }
    }
    let mut nowhere = asked;
    nowhere[reply].fill(0);
    assert_eq!(kind(answer(&home.contact, &nowhere)), invalid);
}

#[test]
fn a_contact_outlives_a_recovery_and_ends_with_the_slot() {
    let scratch = Scratch::new();
    let keystore = Keystore::new();
    let words = words();
    let factors = Credentials::passphrase(&words).and(&keystore);
    let (vault, code) = make_vault(&scratch.vault(), &keystore);
    let contact = ContactKey::make().unwrap();
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let small_order = kind(lease.slots().add_emergency_contact(&[0; 32]));
    assert_eq!(small_order, Some(ErrorKind::InvalidPublicKey));
    let add = || lease.slots().add_emergency_contact(&contact.public_key());
    let (slot, twin) = (add().unwrap(), add().unwrap());
    drop((lease, session));
    let opens = |vault: &Vault, slot| {
        let request = vault.request_emergency(slot)?;
        let answer = answer(&contact, &request.to_bytes())?;
        vault
            .unlock_emergency_by_contact(&request, &answer, REASON)
            .map(drop)
    };
    let code = vitalock::RecoveryCode::parse(code.as_bytes()).unwrap();
    let lost = Credentials::recovery(&code).and(&keystore);
    let mut recovery = vault.recover(&lost, factors).unwrap();
    let typed = recovery.code().reveal(str::to_owned);
    drop(recovery.confirm(typed.as_bytes()).unwrap());
    for slot in [slot, twin] {
        opens(&vault, slot).unwrap();
    }
    // An answer to a request that was made before its slot was removed comes too late.
    let request = vault.request_emergency(slot).unwrap();
    let late = answer(&contact, &request.to_bytes()).unwrap();
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    lease.slots().remove(slot, None).unwrap();
    drop((lease, session));
    let opened = vault.unlock_emergency_by_contact(&request, &late, REASON);
    assert_eq!(kind(opened), Some(ErrorKind::UnlockFailed));
    assert_eq!(kind(opens(&vault, slot)), Some(ErrorKind::NotFound));
    opens(&vault, twin).unwrap();
    let slots = vault.slots();
    let primary = slots.iter().find(|slot| slot.kind == SlotKind::Primary);
    let primary = primary.unwrap().id;
    let without = kind(vault.request_emergency(primary));
    assert_eq!(without, Some(ErrorKind::NoMatchingSlot));
    vault.pause();
    assert_eq!(kind(opens(&vault, twin)), Some(ErrorKind::Paused));
}
