//! The C2SP answers of XAES-256-GCM: both vectors of its specification, and its accumulated test,
//! in which every ciphertext of a long deterministic run goes into one hash.

use shake::{ExtendableOutput, Shake128, XofReader};

use super::super::aead;
use super::{Stream, key_of, skipped};
use crate::id::encode_hex;

#[test]
fn xaes_gives_both_c2sp_answers() {
    for (key, associated, expected) in [
        (
            1,
            "",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        ),
        (
            3,
            "c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ] {
        let key = key_of([key; 32]);
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let mut buffer = *b"XAES-256-GCM";
        let tag = aead::encrypt(&key, nonce, associated.as_bytes(), &mut buffer);
        assert_eq!(encode_hex(&buffer) + &encode_hex(&tag), expected);
        assert!(aead::decrypt(
            &key,
            nonce,
            associated.as_bytes(),
            &mut buffer,
            &tag
        ));
        assert_eq!(&buffer, b"XAES-256-GCM");
    }
}

#[test]
fn ten_thousand_accumulated_ciphertexts_have_the_c2sp_hash() {
    assert_eq!(
        accumulated(10_000),
        "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
    );
}

#[test]
fn a_million_accumulated_ciphertexts_have_the_c2sp_hash() {
    if std::env::var_os("VITALOCK_SOAK").is_none_or(|value| value != "1") {
        skipped("the accumulated test over 1,000,000 ciphertexts; VITALOCK_SOAK=1 runs it");
        return;
    }
    assert_eq!(
        accumulated(1_000_000),
        "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15"
    );
}

fn accumulated(count: u32) -> String {
    let mut inputs = Stream::named(b"");
    let mut ciphertexts = Shake128::default();
    for at in 0..count {
        let key = key_of(inputs.array());
        let nonce = inputs.array();
        let [length] = inputs.array();
        let plaintext = inputs.bytes(usize::from(length));
        let [length] = inputs.array();
        let associated = inputs.bytes(usize::from(length));
        let mut buffer = plaintext.clone();
        let tag = aead::encrypt(&key, &nonce, &associated, &mut buffer);
        shake::Update::update(&mut ciphertexts, &buffer);
        shake::Update::update(&mut ciphertexts, &tag);
        assert!(
            aead::decrypt(&key, &nonce, &associated, &mut buffer, &tag),
            "round {at}"
        );
        assert_eq!(buffer, plaintext, "round {at}");
    }
    let mut hash = [0; 32];
    ciphertexts.finalize_xof().read(&mut hash);
    encode_hex(&hash)
}
