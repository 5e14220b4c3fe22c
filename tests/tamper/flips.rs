//! One byte or one bit of the header changed: in both copies it opens nothing, in one it is healed.

use vitalock::{Credentials, ErrorKind, Vault};

use crate::frozen::{COPIES, Frozen, soak};

/// What a header damaged at `at`, where it now holds `byte`, is refused with by whoever unlocks
/// through the Standard wrap of the slot of kind `used`.
fn expected(text: &str, at: usize, byte: u8, used: &str) -> ErrorKind {
    let damaged = ErrorKind::HeaderDamaged;
    let start = text[..at].rfind('\n').map_or(0, |feed| feed + 1);
    let line = text[start..].split('\n').next().unwrap();
    let column = at - start;
    let hex = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let name = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let when = |allowed: bool, kind| if allowed { kind } else { damaged };
    let field = field_at(line, column);

    let slot = text[..start + line.len()]
        .lines()
        .rfind(|line| line.starts_with("slot "));
    let of_used = slot.is_some_and(|slot| slot.ends_with(&format!(" {used}")));
    let in_used = of_used && (line.starts_with("slot ") || line.starts_with("wrap standard "));
    let secret = if in_used {
        ErrorKind::UnlockFailed
    } else {
        ErrorKind::TamperDetected
    };
    match field {
        Field::Version => when(matches!(byte, b'2'..=b'9'), ErrorKind::UnsupportedFormat),
        Field::Vault => when(hex, ErrorKind::UnlockFailed),
        Field::Number { first } => {
            let digit = byte.is_ascii_digit() && !(first && byte == b'0');
            when(digit, ErrorKind::TamperDetected)
        }
        Field::Bounded {
            least,
            most,
            ref text,
            at,
            limit,
        } => {
            let mut changed = text.clone().into_bytes();
            changed[at] = byte;
            let digits = changed.iter().all(u8::is_ascii_digit);
            let zero = changed == b"0" && least == 0;
            let value = std::str::from_utf8(&changed)
                .ok()
                .and_then(|text| text.parse().ok());
            match value.filter(|_| digits && (changed[0] != b'0' || zero)) {
                None => damaged,
                Some(value) if (least..=most).contains(&value) && limit => {
                    ErrorKind::TamperDetected
                }
                Some(value) if (least..=most).contains(&value) => secret,
                Some(_) if limit => damaged,
                Some(_) => ErrorKind::KdfParametersRefused,
            }
        }
        Field::Provider if in_used => when(name, ErrorKind::NoMatchingSlot),
        Field::Provider => when(name, ErrorKind::TamperDetected),
        Field::Blob if in_used => when(hex, ErrorKind::ShareMissing),
        Field::Secret | Field::Blob => when(hex, secret),
        Field::Signed => when(hex, ErrorKind::TamperDetected),
        Field::Frame => damaged,
    }
}

/// What stands at a place of a line.
enum Field {
    /// The number of the format or of the suite.
    Version,
    Vault,
    /// The generation.
    Number {
        first: bool,
    },
    /// A number with its bounds: a limit of the policy, or a parameter of Argon2id.
    Bounded {
        least: u64,
        most: u64,
        text: String,
        at: usize,
        limit: bool,
    },
    /// The name of a key store.
    Provider,
    Blob,
    /// What a wrap is bound to or holds, and a slot's identity.
    Secret,
    /// What only the MACs vouch for.
    Signed,
    /// Words, spaces, colons and line feeds.
    Frame,
}

fn field_at(line: &str, column: usize) -> Field {
    if column >= line.len() || matches!(line.as_bytes()[column], b' ' | b'=' | b':') {
        return Field::Frame;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let word = line[..column].matches(' ').count();
    let begin = line[..column].rfind(' ').map_or(0, |space| space + 1);
    match (words[0], word) {
        ("vitalock" | "suite", 1) => Field::Version,
        ("vault", 1) => Field::Vault,
        ("generation", 1) => Field::Number {
            first: column == begin,
        },
        ("session" | "lease", 1..) => {
            let (name, value) = words[word].split_once('=').unwrap();
            let Some(at) = (column - begin).checked_sub(name.len() + 1) else {
                return Field::Frame;
            };
            let limit = |least, most| Field::Bounded {
                least,
                most,
                text: value.to_owned(),
                at,
                limit: true,
            };
            match name {
                "idle" => limit(1, 900),
                "absolute" => limit(1, 43_200),
                "background" => limit(0, 30),
                "seconds" => limit(1, 300),
                _ => Field::Frame,
            }
        }
        ("inbox", 1..) => match words[word].split_once('=') {
            Some((name, _)) if column - begin > name.len() => Field::Signed,
            _ => Field::Frame,
        },
        ("slot", 1) => Field::Secret,
        ("escrow", 1) | ("mac", 2) => Field::Signed,
        ("retired", 1) => Field::Provider,
        ("retired", 3) => Field::Blob,
        ("wrap", 2..) => {
            let (name, value) = words[word].split_once('=').unwrap();
            let Some(at) = (column - begin).checked_sub(name.len() + 1) else {
                return Field::Frame;
            };
            let part = value[..at].matches(':').count();
            let parts: Vec<&str> = value.split(':').collect();
            let begin = value[..at].rfind(':').map_or(0, |colon| colon + 1);
            let cost = |least, most| Field::Bounded {
                least,
                most,
                text: parts[part].to_owned(),
                at: at - begin,
                limit: false,
            };
            match (name, part) {
                _ if value == "none" => Field::Frame,
                ("kdf", 1) => cost(19_456, 1_048_576),
                ("kdf", 2) => cost(2, 16),
                ("kdf", 3) => cost(1, 8),
                ("kdf", 0) => Field::Frame,
                ("share", 0) => Field::Provider,
                ("share", 2) => Field::Blob,
                _ => Field::Secret,
            }
        }
        _ => Field::Frame,
    }
}

/// Changes both copies at every place that `places` picks, and says how often each kind was met.
fn sweep(
    frozen: &Frozen,
    credentials: &Credentials<'_>,
    used: &str,
    changes: impl Iterator<Item = (usize, u8)>,
) -> Vec<ErrorKind> {
    let text = frozen.header();
    let mut met = Vec::new();
    let mut count = 0;
    for (at, byte) in changes {
        let mut damaged = text.as_bytes().to_vec();
        assert_ne!(damaged[at], byte);
        damaged[at] = byte;
        frozen.put_both(&damaged);
        let kind = frozen.failure(credentials);
        let expected = expected(text, at, byte, used);
        assert_eq!(
            kind,
            Some(expected),
            "{byte:?} at {at}, {:?}",
            context(text, at)
        );
        if !met.contains(&expected) {
            met.push(expected);
        }
        count += 1;
        if count % 997 == 0 {
            assert_untouched(frozen, &damaged);
        }
    }
    frozen.restore();
    frozen.assert_whole();
    met
}

/// That nothing was written since both copies were damaged.
fn assert_untouched(frozen: &Frozen, damaged: &[u8]) {
    let mut expected = frozen.files.clone();
    expected.extend(COPIES.map(|name| (name.to_owned(), damaged.to_vec())));
    assert_eq!(frozen.now(), expected);
}

fn context(text: &str, at: usize) -> &str {
    &text[at.saturating_sub(20)..(at + 20).min(text.len())]
}

#[test]
fn one_flipped_bit_in_both_copies_opens_nothing_and_is_refused_by_its_kind() {
    let frozen = Frozen::make();
    let header = frozen.header().as_bytes();
    let flips = (0..header.len()).flat_map(|at| (0..8).map(move |bit| (at, header[at] ^ 1 << bit)));
    let met = sweep(&frozen, &frozen.touch(), "biometric", flips);
    for kind in [
        ErrorKind::HeaderDamaged,
        ErrorKind::KdfParametersRefused,
        ErrorKind::NoMatchingSlot,
        ErrorKind::ShareMissing,
        ErrorKind::TamperDetected,
        ErrorKind::UnlockFailed,
        ErrorKind::UnsupportedFormat,
    ] {
        assert!(met.contains(&kind), "{kind:?} was never met");
    }
}

#[test]
fn one_replaced_byte_in_both_copies_opens_nothing_and_is_refused_by_its_kind() {
    let frozen = Frozen::make();
    let header = frozen.header().as_bytes();
    // A digit, a letter that is none, a space, a line feed, and what is no text.
    let values = |at: usize| [b'0', b'9', b'e', b'z', b' ', b'\n', 0, 0xFF].map(|byte| (at, byte));
    let changes = (0..header.len()).flat_map(values);
    let changes = changes.filter(|(at, byte)| header[*at] != *byte);
    sweep(&frozen, &frozen.touch(), "biometric", changes);
}

#[test]
fn a_damaged_header_opens_nothing_to_the_passphrase_either() {
    let frozen = Frozen::make();
    let header = frozen.header().as_bytes();
    let step = if soak() { 1 } else { 61 };
    let flips = (0..header.len())
        .step_by(step)
        .map(|at| (at, header[at] ^ 1));
    sweep(&frozen, &frozen.everyday(), "primary", flips);
}

#[test]
fn a_flip_in_one_copy_is_healed_from_the_other_and_changes_nothing_else() {
    let frozen = Frozen::make();
    let header = frozen.header().as_bytes();
    let step = if soak() { 1 } else { 5 };
    for (turn, at) in (0..header.len()).step_by(step).enumerate() {
        let mut damaged = header.to_vec();
        damaged[at] ^= 1;
        frozen.put(COPIES[turn % 2], &damaged);
        let failure = frozen.failure(&frozen.touch());
        assert_eq!(failure, None, "at {at}, {:?}", context(frozen.header(), at));
        assert_eq!(frozen.now(), frozen.files, "at {at}");
    }
    frozen.assert_whole();
}

#[test]
fn one_damaged_copy_keeps_neither_the_emergency_code_nor_the_recovery_code_out() {
    let frozen = Frozen::make();
    let text = frozen.header();
    let places = text
        .lines()
        .take(4)
        .chain(text.lines().filter(|line| line.starts_with("mac ")));
    let mut places: Vec<usize> = places
        .map(|line| text.find(line).unwrap() + line.len() - 1)
        .collect();
    places.push(text.find("generation ").unwrap() + 11);
    for kind in ["emergency", "recovery-share"] {
        for line in frozen.slot_lines(kind) {
            places.push(text.find(line).unwrap() + line.len() - 1);
        }
    }
    for name in COPIES {
        for &at in &places {
            let mut damaged = text.as_bytes().to_vec();
            damaged[at] ^= 1;
            frozen.put(name, &damaged);
            let vault = Vault::open(frozen.dir()).unwrap();
            let session = vault.unlock_emergency(&frozen.emergency, "found unconscious");
            assert!(session.is_ok(), "{session:?}, at {:?}", context(text, at));
            drop(session);
            // An emergency session writes nothing.
            assert_eq!(frozen.now()[name], damaged);
            let old = Credentials::recovery(&frozen.code).and(&*frozen.keychain);
            let recovery = vault.recover(&old, frozen.everyday());
            assert!(recovery.is_ok(), "{recovery:?}, at {:?}", context(text, at));
            drop(recovery);
            drop(vault);
            assert_eq!(frozen.now(), frozen.files, "the recovery healed the header");
        }
    }
}

#[test]
fn a_wrap_damaged_in_one_copy_is_released_once_for_each_copy_and_no_more() {
    let frozen = Frozen::make();
    let wrap = frozen.slot_lines("biometric")[1];
    let at = frozen.header().find(wrap).unwrap() + wrap.len() - 1;
    let mut damaged = frozen.header().as_bytes().to_vec();
    damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
    frozen.put("header", &damaged);
    let before = frozen.finger.releases().len();
    assert_eq!(frozen.failure(&frozen.touch()), None);
    assert_eq!(frozen.finger.releases().len(), before + 2);

    // Damage elsewhere does not make the host ask a person twice.
    let at = frozen.header().find("generation ").unwrap() + 11;
    let mut damaged = frozen.header().as_bytes().to_vec();
    damaged[at] = if damaged[at] == b'9' { b'8' } else { b'9' };
    frozen.put("header", &damaged);
    let before = frozen.finger.releases().len();
    assert_eq!(frozen.failure(&frozen.touch()), None);
    assert_eq!(frozen.finger.releases().len(), before + 1);
    assert_eq!(frozen.now(), frozen.files);
}
