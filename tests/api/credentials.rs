//! Two factors that are both needed, and passphrases judged by their length alone
//!

use rustix::time::{ClockId, clock_gettime};
use vitalock::{
    Credentials, EmergencyCode, ErrorKind, KeyShare, Passphrase, Purpose, RecoveryCode, Vault,
};

use crate::support::{Keystore, Scratch, WORDS, headers_of, make_vault, options, words};

fn kind<T>(result: vitalock::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn wrong_factors_in_any_combination_are_one_error() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, _) = make_vault(&scratch.vault(), &keystore);
    let wrong_words = Passphrase::new(b"vier stille Reiher warten").unwrap();
    // Another device, which has keys by the same names.
    let other_device = Keystore::new();
    for _ in 0..4 {
        other_device.enrol(Purpose::Standard).unwrap();
    }
    let before = headers_of(&scratch.vault());
    let right = Credentials::passphrase(&words).and(&keystore);
    let mut said = Vec::new();
    for factors in [
        Credentials::passphrase(&words).and(&other_device),
        Credentials::passphrase(&wrong_words).and(&keystore),
        Credentials::passphrase(&wrong_words).and(&other_device),
    ] {
        let error = vault.unlock(&factors).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnlockFailed);
        said.push((
            format!("{error} {error:?}"),
            error.os_code(),
            error.invalidation_reason(),
        ));
        // Else the third failure would make the next attempt wait.
        drop(vault.unlock(&right).unwrap());
    }
    assert!(said.iter().all(|words| *words == said[0]));
    // One factor alone: there is no slot for it, as the header says in clear.
    let [alone, share] = [
        Credentials::passphrase(&words),
        Credentials::share(&keystore),
    ];
    let asked = keystore.releases().len();
    for factors in [alone, share] {
        assert_eq!(
            kind(vault.unlock(&factors)),
            Some(ErrorKind::NoMatchingSlot)
        );
    }
    assert_eq!(keystore.releases().len(), asked, "the host was not asked");
    assert_eq!(headers_of(&scratch.vault()), before);
    let session = vault.unlock(&right).unwrap();
    for factors in [
        Credentials::passphrase(&words).and(&other_device),
        Credentials::passphrase(&wrong_words).and(&keystore),
    ] {
        assert_eq!(
            kind(session.step_up(&factors)),
            Some(ErrorKind::UnlockFailed)
        );
    }
    for factors in [alone, share] {
        assert_eq!(
            kind(session.step_up(&factors)),
            Some(ErrorKind::NoMatchingSlot)
        );
    }
    drop(session.step_up(&right).unwrap());
}

#[test]
fn a_recovery_code_is_no_everyday_factor_and_everyday_factors_do_not_recover() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &keystore);
    let code = RecoveryCode::parse(code.as_bytes()).unwrap();
    let factors = Credentials::passphrase(&words).and(&keystore);
    let none = Some(ErrorKind::NoMatchingSlot);
    for by_code in [
        Credentials::recovery(&code),
        Credentials::recovery(&code).and(&keystore),
        Credentials::recovery(&code).and_passphrase(&words),
        Credentials::recovery(&code)
            .and(&keystore)
            .and_passphrase(&words),
    ] {
        assert_eq!(kind(vault.unlock(&by_code)), none);
    }
    let all = Credentials::recovery(&code)
        .and(&keystore)
        .and_passphrase(&words);
    for old in [factors, Credentials::recovery(&code), all] {
        assert_eq!(kind(vault.recover(&old, factors)), none);
    }
    let by_code = Credentials::recovery(&code).and(&keystore);
    for new in [Credentials::share(&keystore), by_code] {
        assert_eq!(kind(vault.recover(&by_code, new)), none);
    }
    // Every slot's factors are wrong ones in every other.
    let other = make_vault(&Scratch::new().vault(), &Keystore::new()).1;
    let other = RecoveryCode::parse(other.as_bytes()).unwrap();
    let wrong = Passphrase::new(b"none of the herons").unwrap();
    for old in [
        Credentials::recovery(&other).and(&keystore),
        Credentials::recovery(&other).and_passphrase(&words),
        Credentials::recovery(&code).and_passphrase(&wrong),
    ] {
        assert_eq!(
            kind(vault.recover(&old, factors)),
            Some(ErrorKind::UnlockFailed)
        );
    }
    let session = vault.unlock(&factors).unwrap();
    assert_eq!(kind(session.step_up(&by_code)), none);
}

#[test]
fn a_passphrase_is_judged_by_its_length_and_by_how_often_it_is_guessed() {
    let keystore = Keystore::new();
    let long = "long and unusual ".repeat(58);
    let (short, common) = (
        Some(ErrorKind::PassphraseTooShort),
        Some(ErrorKind::PassphraseTooCommon),
    );
    // With a share, and alone.
    for (text, beside, alone) in [
        ("83519", short, short),
        ("835190", None, short),
        ("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", short, short),
        (
            "\u{1F600}\u{1F601}\u{1F602}\u{1F603}\u{1F604}\u{1F605}",
            common,
            short,
        ),
        ("\u{1F642}x\u{1F601}x\u{1F603}x", None, short),
        ("fourteen chars", None, short),
        ("fifteen letters", None, None),
        ("f\u{fc}nfzehn Zeiche", None, None),
        ("all lower case words", None, None),
        ("~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./", None, None),
        (&long, None, None),
        ("000000", common, short),
        ("111111111111111", common, common),
        ("123456", common, short),
        ("123456789012345", common, common),
        ("Password1!", common, short),
        ("correct horse battery staple", common, common),
    ] {
        let words = Passphrase::new(text.as_bytes()).unwrap();
        for (factors, expected) in [
            (Credentials::passphrase(&words).and(&keystore), beside),
            (Credentials::passphrase(&words), alone),
        ] {
            let scratch = Scratch::new();
            let setup = Vault::create(scratch.vault(), options(), factors);
            assert_eq!(kind(setup.map(|_| ())), expected, "{text:?}");
            assert!(
                !scratch.vault().exists(),
                "nothing is made before the code is typed back"
            );
        }
    }
    assert_eq!(keystore.live_keys(), 0);
}

#[test]
fn the_rules_hold_wherever_a_slot_is_made() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let (vault, code) = make_vault(&scratch.vault(), &keystore);
    let factors = Credentials::passphrase(&words).and(&keystore);
    let code = RecoveryCode::parse(code.as_bytes()).unwrap();
    let [short, common, pin] =
        ["83519", "Password1!", "835190"].map(|text| Passphrase::new(text.as_bytes()).unwrap());
    let cases = [
        (
            Credentials::passphrase(&short).and(&keystore),
            ErrorKind::PassphraseTooShort,
        ),
        (
            Credentials::passphrase(&common).and(&keystore),
            ErrorKind::PassphraseTooCommon,
        ),
        (Credentials::passphrase(&pin), ErrorKind::PassphraseTooShort),
    ];
    let by_code = Credentials::recovery(&code).and(&keystore);
    let (before, keys) = (headers_of(&scratch.vault()), keystore.live_keys());
    for (new, expected) in cases {
        let asked = keystore.releases().len();
        assert_eq!(
            kind(vault.recover(&by_code, new).map(|_| ())),
            Some(expected)
        );
        assert_eq!(keystore.releases().len(), asked, "the host was not asked");
    }
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    for (new, expected) in cases {
        assert_eq!(kind(lease.slots().add(&new)), Some(expected));
        assert_eq!(
            kind(lease.slots().replace(lease.slot(), &new)),
            Some(expected)
        );
    }
    drop((lease, session));
    assert_eq!(
        (headers_of(&scratch.vault()), keystore.live_keys()),
        (before, keys)
    );
    assert_eq!(
        words
            .refuse_words(&["Reiher"])
            .map_err(|error| error.kind()),
        Ok(())
    );
}

#[test]
fn a_passphrase_opens_the_vault_however_the_keyboard_composed_it() {
    let (scratch, keystore) = (Scratch::new(), Keystore::new());
    let composed = Passphrase::new("\u{dc}ber dem See \u{c5}".as_bytes()).unwrap();
    let factors = Credentials::passphrase(&composed).and(&keystore);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    for typed in ["U\u{308}ber dem See A\u{30a}", "\u{dc}ber dem See \u{212b}"] {
        let words = Passphrase::new(typed.as_bytes()).unwrap();
        drop(
            vault
                .unlock(&Credentials::passphrase(&words).and(&keystore))
                .unwrap(),
        );
    }
    for other in [
        "\u{dc}ber dem See A",
        "\u{fc}ber dem See \u{c5}",
        "\u{dc}ber dem See \u{c5} ",
    ] {
        let words = Passphrase::new(other.as_bytes()).unwrap();
        let wrong = vault.unlock(&Credentials::passphrase(&words).and(&keystore));
        assert_eq!(kind(wrong), Some(ErrorKind::UnlockFailed), "{other:?}");
    }
}

#[test]
fn a_long_passphrase_counts_to_its_last_character() {
    let (scratch, keystore) = (Scratch::new(), Keystore::new());
    let text = "0123456789abcde ".repeat(64);
    assert_eq!(text.len(), Passphrase::MAX_BYTES);
    let words = Passphrase::new(text.as_bytes()).unwrap();
    let factors = Credentials::passphrase(&words).and(&keystore);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    drop(vault.unlock(&factors).unwrap());
    let shorter = Passphrase::new(&text.as_bytes()[..1023]).unwrap();
    let cut = vault.unlock(&Credentials::passphrase(&shorter).and(&keystore));
    assert_eq!(kind(cut), Some(ErrorKind::UnlockFailed));
    let longer = Passphrase::new(format!("{text}.").as_bytes());
    assert_eq!(kind(longer), Some(ErrorKind::PassphraseTooLong));
}

#[test]
fn a_mistyped_code_is_noticed_before_anything_is_derived() {
    let (scratch, keystore, words) = (Scratch::new(), Keystore::new(), words());
    let factors = Credentials::passphrase(&words).and(&keystore);
    let setup = Vault::create(scratch.vault(), options(), factors).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let swapped: String = code.chars().rev().collect();
    let before = clock_gettime(ClockId::ThreadCPUTime);
    for _ in 0..50 {
        for typed in [
            &code[1..],
            &code[..33],
            &format!("{code}0"),
            &swapped,
            "",
            "U",
        ] {
            for kind in [
                kind(RecoveryCode::parse(typed.as_bytes()).map(|_| ())),
                kind(EmergencyCode::parse(typed.as_bytes()).map(|_| ())),
                kind(setup.confirm_recovery(typed.as_bytes()).map(|_| ())),
            ] {
                assert_eq!(kind, Some(ErrorKind::RecoveryCodeMistyped), "{typed:?}");
            }
        }
    }
    let took = clock_gettime(ClockId::ThreadCPUTime) - before;
    // Nine hundred derivations at the floor would take more than ten seconds.
    assert!(
        took.tv_sec < 5,
        "{took:?} of processor time for typing errors"
    );
    // A code without a typing error that is not the one shown.
    let other = make_vault(&Scratch::new().vault(), &Keystore::new()).1;
    let wrong = setup.confirm_recovery(other.as_bytes()).map(|_| ());
    assert_eq!(kind(wrong), Some(ErrorKind::RecoveryNotConfirmed));
    assert!(!scratch.vault().exists() && keystore.live_keys() == 0);
    let sloppy = code
        .to_lowercase()
        .replace('-', " ")
        .replace('0', "o")
        .replace('1', "i");
    drop(setup.confirm_recovery(sloppy.as_bytes()).unwrap());
    assert!(Passphrase::new(WORDS).is_ok());
}
