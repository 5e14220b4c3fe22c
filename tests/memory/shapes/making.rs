//! Making a vault.

use vitalock::{Credentials, Kdf, KdfParameters, Options, Vault};

use super::{lock, put_and_read};
use crate::child::Child;

fn make(child: &Child, kdf: KdfParameters) {
    let words = child.words("new words");
    let phone = child.host("phone");
    let path = child.vault();
    std::fs::remove_dir_all(&path).unwrap();
    let factors = Credentials::passphrase(&words).and(&phone);
    let options = Options::new().kdf(Kdf::Fixed(kdf));
    let setup = Vault::create(&path, options, factors).unwrap();
    setup
        .recovery_code()
        .reveal(|code| child.link.ask_with("made ", code.as_bytes(), &mut [0]));
    let typed = child.typed("new code");
    assert!(setup.confirm_recovery(&typed.bytes()[1..]).is_err());
    let vault = setup.confirm_recovery(typed.bytes()).unwrap();
    drop((typed, setup));
    let session = vault.unlock(&factors).unwrap();
    drop(words);
    put_and_read(child, &session);
    lock(child, vault, session);
}

pub(crate) fn setup(child: &Child) {
    make(child, KdfParameters::FLOOR);
}

pub(crate) fn setup_with_lanes(child: &Child) {
    make(child, KdfParameters::new(19 * 1024, 2, 4).unwrap());
}
