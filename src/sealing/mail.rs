//! Mail: sealed to a class's public key by whoever does not hold the class's own (spec 10).

use std::convert::Infallible;

use hpke::aead::{AeadTag, AesGcm256};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, PskBundle, Serializable, setup_receiver,
    setup_sender_with_rng,
};

use sha2::{Digest, Sha256};

use super::context::{Context, SUITE};
use super::envelope::{Opened, Sealed};
use crate::error::{ErrorKind, Result};
use crate::memory;
use crate::secret::{SecretBytes, SecretKey};

type Suite = X25519HkdfSha256;

const ENC: usize = 32;
const TAG: usize = 16;
const CHECK: usize = 8;
const LABEL: &[u8] = b"vitalock/1/mail";
const PSK_ID: &[u8] = b"vitalock/1/deposit";

/// Where a piece of mail belongs, and what shows that its writer was let in; without that anybody
/// may have written it who knows the public key.
pub(crate) struct Mail<'a> {
    pub(crate) place: Context<'a>,
    pub(crate) psk: Option<&'a SecretKey>,
}

/// The public key of the pair that an inbox key makes.
pub(crate) fn public_key(inbox: &SecretKey) -> [u8; 32] {
    let public = public_key_of(inbox);
    memory::scrub_stack::<{ memory::CURVE_DEPTH }>();
    public
}

#[inline(never)]
fn public_key_of(inbox: &SecretKey) -> [u8; 32] {
    let (_, public) = Suite::derive_keypair(inbox.expose());
    public.to_bytes().into()
}

/// Seals the concatenation of `parts` to a public key, in the envelope's own buffer.
///
/// # Errors
///
/// [`ErrorKind::RandomUnavailable`]; [`ErrorKind::HeaderDamaged`] where the key is none.
pub(crate) fn post(to: &[u8; 32], mail: &Mail<'_>, parts: &[&[u8]]) -> Result<Sealed> {
    let seed = SecretKey::make()?;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length.saturating_add(1 + ENC + TAG));
    bytes.push(SUITE);
    bytes.extend_from_slice(&[0; ENC]);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    let sealed = post_in_place(to, mail, &seed, &mut bytes);
    memory::scrub_stack::<{ memory::CURVE_DEPTH }>();
    match sealed {
        Some(tag) => {
            bytes.extend_from_slice(&tag);
            Ok(Sealed::from_stored(bytes))
        }
        None => {
            drop(SecretBytes::from_vec(bytes));
            Err(ErrorKind::HeaderDamaged.into())
        }
    }
}

#[inline(never)]
fn post_in_place(
    to: &[u8; 32],
    mail: &Mail<'_>,
    seed: &SecretKey,
    bytes: &mut [u8],
) -> Option<[u8; TAG]> {
    let to = <Suite as Kem>::PublicKey::from_bytes(to).ok()?;
    let mode = match mail.psk {
        Some(psk) => OpModeS::Psk(PskBundle::new(psk.expose(), PSK_ID).ok()?),
        None => OpModeS::Base,
    };
    let mut drawn = Drawn {
        left: seed.expose(),
        overdrawn: false,
    };
    let (enc, mut context) = setup_sender_with_rng::<AesGcm256, HkdfSha256, Suite>(
        &mode,
        &to,
        &info(&mail.place),
        &mut drawn,
    )
    .ok()
    .filter(|_| !drawn.overdrawn)?;
    let (_, rest) = bytes.split_first_mut()?;
    let (place, plain) = rest.split_first_chunk_mut::<ENC>()?;
    place.copy_from_slice(&enc.to_bytes());
    let associated = mail.place.associated_data();
    let tag = context.seal_inout_detached(InOutBuf::from(plain), associated.expose());
    Some(tag.ok()?.to_bytes().into())
}

/// Opens a piece of mail with the inbox key of the class that it is for.
///
/// # Errors
///
/// [`ErrorKind::TamperDetected`] for every way in which it is not what was sealed for this place.
pub(crate) fn collect(inbox: &SecretKey, mail: &Mail<'_>, sealed: Sealed) -> Result<Opened> {
    let mut buffer = SecretBytes::from_vec(sealed.into_bytes());
    let opened = collect_in_place(inbox, mail, buffer.expose_mut());
    memory::scrub_stack::<{ memory::CURVE_DEPTH }>();
    let end = opened.ok_or(ErrorKind::TamperDetected)?;
    Ok(Opened::within(buffer, 1 + ENC..end))
}

/// Decrypts in place; where the plaintext ends.
#[inline(never)]
fn collect_in_place(inbox: &SecretKey, mail: &Mail<'_>, bytes: &mut [u8]) -> Option<usize> {
    let end = bytes.len().checked_sub(TAG)?;
    let (suite, rest) = bytes.split_first_mut()?;
    let (enc, rest) = rest.split_first_chunk_mut::<ENC>()?;
    let (plain, tag) = rest.split_last_chunk_mut::<TAG>()?;
    if *suite != SUITE {
        return None;
    }
    let enc = <Suite as Kem>::EncappedKey::from_bytes(enc).ok()?;
    let tag = AeadTag::<AesGcm256>::from_bytes(tag).ok()?;
    let (private, _) = Suite::derive_keypair(inbox.expose());
    let mode = match mail.psk {
        Some(psk) => OpModeR::Psk(PskBundle::new(psk.expose(), PSK_ID).ok()?),
        None => OpModeR::Base,
    };
    let info = info(&mail.place);
    let context = setup_receiver::<AesGcm256, HkdfSha256, Suite>(&mode, &private, &enc, &info);
    let associated = mail.place.associated_data();
    let opened =
        context
            .ok()?
            .open_inout_detached(InOutBuf::from(plain), associated.expose(), &tag);
    opened.ok().map(|()| end)
}

/// A piece of mail as it stands in a file among others: with a checksum, so that one which a crash
/// tore is told from one that somebody changed.
pub(crate) fn frame(mail: &Sealed) -> Vec<u8> {
    let mail = mail.as_bytes();
    let length = u32::try_from(mail.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), mail, &check(mail)].concat()
}

/// The pieces of mail in a file, up to the first that is torn, and how long they are together.
pub(crate) fn frames(file: &[u8]) -> (Vec<Sealed>, usize) {
    let mut frames = Vec::new();
    let mut rest = file;
    while let Some((mail, after)) = next_frame(rest) {
        frames.push(Sealed::from_stored(mail.to_vec()));
        rest = after;
    }
    (frames, file.len() - rest.len())
}

fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (mail, rest) = rest.split_at_checked(length)?;
    let (found, rest) = rest.split_first_chunk::<CHECK>()?;
    (*found == check(mail)).then_some((mail, rest))
}

fn check(mail: &[u8]) -> [u8; CHECK] {
    let hash: [u8; 32] = Sha256::digest(mail).into();
    *hash.first_chunk().expect("a hash is longer")
}

fn info(place: &Context<'_>) -> Vec<u8> {
    let length = u32::try_from(LABEL.len()).expect("the label is short");
    let mut info = length.to_le_bytes().to_vec();
    info.extend_from_slice(LABEL);
    info.extend_from_slice(&place.vault.to_bytes());
    info.push(place.class.code());
    info
}

/// 32 bytes that were drawn before, given out once: so a random source that fails is an error and
/// not a panic. Whoever asks for more gets zeros, and nothing is sealed with them.
struct Drawn<'a> {
    left: &'a [u8],
    overdrawn: bool,
}

impl TryRng for Drawn<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        match self.left.split_at_checked(bytes.len()) {
            Some((given, left)) => {
                bytes.copy_from_slice(given);
                self.left = left;
            }
            None => {
                bytes.fill(0);
                self.overdrawn = true;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Drawn<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::id::{RecordId, VaultId};
    use crate::sealing::Table;

    fn key(byte: u8) -> SecretKey {
        SecretKey::copy_of(&[byte; 32])
    }

    fn place(row: u8) -> Context<'static> {
        let vault = VaultId::from_bytes([7; 16]);
        Context {
            row: RecordId::from_bytes([row; 16]),
            ..Context::of_class(vault, Class::Priority, Table::Deposit, 0)
        }
    }

    fn sent(mail: &Mail<'_>) -> Vec<u8> {
        let sealed = post(&public_key(&key(1)), mail, &[b"one ", b"deposit"]).unwrap();
        sealed.as_bytes().to_vec()
    }

    #[test]
    fn mail_opens_in_its_place_with_both_keys_and_with_nothing_else() {
        let psk = key(2);
        let mail = |row, psk| Mail {
            place: place(row),
            psk,
        };
        let sealed = sent(&mail(3, Some(&psk)));
        let open = |inbox: &SecretKey, mail: &Mail<'_>, bytes: &[u8]| {
            let opened = collect(inbox, mail, Sealed::from_stored(bytes.to_vec()));
            opened.map(|opened| opened.expose().to_vec())
        };
        let right = open(&key(1), &mail(3, Some(&psk)), &sealed);
        assert_eq!(right.unwrap(), b"one deposit");
        let other = key(9);
        for (inbox, row, psk) in [
            (key(9), 3, Some(&psk)),
            (key(1), 4, Some(&psk)),
            (key(1), 3, Some(&other)),
            (key(1), 3, None),
        ] {
            let wrong = open(&inbox, &mail(row, psk), &sealed).unwrap_err();
            assert_eq!(wrong.kind(), ErrorKind::TamperDetected);
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key(1), &mail(3, Some(&psk)), &changed).is_err());
            assert!(open(&key(1), &mail(3, Some(&psk)), &sealed[..at]).is_err());
        }
        // Without the pre-shared key a writer gets no further than base mode.
        let forged = sent(&mail(3, None));
        assert!(open(&key(1), &mail(3, Some(&psk)), &forged).is_err());
        assert_eq!(
            open(&key(1), &mail(3, None), &forged).unwrap(),
            b"one deposit"
        );
        assert_ne!(sent(&mail(3, None)), forged, "each has a key of its own");
    }

    #[test]
    fn a_torn_frame_ends_a_file_and_those_before_it_stay() {
        let mail = Mail {
            place: place(1),
            psk: None,
        };
        let (one, two) = (sent(&mail), sent(&mail));
        let frame_of = |mail: &[u8]| frame(&Sealed::from_stored(mail.to_vec()));
        let file = [frame_of(&one), frame_of(&two)].concat();
        for cut in 0..file.len() {
            let (found, whole) = frames(&file[..cut]);
            let first = usize::from(cut >= file.len() / 2);
            assert_eq!((found.len(), whole), (first, first * file.len() / 2));
            let mut changed = file.clone();
            changed[cut] ^= 1;
            assert_eq!(frames(&changed).0.len(), first);
        }
        let (found, whole) = frames(&file);
        assert_eq!(whole, file.len());
        assert!(found[0].as_bytes() == one && found[1].as_bytes() == two);
        assert!(frames(&[0xFF; 64]).0.is_empty());
    }

    #[test]
    fn a_public_key_of_small_order_is_an_error() {
        let mail = Mail {
            place: place(1),
            psk: None,
        };
        let error = post(&[0; 32], &mail, &[b"x"]).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HeaderDamaged);
    }
}
