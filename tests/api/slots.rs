//! Key slots: what a change of them changes, what it leaves, and what each kind opens
//!

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use vitalock::{
    Class, Credentials, EmergencyCode, ErrorKind, KeyShare, Lease, Passphrase, Purpose, Query,
    Record, RecoveryCode, ShareError, ShareSink, SlotId, SlotKind, Vault,
};

use crate::support::{Keystore, Scratch, files_of, make_vault, options, words};
use crate::unruly::{Manner, Unruly};

const NEW_WORDS: &[u8] = b"7 other herons fly";

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn header(dir: &Path) -> String {
    let files = files_of(dir);
    assert_eq!(files["header"], files["header.2"]);
    String::from_utf8(files["header"].clone()).unwrap()
}

/// The values of a field in every wrap.
fn fields(header: &str, name: &str) -> Vec<String> {
    let words = header
        .lines()
        .filter(|line| line.starts_with("wrap "))
        .flat_map(|line| line.split(' '));
    words
        .filter_map(|word| word.strip_prefix(name))
        .map(str::to_owned)
        .collect()
}

fn of_kind(lease: &Lease, kind: SlotKind) -> Option<SlotId> {
    let slots = lease.slots().list().unwrap();
    slots
        .iter()
        .find(|slot| slot.kind == kind)
        .map(|slot| slot.id)
}

/// A directory in memory where there is one, for what writes a header a thousand times.
fn scratch_in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::TempDir::new_in(memory).unwrap()
    } else {
        tempfile::TempDir::new().unwrap()
    }
}

#[test]
fn a_new_passphrase_changes_everything_about_its_slot_and_nothing_about_the_data() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let old = Credentials::passphrase(&words).and(&keystore);
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let new = Credentials::passphrase(&new_words).and(&keystore);
    {
        let session = vault.unlock(&old).unwrap();
        let lease = session.step_up(&old).unwrap();
        lease.put(Record::new("Note", "kept")).unwrap();
    }
    let old_header = header(&scratch.vault());
    let old_keys: HashSet<Vec<u8>> = keystore
        .releases()
        .into_iter()
        .map(|(_, blob, _)| blob)
        .collect();
    let replaced = {
        let session = vault.unlock(&old).unwrap();
        let lease = session.step_up(&old).unwrap();
        let replaced = lease.slot();
        let made = lease.slots().replace(replaced, &new).unwrap();
        assert_ne!(made, replaced);
        replaced
    };
    let new_header = header(&scratch.vault());
    {
        let session = vault.unlock(&new).unwrap();
        let lease = session.step_up(&new).unwrap();
        let kept = lease.query(&Query::new()).map(|record| record.unwrap());
        let revisions: Vec<_> = kept.map(|record| record.revision()).collect();
        assert_eq!(revisions, [Some(1)], "no record was written again");
    }

    assert!(!new_header.contains(&replaced.to_string()));
    // Primary and recovery-passphrase are new, two wraps each; recovery-share stayed.
    for name in ["salt=", "commit=", "key=", "kdf=", "share="] {
        let (old, new) = (fields(&old_header, name), fields(&new_header, name));
        let kept = new
            .iter()
            .filter(|value| *value != "none" && old.contains(value))
            .count();
        let expected = if name == "kdf=" { 0 } else { 2 };
        assert_eq!(kept, expected, "{name}");
    }
    let generation = |text: &str| -> u64 {
        text.lines()
            .find_map(|line| line.strip_prefix("generation "))
            .unwrap()
            .parse()
            .unwrap()
    };
    assert!(generation(&new_header) > generation(&old_header));
    // The platform keys of the old slot are gone, and those of the recovery slot are not.
    let destroyed = keystore.destroyed();
    assert_eq!(destroyed.len(), 2);
    assert!(destroyed.iter().all(|blob| old_keys.contains(blob)));
    assert_eq!(kind(vault.unlock(&old)), Some(ErrorKind::UnlockFailed));
    let session = vault.unlock(&new).unwrap();
    assert_eq!(session.count(&Query::new()).unwrap(), 1);
    drop(session.step_up(&new).unwrap());
}

#[test]
fn of_a_thousand_slots_no_two_share_a_salt() {
    let (scratch, keystore, words) = (scratch_in_memory(), Keystore::new(), words());
    let dir = scratch.path().join("vault");
    let (vault, _) = make_vault(&dir, &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let finger = Keystore::named("finger");
    let (mut salts, mut commitments, mut challenges) =
        (HashSet::new(), HashSet::new(), HashSet::new());
    let first = fields(&header(&dir), "salt=").len();
    for _ in 0..1000 {
        let slot = lease.slots().add(&Credentials::share(&finger)).unwrap();
        let text = header(&dir);
        salts.extend(fields(&text, "salt="));
        commitments.extend(fields(&text, "commit="));
        let shares = fields(&text, "share=")
            .into_iter()
            .filter(|share| share != "none");
        challenges.extend(shares.map(|share| share.split(':').nth(1).unwrap().to_owned()));
        lease.slots().remove(slot, Some(&finger)).unwrap();
    }
    assert_eq!(salts.len(), first + 1000);
    assert_eq!(commitments.len(), first + 1000);
    assert_eq!(challenges.len(), 4 + 1000);
    assert!(salts.iter().all(|salt| salt.len() == 64));
    assert_eq!(finger.live_keys(), 0);
    // Argon2's own salts of 16 bytes, one for each wrap that stretches.
    let stretching: HashSet<String> = fields(&header(&dir), "kdf=").into_iter().collect();
    assert_eq!(stretching.len(), 4 + 1, "four, and none for the others");
}

#[test]
fn the_last_slot_that_opens_everything_stays_and_no_key_is_made_in_its_place() {
    let (scratch, keystore, words) = (Scratch::new(), Unruly::new("keychain"), words());
    let factors = Credentials::passphrase(&words).and(&keystore);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    assert_eq!(vault.slots().len(), 1);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let slots = lease.slots();
    let finger = Keystore::named("finger");
    slots.add(&Credentials::share(&finger)).unwrap();
    slots.add_emergency().unwrap();
    let before = header(&scratch.vault());
    let last = lease.slot();
    assert_eq!(
        kind(slots.remove(last, Some(&keystore))),
        Some(ErrorKind::LastSlot)
    );
    // A host that is asked for a key would panic.
    keystore.behave(Manner::PanicsAtEnrolment);
    let touch = Credentials::share(&keystore);
    assert_eq!(kind(slots.replace(last, &touch)), Some(ErrorKind::LastSlot));
    let unknown = SlotId::from_bytes([9; 8]);
    assert_eq!(
        kind(slots.replace(unknown, &factors)),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(kind(slots.remove(unknown, None)), Some(ErrorKind::NotFound));
    keystore.behave(None);
    assert_eq!(header(&scratch.vault()), before);
    assert_eq!(keystore.inner.live_keys(), 2);
    // Beside another one it may go.
    let second = slots.add(&factors).unwrap();
    slots.remove(last, Some(&keystore)).unwrap();
    assert_eq!(
        kind(slots.remove(second, Some(&keystore))),
        Some(ErrorKind::LastSlot)
    );
    assert_eq!(keystore.inner.live_keys(), 2);
}

#[test]
fn a_seventeenth_slot_is_refused_before_a_key_is_made() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let finger = Unruly::new("finger");
    let touch = Credentials::share(&finger);
    for _ in 3..15 {
        lease.slots().add(&touch).unwrap();
    }
    lease.slots().add_emergency().unwrap();
    assert_eq!(lease.slots().list().unwrap().len(), 16);
    finger.behave(Manner::PanicsAtEnrolment);
    let before = header(&scratch.vault());
    let full = Some(ErrorKind::SlotTableFull);
    assert_eq!(kind(lease.slots().add(&touch)), full);
    assert_eq!(kind(lease.slots().add_emergency()), full);
    assert_eq!(
        kind(lease.slots().dangerous_add_biometric_for_priority(&finger)),
        full
    );
    assert_eq!(header(&scratch.vault()), before);
    finger.behave(None);
    // Replacing needs no room.
    let old = of_kind(&lease, SlotKind::Biometric).unwrap();
    lease.slots().replace(old, &touch).unwrap();
    assert_eq!(finger.inner.live_keys(), 12);
    drop((lease, session));
    drop(vault.unlock(&touch).unwrap());
}

#[test]
fn a_platform_key_that_cannot_be_destroyed_is_destroyed_at_the_next_step_up() {
    let (scratch, keystore, words) = (Scratch::new(), Unruly::new("keychain"), words());
    let old = Credentials::passphrase(&words).and(&keystore);
    let setup = Vault::create(scratch.vault(), options(), old).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let new = Credentials::passphrase(&new_words).and(&keystore);
    let retired = || {
        header(&scratch.vault())
            .matches("\nretired keychain ")
            .count()
    };
    keystore.behave(Manner::DestroysNothing);
    {
        let session = vault.unlock(&old).unwrap();
        let lease = session.step_up(&old).unwrap();
        lease.slots().replace(lease.slot(), &new).unwrap();
    }
    assert_eq!((keystore.inner.live_keys(), retired()), (4, 2));
    assert_eq!(kind(vault.unlock(&old)), Some(ErrorKind::UnlockFailed));
    {
        let session = vault.unlock(&new).unwrap();
        drop(session.step_up(&new).unwrap());
    }
    assert_eq!(
        (keystore.inner.live_keys(), retired()),
        (4, 2),
        "still refused"
    );
    keystore.behave(None);
    let session = vault.unlock(&new).unwrap();
    assert_eq!(retired(), 2, "unlocking writes nothing");
    drop(session.step_up(&new).unwrap());
    assert_eq!((keystore.inner.live_keys(), retired()), (2, 0));
    drop(session);
    drop(vault.unlock(&new).unwrap());
}

/// Two key stores gave their keys the same names, and the one that was to be destroyed was taken
/// for the one in use: the old passphrase with an old header went on to open the vault.
#[test]
fn a_key_is_not_spared_because_another_key_store_uses_its_name() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::named("keychain"), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let finger = Keystore::named("finger");
    lease
        .slots()
        .dangerous_add_biometric_for_priority(&finger)
        .unwrap();
    lease.slots().replace(lease.slot(), &factors).unwrap();
    assert_eq!(keystore.destroyed(), [b"key-1", b"key-2"]);
    assert_eq!((keystore.live_keys(), finger.live_keys()), (4, 2));
}

#[test]
fn keys_that_nobody_destroys_stop_changes_and_no_recovery() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    {
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        let lost = Unruly::new("lost");
        lost.behave(Manner::DestroysNothing);
        for _ in 0..32 {
            let slot = lease.slots().add(&Credentials::share(&lost)).unwrap();
            lease.slots().remove(slot, None).unwrap();
        }
        let full = Some(ErrorKind::SlotTableFull);
        let last = lease.slots().add(&Credentials::share(&lost)).unwrap();
        assert_eq!(kind(lease.slots().remove(last, None)), full);
        assert_eq!(kind(lease.slots().replace(lease.slot(), &factors)), full);
        assert_eq!(keystore.live_keys(), 4);
    }
    let code = RecoveryCode::parse(code.as_bytes()).unwrap();
    let by_code = Credentials::recovery(&code).and(&keystore);
    let mut recovery = vault.recover(&by_code, factors).unwrap();
    let typed = recovery.code().reveal(str::to_owned);
    drop(recovery.confirm(typed.as_bytes()).unwrap());
    assert_eq!(keystore.live_keys(), 4, "the old ones are destroyed");
    drop(vault.unlock(&factors).unwrap());
}

/// Long names for keys, as a platform that wraps them into their names has.
struct LongNames(Unruly);

impl KeyShare for LongNames {
    fn provider(&self) -> &str {
        self.0.provider()
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        let mut blob = self.0.enrol(purpose)?;
        blob.resize(1024, b'.');
        Ok(blob)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let name = blob.split(|byte| *byte == b'.').next().unwrap();
        self.0.release(purpose, name, challenge, sink)
    }

    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        let name = blob.split(|byte| *byte == b'.').next().unwrap();
        self.0.destroy(purpose, name)
    }
}

#[test]
fn a_header_that_would_be_too_long_is_a_full_table_and_is_not_written() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let (lost, finger) = (
        LongNames(Unruly::new("lost")),
        LongNames(Unruly::new("finger")),
    );
    lost.0.behave(Manner::DestroysNothing);
    for _ in 0..16 {
        let slot = lease
            .slots()
            .dangerous_add_biometric_for_priority(&lost)
            .unwrap();
        lease.slots().remove(slot, None).unwrap();
    }
    let added = (0..13).map(|_| lease.slots().dangerous_add_biometric_for_priority(&finger));
    let kinds: Vec<_> = added.map(kind).collect();
    let fitted = kinds.iter().filter(|kind| kind.is_none()).count();
    assert!((1..13).contains(&fitted), "{kinds:?}");
    assert!(
        kinds[fitted..]
            .iter()
            .all(|kind| *kind == Some(ErrorKind::SlotTableFull))
    );
    assert!(header(&scratch.vault()).len() <= 128 * 1024);
    assert_eq!(
        finger.0.inner.live_keys(),
        2 * fitted,
        "what did not fit was destroyed"
    );
    drop((lease, session));
    drop(vault.unlock(&factors).unwrap());
}

#[test]
fn changes_made_at_once_are_all_there_afterwards() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let new_words = Passphrase::new(NEW_WORDS).unwrap();
    let new = Credentials::passphrase(&new_words).and(&keystore);
    let codes: Vec<EmergencyCode> = thread::scope(|scope| {
        let adding: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| lease.slots().add_emergency().unwrap()))
            .collect();
        lease.slots().replace(lease.slot(), &new).unwrap();
        adding
            .into_iter()
            .map(|adding| adding.join().unwrap())
            .collect()
    });
    drop((lease, session));
    for code in &codes {
        drop(vault.unlock_emergency(code, "found unconscious").unwrap());
    }
    assert_eq!(kind(vault.unlock(&factors)), Some(ErrorKind::UnlockFailed));
    let session = vault.unlock(&new).unwrap();
    drop(session.step_up(&new).unwrap());
    assert_eq!(keystore.live_keys(), 4);
}

/// A key store whose every share is overheard, and that later knows nothing but what was overheard.
#[derive(Default)]
struct Overheard(Mutex<Hearing>);

#[derive(Default)]
struct Hearing {
    keys: Vec<[u8; 32]>,
    heard: Vec<[u8; 32]>,
    /// Which of the shares that were heard is given, whatever is asked.
    playback: Option<usize>,
}

impl KeyShare for Overheard {
    fn provider(&self) -> &str {
        "overheard"
    }

    fn enrol(&self, _: Purpose) -> Result<Vec<u8>, ShareError> {
        let mut state = self.0.lock().unwrap();
        let mut key = [0; 32];
        getrandom::fill(&mut key).unwrap();
        state.keys.push(key);
        Ok(vec![u8::try_from(state.keys.len() - 1).unwrap()])
    }

    fn release(
        &self,
        _: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let mut state = self.0.lock().unwrap();
        if let Some(which) = state.playback {
            sink.fill(&state.heard[which]);
            return Ok(());
        }
        let key = state.keys[usize::from(blob[0])];
        let share = std::array::from_fn(|at| key[at] ^ challenge[at]);
        state.heard.push(share);
        sink.fill(&share);
        Ok(())
    }

    fn destroy(&self, _: Purpose, _: &[u8]) -> Result<(), ShareError> {
        Ok(())
    }
}

#[test]
fn what_was_released_at_unlock_does_not_open_priority() {
    let (scratch, words) = (Scratch::new(), words());
    let host = Overheard::default();
    let factors = Credentials::passphrase(&words).and(&host);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    host.0.lock().unwrap().heard.clear();
    let session = vault.unlock(&factors).unwrap();
    assert_eq!(host.0.lock().unwrap().heard.len(), 1);
    host.0.lock().unwrap().playback = Some(0);
    assert_eq!(
        kind(session.step_up(&factors)),
        Some(ErrorKind::UnlockFailed)
    );
    drop(session);
    // It is the challenge that differs: at unlock the same share does serve again.
    let session = vault.unlock(&factors).unwrap();
    host.0.lock().unwrap().playback = None;
    drop(session.step_up(&factors).unwrap());
    assert_eq!(host.0.lock().unwrap().heard.len(), 2);
    host.0.lock().unwrap().playback = Some(1);
    drop(session.step_up(&factors).unwrap());
}

#[test]
fn unlocking_asks_for_the_standard_share_and_stepping_up_for_the_other() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let before = keystore.releases().len();
    let session = vault.unlock(&factors).unwrap();
    drop(session.step_up(&factors).unwrap());
    drop(session.step_up(&factors).unwrap());
    let releases = keystore.releases().split_off(before);
    let purposes: Vec<_> = releases.iter().map(|(purpose, ..)| *purpose).collect();
    assert_eq!(
        purposes,
        [Purpose::Standard, Purpose::Priority, Purpose::Priority]
    );
    assert_ne!(releases[0].1, releases[1].1, "two keys");
    assert_ne!(releases[0].2, releases[1].2, "two challenges");
}

#[test]
fn a_finger_steps_up_only_where_the_app_said_so() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let (finger, face) = (Keystore::named("finger"), Keystore::named("face"));
    {
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        lease.slots().add(&Credentials::share(&finger)).unwrap();
        lease
            .slots()
            .dangerous_add_biometric_for_priority(&face)
            .unwrap();
    }
    let opens = |provider| {
        let slots = vault.slots();
        slots
            .iter()
            .find(|slot| slot.provider.as_deref() == Some(provider))
            .unwrap()
            .opens_priority
    };
    assert_eq!((opens("finger"), opens("face")), (false, true));
    assert_eq!((finger.live_keys(), face.live_keys()), (1, 2));
    for (share, steps_up) in [(&finger, false), (&face, true)] {
        let touch = Credentials::share(share);
        let session = vault.unlock(&touch).unwrap();
        let stepped = kind(session.step_up(&touch));
        assert_eq!(stepped, (!steps_up).then_some(ErrorKind::NoMatchingSlot));
        // The passphrase does it for either.
        drop(session.step_up(&factors).unwrap());
    }
    // The share of the primary slot is no biometric one.
    assert_eq!(
        kind(vault.unlock(&Credentials::share(&keystore))),
        Some(ErrorKind::NoMatchingSlot)
    );
}

#[test]
fn the_emergency_code_opens_emergency_and_nothing_else() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, recovery) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let (text, ids) = {
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        let classes = [Class::Emergency, Class::Standard, Class::Priority];
        let put = |class| {
            lease
                .put(Record::new("Note", "kept").class(class))
                .unwrap()
                .id
        };
        let ids = classes.map(put);
        (
            lease.slots().add_emergency().unwrap().reveal(str::to_owned),
            ids,
        )
    };
    let before = files_of(&scratch.vault());
    let code = EmergencyCode::parse(text.as_bytes()).unwrap();
    let session = vault.unlock_emergency(&code, "found unconscious").unwrap();
    let found = ids.map(|id| session.get(id).unwrap().is_some());
    assert_eq!(found, [true, false, false]);
    assert_eq!(session.count(&Query::new()).unwrap(), 1);
    assert_eq!(session.query(&Query::new()).count(), 1);
    assert_eq!(kind(vault.unlock(&factors)), Some(ErrorKind::SessionActive));
    session.lock();
    drop(session);
    // What it writes is that it was, and that where it may read.
    let mut after = files_of(&scratch.vault());
    let trail = after.insert("emergency.db".to_owned(), before["emergency.db"].clone());
    assert_ne!(trail.as_ref(), before.get("emergency.db"));
    assert_eq!(after, before, "nothing else was written");
    // The codes are of two kinds, and neither does the other's work.
    assert!(RecoveryCode::parse(text.as_bytes()).is_err());
    assert!(EmergencyCode::parse(recovery.as_bytes()).is_err());
    drop(vault.unlock(&factors).unwrap());
    let slots = vault.slots();
    let slot = slots
        .iter()
        .find(|slot| slot.kind == SlotKind::Emergency)
        .unwrap();
    assert!(!slot.opens_priority && slot.kdf.is_none() && slot.provider.is_none());
    {
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        lease.slots().remove(slot.id, None).unwrap();
    }
    assert_eq!(
        kind(vault.unlock_emergency(&code, "found unconscious")),
        Some(ErrorKind::NoMatchingSlot)
    );
}
