//! What holds while other threads are at work, after handles are gone, and on the way back in.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use vitalock::{
    Class, Credentials, ErrorKind, KeyShare, Passphrase, Purpose, Query, Record, RecoveryCode,
    ShareError, ShareSink,
};

use crate::support::fixture::{
    Needle, Twin, copy, found_in_files, make_quick_vault, step_up, unlock, unsealed,
};
use crate::support::{Keystore, Scratch, WORDS, make_vault, words};

#[test]
fn an_iterator_does_not_keep_a_session_open_whose_last_handle_is_gone() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    for _ in 0..3 {
        session.put(Record::new("Note", "body")).unwrap();
    }
    let mut matches = session.query(&Query::new());
    matches.next().unwrap().unwrap();
    drop(session);
    let next = matches.next().unwrap();
    assert_eq!(next.unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(matches.cursor().unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(unlock(&vault).count(&Query::new()).unwrap(), 3);
}

/// Answers as [`Twin`] does, once it is told to.
struct Prompt {
    asked: mpsc::SyncSender<()>,
    answered: Mutex<mpsc::Receiver<()>>,
}

impl KeyShare for Prompt {
    fn provider(&self) -> &str {
        Twin.provider()
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        Twin.enrol(purpose)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        self.asked.send(()).unwrap();
        self.answered.lock().unwrap().recv().unwrap();
        Twin.release(purpose, blob, challenge, sink)
    }

    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        Twin.destroy(purpose, blob)
    }
}

#[test]
fn what_a_locked_vault_tells_does_not_wait_for_a_person() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let (asked, is_asked) = mpsc::sync_channel(1);
    let (answer, answered) = mpsc::channel();
    let answered = Mutex::new(answered);
    let prompt = Prompt { asked, answered };
    std::thread::scope(|scope| {
        let unlocking = scope.spawn(|| vault.unlock(&Credentials::share(&prompt)));
        is_asked.recv().unwrap();
        let (told, is_told) = mpsc::channel();
        let vault = &vault;
        scope.spawn(move || told.send((vault.id(), vault.slots().len())));
        let answered_at_once = is_told.recv_timeout(Duration::from_secs(5));
        answer.send(()).unwrap();
        drop(unlocking.join().unwrap().unwrap());
        assert_eq!(answered_at_once.unwrap().1, 2);
    });
}

#[test]
fn the_code_brings_back_who_forgot_the_passphrase_on_a_new_phone() {
    let scratch = Scratch::new();
    let old_phone = Keystore::new();
    let (vault, code) = make_vault(&scratch.vault(), &old_phone);
    let words = words();
    let old = Credentials::passphrase(&words).and(&old_phone);
    let session = vault.unlock(&old).unwrap();
    let lease = session.step_up(&old).unwrap();
    let new_phone = Keystore::new();
    let new = Credentials::passphrase(&words).and(&new_phone);
    lease.slots().replace(session.slot(), &new).unwrap();
    drop((lease, session));
    let code = RecoveryCode::parse(code.as_bytes()).unwrap();
    let later = Passphrase::new(b"five loud herons dive").unwrap();
    let back = Credentials::recovery(&code).and(&new_phone);
    let new = Credentials::passphrase(&later).and(&new_phone);
    drop(vault.recover(&back, new).unwrap());
}

#[test]
fn the_code_brings_back_whose_slot_was_added_and_the_old_one_removed() {
    let scratch = Scratch::new();
    let phone = Keystore::new();
    let (vault, code) = make_vault(&scratch.vault(), &phone);
    let first = Passphrase::new(WORDS).unwrap();
    let second = Passphrase::new(b"five loud herons dive").unwrap();
    let old = Credentials::passphrase(&first).and(&phone);
    let session = vault.unlock(&old).unwrap();
    let lease = session.step_up(&old).unwrap();
    let new = Credentials::passphrase(&second).and(&phone);
    lease.slots().add(&new).unwrap();
    lease.slots().remove(session.slot(), Some(&phone)).unwrap();
    drop((lease, session));
    let code = RecoveryCode::parse(code.as_bytes()).unwrap();
    let back = Credentials::recovery(&code).and_passphrase(&second);
    drop(vault.recover(&back, new).unwrap());
}

/// A number that looks random, the same in each run.
fn next(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

/// Sizes and order decide what SQLite moves; with these it leaves three keys.
const SEED: u64 = 91;

#[test]
fn the_keys_of_erased_subjects_are_in_no_file_however_sqlite_moved_them() {
    assert_eq!(left_of_erased_keys(SEED), [""; 0]);
}

/// Puts and erases subjects as the seed says; what of their wrapped keys is in the files after.
fn left_of_erased_keys(seed: u64) -> Vec<String> {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let (mut state, mut made) = (seed, 0);
    let (mut live, mut gone): (Vec<(i64, String)>, Vec<Needle>) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        if next(&mut state) % 100 < 60 || live.is_empty() {
            made += 1;
            let name = format!("{made:04}{}", "x".repeat(next(&mut state) % 40));
            let record = Record::new("Note", "body").subject(&name);
            session.put(record).unwrap();
            live.push((made, name));
        } else {
            let (number, name) = live.swap_remove(next(&mut state) % live.len());
            let there = scratch.path().join("copy");
            copy(&scratch.vault(), &there);
            let connection = unsealed(&there, Class::Standard);
            let key = connection.query_row(
                "SELECT key FROM subjects WHERE subject = ?1",
                [number],
                |row| row.get::<_, Vec<u8>>(0),
            );
            gone.push(Needle {
                what: format!("key {number}"),
                bytes: key.unwrap()[1..].to_vec(),
            });
            lease.erase_subject(&name).unwrap();
            drop(connection);
            std::fs::remove_dir_all(&there).unwrap();
        }
    }
    drop((lease, session, vault));
    found_in_files(&scratch.vault(), &gone)
}
