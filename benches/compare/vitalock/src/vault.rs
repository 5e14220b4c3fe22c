//! A vault through its public API, its key in a biometric slot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vitalock::{
    Credentials, Kdf, KdfParameters, Options, Passphrase, Session, SessionPolicy, Vault,
};

use super::host::Keystore;
use super::peer::lock::version_of;

pub(crate) struct Openable {
    directory: PathBuf,
    keystore: Keystore,
    open: Option<Open>,
}

/// Fields drop in this order.
struct Open {
    session: Session,
    _vault: Vault,
}

impl Openable {
    /// A vault with a slot for passphrase and share, as each must have, and one for the share
    /// alone, which nothing is stretched for. It is left open.
    pub(crate) fn make(at: &Path) -> Self {
        let (keystore, directory) = (Keystore::new(), at.join("vault"));
        let words = Passphrase::new("vier stille Reiher waten".as_bytes()).unwrap();
        let factors = Credentials::passphrase(&words).and(&keystore);
        // The other peers have their turns in between.
        let policy = SessionPolicy::new().idle(Duration::from_secs(900)).unwrap();
        let options = Options::new()
            .kdf(Kdf::Fixed(KdfParameters::FLOOR))
            .session_policy(policy);
        let setup = Vault::create(&directory, options, factors).unwrap();
        let vault = setup.dangerous_without_recovery().unwrap();
        let session = vault.unlock(&factors).unwrap();
        let lease = session.step_up(&factors).unwrap();
        lease.slots().add(&Credentials::share(&keystore)).unwrap();
        drop(lease);
        // Whoever holds a session, locked or not, holds the vault.
        drop((session, vault));
        let mut openable = Self {
            directory,
            keystore,
            open: None,
        };
        openable.open();
        openable
    }

    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    pub(crate) fn open(&mut self) {
        let vault = Vault::open(&self.directory).unwrap();
        let session = vault.unlock(&Credentials::share(&self.keystore)).unwrap();
        self.open = Some(Open {
            session,
            _vault: vault,
        });
    }

    pub(crate) fn session(&self) -> &Session {
        &self.open.as_ref().expect("the vault is open").session
    }
}

/// Two crates are built from these files, and are locked alike.
pub(crate) fn version() -> String {
    let lock = include_str!("../../Cargo.lock");
    let cipher = match option_env!("CARGO_PKG_NAME") {
        Some("compare-aws-lc") => " with AWS-LC",
        _ => "",
    };
    format!("Vitalock {}{cipher}", version_of("vitalock", lock))
}
