//! The person, the hardware and the first vault: everything that the child does not have by itself.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use vitalock::{
    Credentials, Kdf, KdfParameters, KeyShare, Options, Passphrase, Purpose, ShareError, ShareSink,
    Vault,
};

use crate::spec::{self, Key};

/// The keys that the hardware of two phones and one finger holds. They never enter the process
/// that is searched; what it releases does.
#[derive(Default)]
pub(crate) struct Platform {
    keys: Mutex<HashMap<Vec<u8>, Key>>,
}

impl Platform {
    pub(crate) fn share(&self, priority: bool, blob: &[u8], challenge: &Key) -> Option<Key> {
        let keys = self.keys.lock().unwrap();
        let purpose = [u8::from(priority)];
        let key = keys.get(blob)?;
        Some(spec::hmac(key, &[&purpose[..], challenge].concat()))
    }

    pub(crate) fn enrol_key(&self) -> Vec<u8> {
        let blob = random::<16>().to_vec();
        self.keys.lock().unwrap().insert(blob.clone(), random());
        blob
    }

    pub(crate) fn copy(&self) -> Self {
        Self {
            keys: Mutex::new(self.keys.lock().unwrap().clone()),
        }
    }
}

/// The platform as a key store of this process's own, to make the first vault with.
struct Store<'a>(&'static str, &'a Platform);

impl KeyShare for Store<'_> {
    fn provider(&self) -> &str {
        self.0
    }

    fn enrol(&self, _purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        Ok(self.1.enrol_key())
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &Key,
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        let share = self.1.share(purpose == Purpose::Priority, blob, challenge);
        sink.fill(&share.ok_or(ShareError::Missing)?);
        Ok(())
    }

    fn destroy(&self, _purpose: Purpose, _blob: &[u8]) -> Result<(), ShareError> {
        Ok(())
    }
}

/// What a person knows and what was written down, new for each run.
#[derive(Clone)]
pub(crate) struct Secrets(pub(crate) Vec<(String, String)>);

impl Secrets {
    pub(crate) fn new() -> Self {
        // Typed with a letter and a combining mark, so that NFC changes it.
        let words = |name: &str| {
            let text = format!("{} Ha\u{308}her {}", random_word(), random_word());
            (name.to_owned(), text)
        };
        Self(vec![
            words("everyday words"),
            words("long words"),
            words("new words"),
            words("wrong words"),
        ])
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.all().find(|(known, _)| *known == name).unwrap().1
    }

    pub(crate) fn passphrases(&self) -> Vec<&str> {
        let words = self.all().filter(|(name, _)| name.ends_with("words"));
        words.map(|(_, text)| text).collect()
    }

    pub(crate) fn codes(&self) -> Vec<&str> {
        let codes = self.all().filter(|(name, _)| name.ends_with("code"));
        codes.map(|(_, text)| text).collect()
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn random_word() -> String {
    random::<9>()
        .map(|byte| char::from(b'a' + byte % 26))
        .iter()
        .collect()
}

/// A vault with every kind of slot, made once for all tests; each works on a copy.
pub(crate) struct Template {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) platform: Platform,
    pub(crate) secrets: Secrets,
}

pub(crate) fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let platform = Platform::default();
        let mut secrets = Secrets::new();
        let words = Passphrase::new(secrets.get("everyday words").as_bytes()).unwrap();
        let long = Passphrase::new(secrets.get("long words").as_bytes()).unwrap();
        let (phone, finger) = (Store("phone", &platform), Store("finger", &platform));
        let factors = Credentials::passphrase(&words).and(&phone);
        let options = Options::new()
            .kdf(Kdf::Fixed(KdfParameters::FLOOR))
            .keep_history(true)
            .dangerous_recover_by_code_alone(true);
        let setup = Vault::create(dir.path().join("vault"), options, factors).unwrap();
        let code = setup.recovery_code().reveal(str::to_owned);
        let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        lease.slots().add(&Credentials::passphrase(&long)).unwrap();
        lease.slots().add(&Credentials::share(&finger)).unwrap();
        let emergency = lease.slots().add_emergency().unwrap();
        let emergency = emergency.reveal(str::to_owned);
        secrets.0.push(("recovery code".to_owned(), code));
        secrets.0.push(("emergency code".to_owned(), emergency));
        Template {
            dir,
            platform,
            secrets,
        }
    })
}
