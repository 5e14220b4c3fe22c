//! Hashes, ciphers and spellings, put together from the primitives of others.

use std::fmt::Write as _;

use aes_gcm::aead::{Aead, Payload};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{Kdf, Key};

/// The 16 bytes of a written code, if its checksum is right.
pub fn code_bits(typed: &str, usage: u8) -> Option<[u8; 16]> {
    const SYMBOLS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut bits = Vec::new();
    for symbol in typed.to_uppercase().chars() {
        let value = match symbol {
            '-' | ' ' => continue,
            'I' | 'L' => 1,
            'O' => 0,
            other => SYMBOLS.find(other)?,
        };
        bits.extend((0..5).rev().map(|bit| value >> bit & 1));
    }
    if bits.len() != 140 {
        return None;
    }
    let byte = |bits: &[usize]| bits.iter().fold(0, |byte, bit| byte << 1 | *bit as u8);
    let code: [u8; 16] = array(&bits[..128].chunks(8).map(byte).collect::<Vec<_>>());
    let name = if usage == 1 { "emergency" } else { "recovery" };
    let prefix = format!("vitalock/1/code/{name}");
    let digest = Sha256::digest([prefix.as_bytes(), &code].concat());
    let checksum = bits[128..].iter().fold(0, |sum, bit| sum << 1 | bit);
    (usize::from(digest[0]) << 4 | usize::from(digest[1] >> 4) == checksum).then_some(code)
}

/// Opens an envelope: suite, nonce, ciphertext, tag.
pub fn open(key: &Key, associated: &[u8], envelope: &[u8]) -> Option<Vec<u8>> {
    if envelope.len() < 41 || envelope[0] != 1 {
        return None;
    }
    let cipher = {
        use aes_gcm::KeyInit as _;
        aes_gcm::Aes256Gcm::new_from_slice(&message_key(key, envelope)).unwrap()
    };
    let payload = Payload {
        msg: &envelope[25..],
        aad: associated,
    };
    let nonce: [u8; 12] = array(&envelope[13..25]);
    cipher.decrypt(&nonce.into(), payload).ok()
}

/// Ciphertext and tag of XAES-256-GCM.
pub(super) fn seal(key: &Key, associated: &[u8], nonce: &[u8; 24], plain: &[u8]) -> Vec<u8> {
    let cipher = {
        use aes_gcm::KeyInit as _;
        let prefixed = [&[1], &nonce[..]].concat();
        aes_gcm::Aes256Gcm::new_from_slice(&message_key(key, &prefixed)).unwrap()
    };
    let payload = Payload {
        msg: plain,
        aad: associated,
    };
    let nonce: [u8; 12] = array(&nonce[12..]);
    cipher.encrypt(&nonce.into(), payload).unwrap()
}

/// The AES-256-GCM key that XAES-256-GCM derives for the message in this envelope (C2SP).
pub fn message_key(key: &Key, envelope: &[u8]) -> Key {
    use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
    let aes = aes::Aes256::new_from_slice(key).unwrap();
    let encrypt = |block: [u8; 16]| -> [u8; 16] {
        let mut block = block.into();
        aes.encrypt_block(&mut block);
        block.into()
    };
    let zero = u128::from_be_bytes(encrypt([0; 16]));
    let k1 = (zero << 1) ^ if zero >> 127 == 1 { 0x87 } else { 0 };
    let half = |counter: u8| {
        let mut message = [0; 16];
        message[..4].copy_from_slice(&[0, counter, b'X', 0]);
        message[4..].copy_from_slice(&envelope[1..13]);
        encrypt((u128::from_be_bytes(message) ^ k1).to_be_bytes())
    };
    array(&[half(1), half(2)].concat())
}

pub fn hmac(key: &[u8], data: &[u8]) -> Key {
    use hmac::KeyInit as _;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().into()
}

pub fn sha256(bytes: &[u8]) -> Key {
    use sha2::Digest as _;
    Sha256::digest(bytes).into()
}

/// The state of SHA-256 after one block, as a machine keeps it: eight words in its own order.
pub fn sha256_state(block: &[u8; 64]) -> Key {
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    sha2::block_api::compress256(&mut state, &[*block]);
    array(&state.map(u32::to_ne_bytes).concat())
}

pub(super) fn hkdf(salt: &[u8], ikm: &[u8], info: &[u8], length: usize) -> Vec<u8> {
    let mut output = vec![0; length];
    let hkdf = hkdf::Hkdf::<Sha256>::new(Some(salt), ikm);
    hkdf.expand(info, &mut output).unwrap();
    output
}

pub(super) fn argon2id(passphrase: &[u8], kdf: &Kdf, last_blocks: &mut Vec<Vec<u8>>) -> Key {
    let params = argon2::Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(32)).unwrap();
    let mut blocks = vec![argon2::Block::new(); params.block_count()];
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut output = [0; 32];
    argon2
        .hash_password_into_with_memory(passphrase, &kdf.salt, &mut output, &mut blocks)
        .unwrap();
    let lane = blocks.len() / kdf.lanes as usize;
    for last in blocks.chunks(lane).filter_map(<[_]>::last) {
        let words: &[u64] = last.as_ref();
        last_blocks.push(words.iter().flat_map(|word| word.to_le_bytes()).collect());
    }
    output
}

/// The length as `u32`, then the bytes.
pub fn lp(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_le_bytes(), bytes].concat()
}

pub fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && !text.contains(|c: char| c.is_ascii_uppercase()));
    let pairs = text.as_bytes().chunks(2).map(std::str::from_utf8);
    pairs
        .map(|pair| u8::from_str_radix(pair.unwrap(), 16).unwrap())
        .collect()
}
