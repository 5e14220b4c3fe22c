//! Genuine parts in the wrong place: of another vault, another class, another generation.

use std::sync::Arc;

use vitalock::{ErrorKind, Vault};

use crate::frozen::{COPIES, Files, Frozen};

const DATABASES: [&str; 3] = ["emergency.db", "standard.db", "priority.db"];

/// Two vaults of one owner: the same passphrase and the same key stores.
fn two_vaults() -> (Frozen, Frozen) {
    let one = Frozen::make();
    let other = Frozen::make_with(Arc::clone(&one.keychain), Arc::clone(&one.finger));
    assert_eq!(
        other.failure(&one.touch()),
        None,
        "the key stores are shared"
    );
    assert_eq!(
        one.failure(&other.everyday()),
        None,
        "the passphrase is the same"
    );
    (one, other)
}

fn assert_refused(frozen: &Frozen, text: &str, kind: ErrorKind, what: &str) {
    assert_ne!(text, frozen.header(), "{what}");
    frozen.put_both(text.as_bytes());
    assert_eq!(frozen.failure(&frozen.touch()), Some(kind), "{what}");
    for name in COPIES {
        frozen.restore();
        frozen.put(name, text.as_bytes());
        assert_eq!(frozen.failure(&frozen.touch()), None, "{what} in {name}");
        assert_eq!(frozen.now(), frozen.files, "{what} in {name}");
    }
}

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap()
}

#[test]
fn parts_of_another_vaults_header_open_nothing() {
    let (one, other) = two_vaults();
    let text = one.header();
    let with = |from: &str, to: &str| text.replacen(from, to, 1);
    let slot = |vault: &Frozen, kind| vault.slot_lines(kind).join("\n");
    let (failed, tampered) = (ErrorKind::UnlockFailed, ErrorKind::TamperDetected);

    let touch = slot(&one, "biometric");
    let foreign = slot(&other, "biometric");
    assert_refused(&one, &with(&touch, &foreign), failed, "the slot in use");
    assert_refused(
        &one,
        &with(&touch, &format!("{touch}\n{foreign}")),
        tampered,
        "a second one",
    );
    assert_refused(
        &one,
        &with(&touch, &format!("{foreign}\n{touch}")),
        tampered,
        "a first one",
    );
    let (wrap, foreign) = (
        one.slot_lines("biometric")[1],
        other.slot_lines("biometric")[1],
    );
    assert_refused(&one, &with(wrap, foreign), failed, "the wrap in use");
    for field in ["key=", "commit=", "salt=", "share="] {
        let find = |line: &str| {
            line.split(' ')
                .find(|word| word.starts_with(field))
                .unwrap()
                .to_owned()
        };
        assert_refused(&one, &with(&find(wrap), &find(foreign)), failed, field);
    }
    for kind in [
        "primary",
        "recovery-share",
        "recovery-passphrase",
        "emergency",
    ] {
        let changed = with(&slot(&one, kind), &slot(&other, kind));
        assert_refused(&one, &changed, tampered, kind);
    }
    for start in [
        "escrow ",
        "mac priority ",
        "mac standard ",
        "mac emergency ",
    ] {
        let changed = with(line(text, start), line(other.header(), start));
        assert_refused(&one, &changed, tampered, start);
    }
    let vault = with(line(text, "vault "), line(other.header(), "vault "));
    assert_refused(&one, &vault, failed, "the vault's identity");
    let macs = text.find("mac priority ").unwrap();
    let foreign = other.header().find("mac priority ").unwrap();
    let spliced = format!("{}{}", &text[..macs], &other.header()[foreign..]);
    assert_refused(&one, &spliced, tampered, "all MACs");
}

#[test]
fn a_slot_used_as_another_kind_or_for_another_purpose_opens_nothing() {
    let frozen = Frozen::make();
    let text = frozen.header();
    // The share slot of the recovery, named biometric so that no code would be asked for.
    let recovery = frozen.slot_lines("recovery-share");
    let renamed = recovery[0].replace("recovery-share", "biometric");
    let wraps = recovery[1..].join("\n");
    let planted = text.replacen(&recovery.join("\n"), &format!("{renamed}\n{wraps}"), 1);
    frozen.put_both(planted.as_bytes());
    let failure = frozen.failure(&vitalock::Credentials::share(&*frozen.keychain));
    assert_eq!(failure, Some(ErrorKind::UnlockFailed));
    // The Priority wrap in the place of the Standard one.
    let primary = frozen.slot_lines("primary");
    let exchanged = text
        .replacen(primary[1], "HERE", 1)
        .replacen(
            primary[2],
            &primary[2].replacen("priority", "standard", 1),
            1,
        )
        .replacen("HERE", &primary[1].replacen("standard", "priority", 1), 1);
    let lines: Vec<&str> = exchanged.lines().collect();
    let at = lines.iter().position(|line| *line == primary[0]).unwrap();
    let mut lines = lines;
    lines.swap(at + 1, at + 2);
    frozen.put_both((lines.join("\n") + "\n").as_bytes());
    let failure = frozen.failure(&frozen.everyday());
    assert_eq!(
        failure,
        Some(ErrorKind::HeaderDamaged),
        "it holds one key less"
    );
}

#[test]
fn macs_of_another_class_or_generation_vouch_for_nothing() {
    let frozen = Frozen::make();
    let new = frozen.header().to_owned();
    let mac = |text: &str, class: &str| {
        let start = format!("mac {class} ");
        line(text, &start).strip_prefix(&start).unwrap().to_owned()
    };
    for (class, other) in [
        ("priority", "standard"),
        ("standard", "emergency"),
        ("emergency", "priority"),
    ] {
        let changed = new.replacen(&mac(&new, class), &mac(&new, other), 1);
        assert_refused(&frozen, &changed, ErrorKind::TamperDetected, class);
    }

    // One generation on.
    {
        let vault = Vault::open(frozen.dir()).unwrap();
        let session = vault.unlock(&frozen.touch()).unwrap();
        let lease = session.step_up(&frozen.everyday()).unwrap();
        lease.slots().add_emergency().unwrap();
    }
    let newer = String::from_utf8(frozen.now()["header"].clone()).unwrap();
    assert_ne!(newer, new);
    let parts = |text: &str| {
        let at = text.find("mac priority ").unwrap();
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let ((old_body, old_macs), (new_body, new_macs)) = (parts(&new), parts(&newer));
    frozen.put("header", format!("{new_body}{old_macs}").as_bytes());
    frozen.put("header.2", format!("{old_body}{new_macs}").as_bytes());
    assert_eq!(
        frozen.failure(&frozen.touch()),
        Some(ErrorKind::TamperDetected)
    );
    // A generation raised by hand does not outrank the genuine copy.
    let number = line(&new, "generation ").to_owned();
    let raised = new.replacen(&number, "generation 9000000000000000000", 1);
    frozen.restore();
    frozen.put("header", raised.as_bytes());
    assert_eq!(frozen.failure(&frozen.touch()), None);
    assert_eq!(frozen.now(), frozen.files);
}

#[test]
fn databases_of_another_class_or_vault_are_refused() {
    let (one, other) = two_vaults();
    let exchange = |names: &[(&str, &str)], from: &Files| {
        one.restore();
        for (name, source) in names {
            one.put(name, &from[*source]);
        }
    };
    let steps_up = || {
        let vault = Vault::open(one.dir()).unwrap();
        let session = vault.unlock(&one.touch())?;
        session.step_up(&one.everyday()).map(|_| ())
    };
    let refused = |what: &str| {
        let kind = steps_up().unwrap_err().kind();
        assert_eq!(kind, ErrorKind::TamperDetected, "{what}");
    };
    for (at, name) in DATABASES.into_iter().enumerate() {
        exchange(&[(name, name)], &other.files);
        refused(name);
        let next = DATABASES[(at + 1) % 3];
        exchange(&[(name, next), (next, name)], &one.files);
        refused(next);
        exchange(&[(name, next)], &one.files);
        refused(next);
    }
    exchange(&DATABASES.map(|name| (name, name)), &other.files);
    refused("all databases of another vault");
    let headers = COPIES.map(|name| (name, name));
    exchange(&headers, &other.files);
    refused("the header of another vault");
    // The header and the databases of the other vault are the other vault.
    let both: Vec<_> = headers
        .into_iter()
        .chain(DATABASES.map(|name| (name, name)))
        .collect();
    exchange(&both, &other.files);
    steps_up().unwrap();
    one.restore();
    assert_eq!(one.now(), one.files);
    one.assert_whole();
}
