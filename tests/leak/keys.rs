//! The keys of a vault, derived once more from its header and its factors (spec 01 and 02), so that
//! they can be looked for.

use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization as _;
use vitalock::Purpose;
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{Aead as _, KeyInit as _, Payload};

use crate::canary::Canaries;
use crate::device_share::FileShare;

/// Adds to `canaries` every key that the primary slots of this header lead to: the shares, what the
/// passphrase is stretched to, the key-encryption keys, the class keys, and the keys derived from
/// those. How many class keys there were.
pub(crate) fn know_all(
    canaries: &mut Canaries,
    header: &str,
    passphrase: &str,
    keystore: &FileShare,
) -> usize {
    let (mut vault, mut slot, mut class_keys) = ("", "", 0);
    for line in header.lines() {
        if line.starts_with("vault ") {
            vault = line;
        } else if line.starts_with("slot ") {
            slot = line;
        } else if line.starts_with("wrap ") && slot.ends_with(" primary") {
            class_keys += know_wrap(canaries, [vault, slot, line], passphrase, keystore);
        }
    }
    class_keys
}

fn know_wrap(
    canaries: &mut Canaries,
    [vault, slot, wrap]: [&str; 3],
    passphrase: &str,
    keystore: &FileShare,
) -> usize {
    let field = |name: &str| {
        let mut fields = wrap.split(' ');
        fields.find_map(|field| field.strip_prefix(name)).unwrap()
    };
    let kdf: Vec<_> = field("kdf=").split(':').collect();
    let share: Vec<_> = field("share=").split(':').collect();
    let number = |at: usize| kdf[at].parse::<u32>().unwrap();
    let params = Params::new(number(1), number(2), number(3), Some(32)).unwrap();
    let mut stretched = [0; 32];
    let normal: String = passphrase.nfc().collect();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(normal.as_bytes(), &hex(kdf[4]), &mut stretched)
        .unwrap();
    let (purpose, classes): (_, &[u8]) = match wrap.split(' ').nth(1).unwrap() {
        "standard" => (Purpose::Standard, &[2, 1]),
        _ => (Purpose::Priority, &[3]),
    };
    let challenge = hex(share[1]).try_into().unwrap();
    let released = keystore.share(purpose, &hex(share[2]), &challenge).unwrap();

    let (binding, _) = wrap.split_once(" commit=").unwrap();
    let binding = format!("{vault}\n{slot}\n{binding}");
    let factors = [prefixed(&stretched), prefixed(&released), prefixed(&[])].concat();
    let info = [prefixed(b"vitalock/1/slot"), prefixed(binding.as_bytes())].concat();
    let slot_keys = derive::<64>(&hex(field("salt=")), &factors, &info);
    assert_eq!(slot_keys[32..], hex(field("commit=")));
    let (kek, sealed) = (&slot_keys[..32], hex(field("key=")));
    let payload = Payload {
        msg: &sealed[25..],
        aad: binding.as_bytes(),
    };
    let cipher = Xaes256Gcm::new_from_slice(kek).unwrap();
    let nonce = sealed[1..25].try_into().unwrap();
    let keys = cipher.decrypt(nonce, payload).unwrap();

    canaries.know("the stretched passphrase", &stretched);
    canaries.know("the released share", &released);
    canaries.know("the key-encryption key", kek);
    let vault = hex(vault.strip_prefix("vault ").unwrap());
    for (key, class) in keys.chunks(32).zip(classes) {
        canaries.know(&format!("the key of class {class}"), key);
        for label in LABELS {
            let info = [prefixed(label.as_bytes()), vec![*class]].concat();
            let derived = derive::<32>(&vault, key, &info);
            canaries.know(&format!("{label} of class {class}"), &derived);
        }
    }
    keys.len() / 32
}

const LABELS: [&str; 8] = [
    "vitalock/1/header-mac",
    "vitalock/1/subject-wrap",
    "vitalock/1/terms",
    "vitalock/1/settings",
    "vitalock/1/intents",
    "vitalock/1/cursor",
    "vitalock/1/blind",
    "vitalock/1/escrow",
];

fn derive<const N: usize>(salt: &[u8], ikm: &[u8], info: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand(info, &mut key)
        .unwrap();
    key
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_le_bytes(), bytes].concat()
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
