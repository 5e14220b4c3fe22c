//! The contract of [`KeyShare`]: every failure keeps its kind, and none makes, changes or destroys
//! anything (requirement 5).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use proptest::prelude::*;
use vitalock::{
    Credentials, ErrorKind, InvalidationReason, KeyShare, Passphrase, Purpose, Record,
    RecoveryCode, ShareError, ShareSink, Vault,
};

use crate::support::{Keystore, Scratch, files_of, headers_of, options, words};
use crate::unruly::{Manner, Unruly};

const ERRORS: [(ShareError, ErrorKind, Option<InvalidationReason>); 6] = [
    (ShareError::Cancelled, ErrorKind::ShareCancelled, None),
    (ShareError::Missing, ErrorKind::ShareMissing, None),
    (
        ShareError::TemporarilyUnavailable,
        ErrorKind::ShareUnavailable,
        None,
    ),
    invalidated(InvalidationReason::BiometricsChanged),
    invalidated(InvalidationReason::LockScreenRemoved),
    invalidated(InvalidationReason::Other),
];

const fn invalidated(
    reason: InvalidationReason,
) -> (ShareError, ErrorKind, Option<InvalidationReason>) {
    (
        ShareError::Invalidated(reason),
        ErrorKind::ShareInvalidated,
        Some(reason),
    )
}

/// A vault of an unruly key store that behaved so far, and its recovery code.
fn make(scratch: &Scratch, host: &Unruly) -> (Vault, RecoveryCode) {
    let words = words();
    let factors = Credentials::passphrase(&words).and(host);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    (vault, RecoveryCode::parse(code.as_bytes()).unwrap())
}

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn every_refusal_of_the_host_has_its_kind_and_changes_nothing() {
    let (scratch, host, words) = (Scratch::new(), Unruly::new("keychain"), words());
    let (vault, code) = make(&scratch, &host);
    let factors = Credentials::passphrase(&words).and(&host);
    let by_code = Credentials::recovery(&code).and(&host);
    let (before, keys) = (files_of(&scratch.vault()), host.inner.live_keys());
    for (refusal, kind, reason) in ERRORS {
        host.inner.refuse(Some(refusal));
        let recovered = vault.recover(&by_code, factors).map(|_| ());
        for error in [vault.unlock(&factors).map(|_| ()), recovered] {
            let error = error.unwrap_err();
            assert_eq!((error.kind(), error.invalidation_reason()), (kind, reason));
        }
        assert_eq!(files_of(&scratch.vault()), before);
    }

    host.inner.refuse(None);
    let session = vault.unlock(&factors).unwrap();
    for (refusal, kind, reason) in ERRORS {
        host.inner.refuse(Some(refusal));
        let error = session.step_up(&factors).unwrap_err();
        assert_eq!((error.kind(), error.invalidation_reason()), (kind, reason));
    }
    host.inner.refuse(None);
    let lease = session.step_up(&factors).unwrap();
    let slots = lease.slots();
    let renewal = slots.renew_recovery(&factors).unwrap();
    let typed = renewal.code().reveal(str::to_owned);
    for (refusal, kind, reason) in ERRORS {
        host.inner.refuse(Some(refusal));
        for error in [
            slots.add(&Credentials::share(&host)).map(|_| ()),
            slots.add(&factors).map(|_| ()),
            slots.replace(lease.slot(), &factors).map(|_| ()),
            slots
                .dangerous_add_biometric_for_priority(&host)
                .map(|_| ()),
            slots.renew_recovery(&factors).map(|_| ()),
            renewal.confirm(typed.as_bytes()),
        ] {
            let error = error.unwrap_err();
            assert_eq!((error.kind(), error.invalidation_reason()), (kind, reason));
        }
        host.inner.refuse(None);
    }
    drop((lease, session));
    assert_eq!(
        headers(&scratch),
        [before["header"].clone(), before["header.2"].clone()]
    );
    assert_eq!(
        (host.inner.live_keys(), host.inner.destroyed().len()),
        (keys, 0)
    );
    drop(vault.unlock(&factors).unwrap());
}

fn headers(scratch: &Scratch) -> [Vec<u8>; 2] {
    let files = files_of(&scratch.vault());
    ["header", "header.2"].map(|name| files[name].clone())
}

/// Runs a change with the host failing at its first call, at its second and so on, until it is
/// never called so often; after each failure nothing has changed.
fn fails_at_every_call(
    scratch: &Scratch,
    host: &Unruly,
    least: usize,
    change: impl Fn() -> vitalock::Result<()>,
) {
    let (before, keys) = (headers(scratch), host.inner.live_keys());
    for call in 0.. {
        host.behave(Manner::FailsAt(call, ShareError::Cancelled));
        let result = change();
        host.behave(None);
        if result.is_ok() {
            assert!(call >= least, "only {call} calls");
            assert_ne!(headers(scratch), before);
            return;
        }
        assert_eq!(kind(result), Some(ErrorKind::ShareCancelled));
        assert_eq!(headers(scratch), before, "call {call}");
        assert_eq!(
            host.inner.live_keys(),
            keys,
            "call {call}: a key was left or lost"
        );
    }
}

#[test]
fn a_host_that_fails_half_way_leaves_neither_a_key_nor_a_slot() {
    let (scratch, host, words) = (Scratch::new(), Unruly::new("keychain"), words());
    let factors = Credentials::passphrase(&words).and(&host);
    // Making the vault: two slots with a share, each enrolled, released and released again, twice.
    for call in 0..12 {
        host.behave(Manner::FailsAt(call, ShareError::Cancelled));
        let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
        let code = setup.recovery_code().reveal(str::to_owned);
        let made = setup.confirm_recovery(code.as_bytes()).map(|_| ());
        assert_eq!(kind(made), Some(ErrorKind::ShareCancelled), "call {call}");
        assert_eq!(host.inner.live_keys(), 0, "call {call}");
    }
    host.behave(None);
    let (vault, code) = make(&scratch, &host);
    let by_code = Credentials::recovery(&code).and(&host);
    {
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        let slots = lease.slots();
        fails_at_every_call(&scratch, &host, 3, || {
            slots.add(&Credentials::share(&host)).map(|_| ())
        });
        fails_at_every_call(&scratch, &host, 6, || slots.add(&factors).map(|_| ()));
        let old = lease.slot();
        fails_at_every_call(&scratch, &host, 6, || {
            slots.replace(old, &factors).map(|_| ())
        });
    }
    let mut recovery = vault.recover(&by_code, factors).unwrap();
    let typed = recovery.code().reveal(str::to_owned);
    let recovery = Mutex::new(&mut recovery);
    fails_at_every_call(&scratch, &host, 12, || {
        recovery
            .lock()
            .unwrap()
            .confirm(typed.as_bytes())
            .map(|_| ())
    });
    let spent = recovery
        .lock()
        .unwrap()
        .confirm(typed.as_bytes())
        .map(|_| ());
    assert_eq!(
        kind(spent),
        Some(ErrorKind::Locked),
        "a recovery opens the vault once"
    );
    drop(vault.unlock(&factors).unwrap());
    let again = vault.recover(&by_code, factors);
    assert_eq!(
        kind(again),
        Some(ErrorKind::UnlockFailed),
        "the code was used"
    );
}

#[test]
fn a_share_that_breaks_its_contract_makes_no_slot_and_opens_none() {
    let (scratch, host, words) = (Scratch::new(), Unruly::new("keychain"), words());
    let (vault, _) = make(&scratch, &host);
    let factors = Credentials::passphrase(&words).and(&host);
    let before = files_of(&scratch.vault());
    let misbehaved = Some(ErrorKind::ShareMisbehaved);
    for (manner, expected) in [
        (Manner::FillsNothing, misbehaved),
        (Manner::TooShort, misbehaved),
        (Manner::TooLong, misbehaved),
        (Manner::Zero, misbehaved),
        (Manner::Changing, Some(ErrorKind::UnlockFailed)),
    ] {
        host.behave(manner);
        assert_eq!(kind(vault.unlock(&factors)), expected, "{manner:?}");
        assert_eq!(files_of(&scratch.vault()), before, "{manner:?}");
    }
    host.behave(None);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let keys = host.inner.live_keys();
    for manner in [
        Manner::FillsNothing,
        Manner::TooShort,
        Manner::TooLong,
        Manner::Zero,
        Manner::Changing,
        Manner::LongBlob,
        Manner::EmptyBlob,
    ] {
        host.behave(manner);
        let added = lease.slots().add(&Credentials::share(&host));
        assert_eq!(kind(added), misbehaved, "{manner:?}");
        assert_eq!(
            headers(&scratch),
            [before["header"].clone(), before["header.2"].clone()]
        );
        assert_eq!(host.inner.live_keys(), keys, "{manner:?}");
    }
}

#[test]
fn a_host_that_panics_leaves_the_vault_usable() {
    let (scratch, host, words) = (Scratch::new(), Unruly::new("keychain"), words());
    let (vault, code) = make(&scratch, &host);
    let factors = Credentials::passphrase(&words).and(&host);
    let by_code = Credentials::recovery(&code).and(&host);
    host.behave(Manner::PanicsAtRelease);
    assert!(catch_unwind(AssertUnwindSafe(|| vault.unlock(&factors).map(|_| ()))).is_err());
    let recover = || vault.recover(&by_code, factors).map(|_| ());
    assert!(catch_unwind(AssertUnwindSafe(recover)).is_err());
    host.behave(None);
    let session = vault.unlock(&factors).unwrap();
    host.behave(Manner::PanicsAtRelease);
    assert!(catch_unwind(AssertUnwindSafe(|| session.step_up(&factors).map(|_| ()))).is_err());
    host.behave(None);
    let lease = session.step_up(&factors).unwrap();
    let before = headers(&scratch);
    for manner in [Manner::PanicsAtEnrolment, Manner::PanicsAtRelease] {
        host.behave(manner);
        let add = || lease.slots().add(&Credentials::share(&host)).map(|_| ());
        assert!(catch_unwind(AssertUnwindSafe(add)).is_err());
        let replace = || lease.slots().replace(lease.slot(), &factors).map(|_| ());
        assert!(catch_unwind(AssertUnwindSafe(replace)).is_err());
    }
    host.behave(None);
    assert_eq!(headers(&scratch), before);
    lease.slots().add(&Credentials::share(&host)).unwrap();
    let id = lease.put(Record::new("Note", "still here")).unwrap().id;
    drop((lease, session));
    let session = vault.unlock(&Credentials::share(&host)).unwrap();
    assert_eq!(session.get(id).unwrap().unwrap().body(), b"still here");
}

#[test]
fn a_key_store_with_an_impossible_name_gets_no_slot() {
    const LONG: &str = "a-key-store-with-a-name-too-long-";
    assert_eq!(LONG.len(), 33);
    for name in [
        "",
        "Keychain",
        "key chain",
        "key:chain",
        "a\nmac",
        "k\u{e9}y",
        LONG,
    ] {
        let (scratch, words) = (Scratch::new(), words());
        let host = Keystore::named(name);
        let factors = Credentials::passphrase(&words).and(&host);
        let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
        let code = setup.recovery_code().reveal(str::to_owned);
        let made = setup.confirm_recovery(code.as_bytes());
        assert_eq!(kind(made), Some(ErrorKind::ShareMisbehaved), "{name:?}");
        assert_eq!(host.live_keys(), 0);
    }
    // A name that changes between two questions is not written unseen.
    let (scratch, words) = (Scratch::new(), words());
    let host = TwoNames(Keystore::new(), Mutex::default());
    let factors = Credentials::passphrase(&words).and(&host);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let made = setup.confirm_recovery(code.as_bytes());
    assert_eq!(kind(made), Some(ErrorKind::ShareMisbehaved));
    assert_eq!(host.0.live_keys(), 0);
    assert!(!files_of(&scratch.vault()).contains_key("header.2"));
}

/// Another name every second time it is asked.
struct TwoNames(Keystore, Mutex<usize>);

impl KeyShare for TwoNames {
    fn provider(&self) -> &str {
        let mut asked = self.1.lock().unwrap();
        *asked += 1;
        if *asked % 2 == 1 {
            "keychain"
        } else {
            "a\nretired"
        }
    }
    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        self.0.enrol(purpose)
    }
    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        self.0.release(purpose, blob, challenge, sink)
    }
    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        self.0.destroy(purpose, blob)
    }
}

#[test]
fn a_cancelled_prompt_is_not_followed_by_another() {
    let (scratch, host, words) = (Scratch::new(), Unruly::new("keychain"), words());
    let (vault, _) = make(&scratch, &host);
    let factors = Credentials::passphrase(&words).and(&host);
    {
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        for _ in 0..3 {
            lease.slots().add(&Credentials::share(&host)).unwrap();
        }
    }
    // The second call would succeed.
    host.behave(Manner::FailsAt(0, ShareError::Cancelled));
    let touch = Credentials::share(&host);
    assert_eq!(kind(vault.unlock(&touch)), Some(ErrorKind::ShareCancelled));
    // A key that is not on this device is no reason to give up: another slot may be this device's.
    host.behave(Manner::FailsAt(0, ShareError::Missing));
    drop(vault.unlock(&touch).unwrap());
}

#[test]
fn of_two_phones_the_wrong_passphrase_is_told_and_not_the_other_phones_key() {
    let (scratch, old_phone, new_phone) = (
        Scratch::new(),
        Unruly::new("keychain"),
        Unruly::new("keychain"),
    );
    let (words, wrong) = (words(), Passphrase::new(b"none of the herons").unwrap());
    let (vault, _) = make(&scratch, &old_phone);
    {
        let factors = Credentials::passphrase(&words).and(&old_phone);
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        // Its keys have other names than the old phone's.
        for _ in 0..9 {
            new_phone.inner.enrol(Purpose::Standard).unwrap();
        }
        lease
            .slots()
            .add(&Credentials::passphrase(&words).and(&new_phone))
            .unwrap();
    }
    old_phone.inner.forget_all();
    let phone = [&old_phone, &new_phone].map(|phone| Credentials::passphrase(&wrong).and(phone));
    assert_eq!(kind(vault.unlock(&phone[0])), Some(ErrorKind::ShareMissing));
    for name in 1..=4 {
        new_phone
            .inner
            .destroy(Purpose::Standard, format!("key-{name}").as_bytes())
            .unwrap();
    }
    assert_eq!(kind(vault.unlock(&phone[1])), Some(ErrorKind::UnlockFailed));
    drop(
        vault
            .unlock(&Credentials::passphrase(&words).and(&new_phone))
            .unwrap(),
    );
}

/// What the platform does to a key store, and what an owner does next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Heal,
    Invalidate,
    Lose,
    Recover,
    Refuse(ShareError),
    StepUp,
    Unlock,
}

fn steps() -> impl Strategy<Value = Vec<Event>> {
    let step = prop_oneof![
        2 => Just(Event::Heal),
        1 => Just(Event::Invalidate),
        1 => Just(Event::Lose),
        1 => Just(Event::Recover),
        1 => Just(Event::Refuse(ShareError::Cancelled)),
        1 => Just(Event::Refuse(ShareError::TemporarilyUnavailable)),
        2 => Just(Event::StepUp),
        3 => Just(Event::Unlock),
    ];
    proptest::collection::vec(step, 4..12)
}

/// A key store whose keys a change of fingers invalidates for good.
struct Phone {
    keys: Keystore,
    invalidated: Mutex<Vec<Vec<u8>>>,
}

impl KeyShare for Phone {
    fn provider(&self) -> &str {
        self.keys.provider()
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        self.keys.enrol(purpose)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        if self
            .invalidated
            .lock()
            .unwrap()
            .iter()
            .any(|gone| gone == blob)
        {
            return Err(ShareError::Invalidated(
                InvalidationReason::BiometricsChanged,
            ));
        }
        self.keys.release(purpose, blob, challenge, sink)
    }

    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        self.keys.destroy(purpose, blob)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn from_a_lost_key_only_recovery_leads_back(steps in steps()) {
        let (scratch, words) = (Scratch::new(), words());
        let phone = Phone { keys: Keystore::named("phone"), invalidated: Mutex::default() };
        let factors = Credentials::passphrase(&words).and(&phone);
        let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
        let mut code = setup.recovery_code().reveal(str::to_owned);
        let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
        // Why the slots' keys are gone for good, and why nothing is released just now.
        let (mut gone, mut refused): (Option<ErrorKind>, Option<ErrorKind>) = (None, None);
        let mut enrolled = 4;
        for step in steps {
            let before = headers_of(&scratch.vault());
            let expected = match (gone, refused) {
                (Some(ErrorKind::ShareInvalidated), _) => gone,
                (_, Some(refused)) => Some(refused),
                (gone, None) => gone,
            };
            match step {
                Event::Heal => {
                    phone.keys.refuse(None);
                    refused = None;
                }
                Event::Refuse(error) => {
                    phone.keys.refuse(Some(error));
                    refused = Some(vitalock::Error::from(error).kind());
                }
                Event::Lose => {
                    phone.keys.forget_all();
                    gone = gone.or(Some(ErrorKind::ShareMissing));
                }
                Event::Invalidate => {
                    let mut invalidated = phone.invalidated.lock().unwrap();
                    invalidated.extend((1..=enrolled).map(|n| format!("key-{n}").into_bytes()));
                    gone = Some(ErrorKind::ShareInvalidated);
                }
                Event::Unlock | Event::StepUp => {
                    let unlocked = vault.unlock(&factors);
                    prop_assert_eq!(unlocked.as_ref().err().map(|error| error.kind()), expected);
                    if let (Event::StepUp, Ok(session)) = (step, &unlocked) {
                        prop_assert!(session.step_up(&factors).is_ok());
                    }
                    drop(unlocked);
                    prop_assert_eq!(headers_of(&scratch.vault()), before);
                }
                Event::Recover => {
                    let used = RecoveryCode::parse(code.as_bytes()).unwrap();
                    let by_code = Credentials::recovery(&used).and_passphrase(&words);
                    let mut recovery = vault.recover(&by_code, factors).unwrap();
                    let typed = recovery.code().reveal(str::to_owned);
                    let confirmed = recovery.confirm(typed.as_bytes());
                    prop_assert_eq!(confirmed.as_ref().err().map(|error| error.kind()), refused);
                    if confirmed.is_ok() {
                        (gone, code) = (None, typed);
                        enrolled += 4;
                    }
                }
            }
            prop_assert!(phone.keys.live_keys() <= 4, "no key is left behind");
        }
    }
}
