//! The child: it does everything that the public API does, with a canary in every field, and prints
//! whatever it gets as a careless host would.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{env, thread};

use vitalock::fhir::Reader;
use vitalock::{
    Batch, Class, Credentials, Cursor, EmergencyCode, ErrorKind, KeyShare, Lease, Passphrase,
    Purpose, Query, Record, RecordId, RecoveryCode, Session, ShareError, ShareSink, Timestamp,
    Vault,
};

use crate::device_share::FileShare;
use crate::support::options;

/// Tells the child where it lives.
pub(crate) const PLACE: &str = "VITALOCK_LEAK_PLACE";

#[test]
#[ignore = "the child of another test"]
fn the_child() {
    if let Some(place) = env::var_os(PLACE) {
        Life::begin(Path::new(&place)).live();
    }
}

/// A life with a vault.
struct Life {
    vault: PathBuf,
    kept: PathBuf,
    canaries: BTreeMap<String, String>,
    keystore: Recording,
}

impl Life {
    fn begin(place: &Path) -> Self {
        let kept = place.join("kept");
        let canaries = fs::read_to_string(kept.join("canaries")).unwrap();
        let canaries = canaries.lines().map(|line| line.split_once('\t').unwrap());
        Self {
            vault: place.join("work/vault"),
            canaries: canaries
                .map(|(name, canary)| (name.into(), canary.into()))
                .collect(),
            keystore: Recording::at(&kept),
            kept,
        }
    }

    fn canary(&self, name: &str) -> &str {
        &self.canaries[name]
    }

    fn words(&self, name: &str) -> Passphrase {
        Passphrase::new(self.canary(name).as_bytes()).unwrap()
    }

    /// Keeps a secret for the parent, who looks for it.
    fn keep(&self, name: &str, secret: &str) {
        let mut options = fs::OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .open(self.kept.join("known"));
        writeln!(file.unwrap(), "{name}\t{secret}").unwrap();
    }

    fn live(&self) {
        let (words, wrong) = (self.words("passphrase"), self.words("wrong passphrase"));
        let factors = Credentials::passphrase(&words).and(&self.keystore);
        let vault = self.make(factors);
        say(&vault.unlock(&Credentials::passphrase(&wrong).and(&self.keystore)));
        say(&vault.unlock(&Credentials::passphrase(&wrong)));
        let session = vault.unlock(&factors).unwrap();
        say(&Vault::open(&self.vault));
        self.put_everything(&session);
        self.be_refused(&session);
        say(&session.step_up(&Credentials::passphrase(&wrong).and(&self.keystore)));
        let lease = session.step_up(&factors).unwrap();
        self.use_priority(&lease);
        let new_words = self.words("new passphrase");
        let factors = Credentials::passphrase(&new_words).and(&self.keystore);
        let emergency = self.change_slots(&lease, factors);
        self.fill(&lease);
        self.panic(&session);
        stop("the vault is open");

        let escaped = (*lease).clone();
        drop(lease);
        session.lock();
        say(&session.get(RecordId::from_bytes([0; 16])));
        say(&escaped.count(&Query::new()));
        drop((session, escaped, vault));
        stop("the vault is locked");

        let vault = Vault::open(&self.vault).unwrap();
        let opened = vault
            .unlock_emergency(&emergency, "found unconscious")
            .unwrap();
        let found: Vec<_> = opened.query(&Query::new()).collect();
        assert!(!found.is_empty());
        say(&(&opened, found));
        drop(opened);
        let code = RecoveryCode::parse(self.read("recovery code").as_bytes()).unwrap();
        let wrong = Credentials::recovery(&code).and_passphrase(&wrong);
        say(&vault.recover(&wrong, factors));
        let session = vault.unlock(&factors).unwrap();
        let record = Record::new(self.canary("kind"), self.canary("body before the kill"));
        session.put(record).unwrap();
        stop("the vault is open again");
    }

    fn read(&self, name: &str) -> String {
        let known = fs::read_to_string(self.kept.join("known")).unwrap();
        let mut lines = known.lines().rev().filter_map(|line| line.split_once('\t'));
        lines
            .find(|(known, _)| *known == name)
            .unwrap()
            .1
            .to_owned()
    }

    fn make(&self, factors: Credentials<'_>) -> Vault {
        let options = options().keep_history(true);
        let setup = Vault::create(&self.vault, options.clone(), factors).unwrap();
        let code = setup.recovery_code().reveal(str::to_owned);
        self.keep("recovery code", &code);
        say(&setup.confirm_recovery(b"0000-0000"));
        say(&(&setup, setup.recovery_code(), &factors, options));
        let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
        say(&Vault::create(
            &self.vault,
            crate::support::options(),
            factors,
        ));
        say(&(&vault, vault.slots()));
        vault
    }

    /// A record that has every field there is.
    fn record(&self, body: &str) -> Record {
        Record::new(self.canary("kind"), self.canary(body))
            .subject(self.canary("subject"))
            .content_type(self.canary("content type"))
            .device(self.canary("device"))
            .app(self.canary("app"))
            .effective(Timestamp::from_micros(1_700_000_000_000_000))
            .expires(Timestamp::from_micros(4_000_000_000_000_000))
    }

    fn put_everything(&self, session: &Session) {
        let allergy = self.record("body in Emergency").class(Class::Emergency);
        session
            .put(allergy.client(self.canary("client id"), 1))
            .unwrap();
        let first = session.put(self.record("body in Standard")).unwrap();
        let read = session.get(first.id).unwrap().unwrap();
        let next = read.with_body(self.canary("updated body"));
        say(&(session.put(next), session.history(first.id)));

        let up = self.record("body that moves up").class(Class::Emergency);
        let up = session.put(up).unwrap();
        let moved = session.get(up.id).unwrap().unwrap().class(Class::Standard);
        session.put(moved).unwrap();
        let down = session.put(self.record("body that moves down")).unwrap();
        let moved = session
            .get(down.id)
            .unwrap()
            .unwrap()
            .class(Class::Emergency);
        session.put(moved).unwrap();

        let erased = session.put(self.record("erased body")).unwrap();
        assert!(session.erase(erased.id).unwrap());
        let past = Timestamp::from_micros(1);
        session
            .put(self.record("expired body").expires(past))
            .unwrap();
        assert_eq!(session.erase_expired().unwrap(), 1);

        let json = format!(
            r#"{{"resourceType":"Observation","id":"{}","code":{{"text":"{}"}}}}"#,
            self.canary("FHIR id"),
            self.canary("FHIR text")
        );
        let resource = Reader::new().resource(json.as_bytes()).unwrap();
        let mut batch = Batch::new();
        batch
            .put(resource.to_record_from("a server"))
            .put(self.record("body in a batch"));
        batch.put(self.record("body in a batch").class(Class::Emergency));
        let stored = session.commit(&batch).unwrap();
        say(&(&resource, &batch, &stored));

        let query = Query::new()
            .kind(self.canary("kind"))
            .subject(self.canary("subject"));
        let mut matches = session.query(&query);
        let found: Vec<_> = matches.by_ref().take(2).collect();
        let cursor = matches.cursor().unwrap().unwrap();
        // A cursor is given to whoever pages: it may be kept in the open.
        say(&(query, matches, found, cursor.as_text()));
    }

    /// Asks for what is refused. The errors are printed.
    fn be_refused(&self, session: &Session) {
        let refused = format!("{}\u{7}", self.canary("refused subject"));
        say(&session.put(self.record("erased body").subject(&refused)));
        say(&session.put(Record::new(&refused.repeat(100), "")));
        let same = self
            .record("erased body")
            .client(self.canary("client id"), 1);
        say(&session.put(same));
        say(&session.put(self.record("body in Priority").class(Class::Priority)));
        say(&session.erase_subject(self.canary("subject")));
        let cursor = Cursor::from_text(self.canary("refused subject"));
        say(&session.query_after(&Query::new(), &cursor));
        let text = self.canary("refused FHIR text");
        for json in [
            format!(r#"{{"resourceType":"{text}","id":"{text}","#),
            format!(r#"{{"resourceType":"{text}"}}"#),
            format!(r#"{{"resourceType":"Patient","{text}":"{text}" {text}}}"#),
            format!(r#"{{"resourceType":"Patient","id":"a","id":"{text}"}}"#),
        ] {
            let refused = Reader::new().resource(json.as_bytes());
            say(&refused);
            say(&Reader::new().bundle(json.as_bytes()));
        }
        say(&Passphrase::new(refused.as_bytes()));
        say(&RecoveryCode::parse(
            self.read("recovery code").replace('-', "1").as_bytes(),
        ));
    }

    fn use_priority(&self, lease: &Lease) {
        lease
            .put(self.record("body in Priority").class(Class::Priority))
            .unwrap();
        let other = self.canary("erased subject");
        for class in Class::ALL {
            let record = self.record("body of an erased subject").subject(other);
            lease.put(record.class(class)).unwrap();
        }
        say(&lease
            .query(&Query::new().subject(other))
            .collect::<Vec<_>>());
        lease.erase_subject(other).unwrap();
        say(&lease);
    }

    fn change_slots(&self, lease: &Lease, factors: Credentials<'_>) -> EmergencyCode {
        let slots = lease.slots();
        let primary = slots.list().unwrap()[0].id;
        slots.replace(primary, &factors).unwrap();
        let biometric = Credentials::share(&self.keystore);
        let biometric = slots.add(&biometric).unwrap();
        slots.remove(biometric, Some(&self.keystore)).unwrap();
        let renewal = slots.renew_recovery(&factors).unwrap();
        let code = renewal.code().reveal(str::to_owned);
        self.keep("recovery code", &code);
        say(&renewal.confirm(self.canary("wrong passphrase").as_bytes()));
        renewal.confirm(code.as_bytes()).unwrap();
        let emergency = slots.add_emergency().unwrap();
        emergency.reveal(|code| self.keep("emergency code", code));
        let error = slots.remove(slots.list().unwrap()[0].id, None);
        assert_eq!(error.as_ref().unwrap_err().kind(), ErrorKind::LastSlot);
        say(&(&slots, slots.list(), &emergency, &renewal, error));
        emergency
    }

    /// Writes so much that every class has a long log.
    fn fill(&self, lease: &Lease) {
        let body = self.canary("body in a batch").repeat(100);
        for class in Class::ALL {
            for _ in 0..4 {
                let record = || Record::new(self.canary("kind"), body.as_str()).class(class);
                lease.commit(&(0..25).map(|_| record()).collect()).unwrap();
            }
        }
    }

    /// Panics with a record in its hands and in its message.
    fn panic(&self, session: &Session) {
        let found: Vec<_> = session.query(&Query::new()).take(1).collect();
        let panicked = thread::spawn(move || panic!("{found:?}")).join();
        assert!(panicked.is_err());
    }
}

/// Prints a value as a careless host would, into its log.
fn say<T: Debug>(value: &T) {
    println!("{value:?} {value:#?}");
}

/// Tells the parent, and waits until it has looked.
fn stop(words: &str) {
    println!("{words}");
    io::stdout().flush().unwrap();
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// The file as a key store, with a list of what it released.
struct Recording {
    keys: FileShare,
    shares: Mutex<fs::File>,
}

impl Recording {
    fn at(kept: &Path) -> Self {
        Self {
            keys: FileShare::at(kept.join("device-share")),
            shares: Mutex::new(fs::File::create(kept.join("shares")).unwrap()),
        }
    }
}

impl KeyShare for Recording {
    fn provider(&self) -> &str {
        self.keys.provider()
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        self.keys.enrol(purpose)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        if let Ok(share) = self.keys.share(purpose, blob, challenge) {
            let share = share.map(|byte| byte.to_string()).join(" ");
            writeln!(self.shares.lock().unwrap(), "{share}").unwrap();
        }
        self.keys.release(purpose, blob, challenge, sink)
    }

    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        self.keys.destroy(purpose, blob)
    }
}
