//! Everything the public API does, in a child process that is looked at while the vault is open,
//! after it was locked, and after the child was killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::{env, fs};

use vitalock::{Credentials, Passphrase, Query, Vault};

use crate::canary::Canaries;
use crate::child::PLACE;
use crate::device_share::FileShare;
use crate::keys;
use crate::place::Place;
use crate::support::data::tell;

/// What the child puts where; the names say it.
const CANARIES: [&str; 25] = [
    "kind",
    "subject",
    "content type",
    "device",
    "app",
    "client id",
    "body in Emergency",
    "body in Standard",
    "body in Priority",
    "updated body",
    "body that moves up",
    "body that moves down",
    "erased body",
    "body of an erased subject",
    "erased subject",
    "expired body",
    "body in a batch",
    "FHIR id",
    "FHIR text",
    "refused subject",
    "refused FHIR text",
    "passphrase",
    "new passphrase",
    "wrong passphrase",
    "body before the kill",
];

#[test]
fn no_state_of_a_vault_shows_what_is_in_it() {
    let (place, mut canaries) = (Place::new(), Canaries::default());
    fs::create_dir(place.path().join("kept")).unwrap();
    let planted: Vec<_> = CANARIES
        .iter()
        .map(|name| (*name, canaries.plant(name)))
        .collect();
    let lines = planted
        .iter()
        .map(|(name, canary)| format!("{name}\t{canary}\n"));
    fs::write(
        place.path().join("kept/canaries"),
        lines.collect::<String>(),
    )
    .unwrap();

    let mut child = Watched::begin(&place);
    child.wait_for("the vault is open");
    let canaries = everything_known(canaries, &place);
    tell(&format!(
        "{} canaries, codes, shares and keys",
        canaries.len()
    ));
    let search = canaries.search();
    let log = fs::metadata(place.vault().join("standard.db-wal")).unwrap();
    assert!(
        log.len() > 500_000,
        "the log is to be searched full, not empty"
    );
    assert_eq!(place.search(&search, "open"), []);

    child.go_on();
    child.wait_for("the vault is locked");
    assert_eq!(place.search(&search, "locked"), []);
    names_are_those_of_the_format(&place);

    child.go_on();
    child.wait_for("the vault is open again");
    let told = child.kill();
    let log = fs::metadata(place.vault().join("standard.db-wal")).unwrap();
    assert!(log.len() > 0, "the log of the one who was killed is there");
    let search = everything_known(canaries, &place).search();
    assert_eq!(place.search(&search, "killed"), []);
    // Every error, every `Debug` and a panic are in there; the control is what else is.
    assert!(
        told.contains("UnlockFailed") && told.contains("InvalidRecord"),
        "{told}"
    );
    assert!(
        told.contains("panicked at") && told.contains("Record"),
        "{told}"
    );
    assert_eq!(search.bytes("what the child said", told.as_bytes()), []);

    // The control: all of it was there all the time, for who has both factors.
    let canary: BTreeMap<_, _> = planted.into_iter().collect();
    let words = Passphrase::new(canary["new passphrase"].as_bytes()).unwrap();
    let keystore = FileShare::at(place.path().join("kept/device-share"));
    let vault = Vault::open(place.vault()).unwrap();
    let factors = Credentials::passphrase(&words).and(&keystore);
    let session = vault.unlock(&factors).unwrap();
    let lease = session.step_up(&factors).unwrap();
    let mut seen = String::new();
    for record in lease.query(&Query::new()) {
        let record = record.unwrap();
        seen.push_str(str::from_utf8(record.body()).unwrap());
        let client = record.client_identity().map(|(id, _)| id);
        let texts = [
            record.subject_name(),
            record.source_device(),
            record.source_app(),
            client,
        ];
        let texts = texts
            .into_iter()
            .flatten()
            .chain([record.kind(), record.body_type()]);
        texts.for_each(|text| seen.push_str(text));
    }
    for (name, canary) in &canary {
        let gone = ["erased", "expired", "refused", "passphrase"];
        let gone = gone.iter().any(|word| name.contains(word)) || *name == "body in Standard";
        assert_eq!(seen.contains(canary), !gone, "{name}");
    }
    drop((lease, session, vault));
    assert_eq!(place.search(&search, "recovered"), []);
    names_are_those_of_the_format(&place);
}

/// What the child was given, what it was told by the vault, and what can be derived.
fn everything_known(mut canaries: Canaries, place: &Place) -> Canaries {
    let kept = |name: &str| fs::read_to_string(place.path().join("kept").join(name)).unwrap();
    for line in kept("known").lines() {
        let (name, secret) = line.split_once('\t').unwrap();
        canaries.know(name, secret.as_bytes());
        if name.ends_with(" code") {
            let packed = secret.replace('-', "");
            canaries.know(name, packed.as_bytes());
            canaries.know(name, secret.to_lowercase().as_bytes());
            canaries.know(name, &code_bytes(&packed));
        }
    }
    for line in kept("device-share").lines() {
        let (_, key) = line.split_once(' ').unwrap();
        canaries.know("a key of the key store", key.as_bytes());
    }
    for line in kept("shares").lines() {
        let share: Vec<u8> = line.split(' ').map(|byte| byte.parse().unwrap()).collect();
        canaries.know("a released share", &share);
    }
    let words = kept("canaries");
    let mut lines = words.lines().map(|line| line.split_once('\t').unwrap());
    let (_, words) = lines.find(|(name, _)| *name == "new passphrase").unwrap();
    let keystore = FileShare::at(place.path().join("kept/device-share"));
    let header = fs::read_to_string(place.vault().join("header")).unwrap();
    assert_eq!(keys::know_all(&mut canaries, &header, words, &keystore), 3);
    canaries
}

/// The 16 bytes that a written code stands for.
fn code_bytes(code: &str) -> Vec<u8> {
    let symbols = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let values = code.chars().map(|symbol| symbols.find(symbol).unwrap());
    let bits: String = values.map(|value| format!("{value:05b}")).collect();
    let bytes = bits.as_bytes().chunks(8).take(16);
    bytes
        .map(|bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap())
        .collect()
}

fn names_are_those_of_the_format(place: &Place) {
    let names = [
        "attempts",
        "emergency.db",
        "header",
        "header.2",
        "lock",
        "priority.db",
        "reserve",
        "standard.db",
    ];
    let mut found: Vec<_> = fs::read_dir(place.vault())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    // There once an attempt has failed.
    found.retain(|name| name != "events");
    assert_eq!(found, names);
}

/// The child, and what it has said so far.
struct Watched {
    child: Child,
    said: BufReader<ChildStdout>,
    told: String,
    errors: PathBuf,
}

impl Watched {
    fn begin(place: &Place) -> Self {
        let errors = place.path().join("kept/stderr");
        let mut command = place.command(&env::current_exe().unwrap());
        let mut child = command
            .args(["--exact", "child::the_child", "--ignored", "--nocapture"])
            .env(PLACE, place.path())
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        Self {
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
            told: String::new(),
            errors,
        }
    }

    fn wait_for(&mut self, words: &str) {
        loop {
            let before = self.told.len();
            let read = self.said.read_line(&mut self.told).unwrap();
            let errors = || fs::read_to_string(&self.errors).unwrap();
            assert!(read > 0, "{}\n{}", self.told, errors());
            if self.told.get(before..).unwrap().contains(words) {
                return;
            }
        }
    }

    fn go_on(&mut self) {
        let mut stdin = self.child.stdin.as_ref().unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    /// Kills the child; everything that it wrote to its standard output and error.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.read_to_string(&mut self.told).unwrap();
        self.told + &fs::read_to_string(self.errors).unwrap()
    }
}
