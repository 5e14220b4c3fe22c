//! Against OpenSSL: what the store seals, OpenSSL's AES computes too, byte for byte, and what
//! OpenSSL computes, the store opens. This proves that an envelope can be read by whoever has AES
//! and the two standards, without any of the crates that made it, for payloads of every length
//! around the block boundaries.
//!
//! The `openssl` tool has no GCM, so the first test takes from it every AES block and the counter
//! mode, and adds GHASH from `gcm`. The second takes the key from OpenSSL's CMAC and the tag from
//! its GMAC, over associated data alone; it needs OpenSSL 3 and adds nothing of its own.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use super::super::aead;
use super::gcm::{self, Block};
use super::{Stream, key_of, skipped};
use crate::id::encode_hex;

const KEYS: usize = 20;
const NONCES: usize = 12;

#[test]
fn openssl_and_the_store_seal_and_open_alike() {
    if run(&["version"], &[]).is_none() {
        return skipped("no openssl: 240 differential cases of XAES-256-GCM");
    }
    let mut inputs = Stream::named(b"openssl");
    let mut cases = 0;
    for _ in 0..KEYS {
        let key: [u8; 32] = inputs.array();
        let nonces: [[u8; 24]; NONCES] = std::array::from_fn(|_| inputs.array());
        let l = ecb(&key, &[0])[0];
        let derived = nonces.map(|nonce| gcm::xaes_inputs(l, &nonce)).concat();
        let gcm_keys = ecb(&key, &derived);
        for (nonce, gcm_key) in nonces.iter().zip(gcm_keys.chunks(2)) {
            let length = length_of_case(cases, &mut inputs);
            let plaintext = inputs.bytes(length);
            let length = inputs.up_to(300);
            let associated = inputs.bytes(length);
            let theirs = seal_by_openssl(gcm_key, nonce, &associated, &plaintext);

            let key = key_of(key);
            let mut buffer = plaintext.clone();
            let tag = aead::encrypt(&key, nonce, &associated, &mut buffer);
            assert_eq!((&buffer, tag), (&theirs.0, theirs.1), "case {cases}");

            let (mut buffer, tag) = theirs;
            assert!(aead::decrypt(&key, nonce, &associated, &mut buffer, &tag));
            assert_eq!(buffer, plaintext, "case {cases}");
            cases += 1;
        }
    }
    assert_eq!(cases, KEYS * NONCES);
}

#[test]
fn openssl_alone_computes_the_tag_of_associated_data() {
    let version = run(&["version"], &[]).unwrap_or_default();
    let major = version.strip_prefix(b"OpenSSL ").and_then(<[u8]>::first);
    if major.is_none_or(|digit| *digit < b'3') {
        return skipped("no openssl of version 3 or later: 40 cases of CMAC and GMAC");
    }
    let mut inputs = Stream::named(b"gmac");
    for case in 0..40 {
        let key: [u8; 32] = inputs.array();
        let nonce: [u8; 24] = inputs.array();
        let length = inputs.up_to(2_000);
        let associated = inputs.bytes(length);
        let gcm_key = gcm::xaes_messages(&nonce)
            .map(|message| mac("AES-256-CBC", &key, None, "CMAC", &message.to_be_bytes()))
            .concat();
        let expected = mac(
            "AES-256-GCM",
            &gcm_key,
            Some(&nonce[12..]),
            "GMAC",
            &associated,
        );
        let tag = aead::encrypt(&key_of(key), &nonce, &associated, &mut []);
        assert_eq!(tag[..], expected[..], "case {case}");
    }
}

/// Lengths around the first blocks, one by one, then any up to 5,000.
fn length_of_case(case: usize, inputs: &mut Stream) -> usize {
    if case < 50 { case } else { inputs.up_to(5_000) }
}

fn seal_by_openssl(
    key: &[Block],
    nonce: &[u8; 24],
    associated: &[u8],
    plaintext: &[u8],
) -> (Vec<u8>, [u8; 16]) {
    let key: Vec<u8> = key.iter().flat_map(|block| block.to_be_bytes()).collect();
    let nonce = nonce.last_chunk().unwrap();
    let hidden = ecb(&key, &[0, gcm::counter(nonce, 1)]);
    let first = encode_hex(&gcm::counter(nonce, 2).to_be_bytes());
    let arguments = [
        "enc",
        "-aes-256-ctr",
        "-K",
        &encode_hex(&key),
        "-iv",
        &first,
    ];
    let ciphertext = run(&arguments, plaintext).expect("openssl was there before");
    let hash = gcm::ghash(hidden[0], &gcm::hashed(associated, &ciphertext));
    (ciphertext, (hash ^ hidden[1]).to_be_bytes())
}

fn ecb(key: &[u8], blocks: &[Block]) -> Vec<Block> {
    let input: Vec<u8> = blocks
        .iter()
        .flat_map(|block| block.to_be_bytes())
        .collect();
    let arguments = ["enc", "-aes-256-ecb", "-nopad", "-K", &encode_hex(key)];
    let output = run(&arguments, &input).expect("openssl was there before");
    let (blocks, rest) = output.as_chunks();
    assert_eq!((blocks.len() * 16, rest.len()), (input.len(), 0));
    blocks
        .iter()
        .map(|block| Block::from_be_bytes(*block))
        .collect()
}

fn mac(cipher: &str, key: &[u8], nonce: Option<&[u8]>, name: &str, input: &[u8]) -> Vec<u8> {
    let key = format!("hexkey:{}", encode_hex(key));
    let mut arguments = vec!["mac", "-binary", "-cipher", cipher, "-macopt", &key];
    let nonce = nonce.map(|nonce| format!("hexiv:{}", encode_hex(nonce)));
    if let Some(nonce) = &nonce {
        arguments.extend(["-macopt", nonce]);
    }
    arguments.push(name);
    run(&arguments, input).expect("openssl was there before")
}

/// What `openssl` answers, or nothing where there is no such tool.
fn run(arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        child => child.expect("openssl starts"),
    };
    let mut pipe = child.stdin.take().expect("the pipe was asked for");
    // A command that asks for no input may be gone before the pipe is closed.
    if !input.is_empty() {
        pipe.write_all(input)
            .expect("openssl reads what it is given");
    }
    drop(pipe);
    let output = child.wait_with_output().expect("openssl ends");
    assert!(output.status.success(), "openssl {arguments:?}");
    Some(output.stdout)
}
