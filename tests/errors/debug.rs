//! What the types that hold secrets print of themselves.

use std::fmt::Debug;

use vitalock::{
    Batch, Body, Class, Credentials, KeyShare, Purpose, Query, ShareError, ShareSink, Vault, fhir,
};

use crate::canary::{BODY, DIRECTORY, KIND, SUBJECT, look, record, words};
use crate::process::{Device, factors};
use crate::support::{Scratch, options};

fn prints_no_canary(value: &dyn Debug) {
    look(&format!("{value:?}"));
    look(&format!("{value:#?}"));
}

/// Prints the sink it is given, filled.
struct Printer;

impl KeyShare for Printer {
    fn provider(&self) -> &str {
        Device.provider()
    }

    fn enrol(&self, purpose: Purpose) -> Result<Vec<u8>, ShareError> {
        Device.enrol(purpose)
    }

    fn release(
        &self,
        purpose: Purpose,
        blob: &[u8],
        challenge: &[u8; 32],
        sink: &mut ShareSink,
    ) -> Result<(), ShareError> {
        sink.fill(b"canary canary canary canary cana");
        prints_no_canary(sink);
        Device.release(purpose, blob, challenge, sink)
    }

    fn destroy(&self, purpose: Purpose, blob: &[u8]) -> Result<(), ShareError> {
        Device.destroy(purpose, blob)
    }
}

#[test]
fn no_public_type_prints_what_it_holds() {
    let scratch = Scratch::new();
    let (dir, words) = (scratch.path().join(DIRECTORY), words());
    let credentials = Credentials::passphrase(&words).and(&Printer);
    prints_no_canary(&(&words, &credentials, &options()));
    let setup = Vault::create(&dir, options().keep_history(true), credentials).unwrap();
    prints_no_canary(&setup);
    let code = setup.recovery_code().reveal(str::to_owned);
    let printed = format!("{:?} {:#?}", setup.recovery_code(), setup.recovery_code());
    assert!(code.split('-').all(|group| !printed.contains(group)));
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    prints_no_canary(&(&vault, vault.id(), vault.slots()));

    let session = vault.unlock(&credentials).unwrap();
    let stored = session.put(record()).unwrap();
    let read = session.get(stored.id).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(record()).erase(stored.id);
    prints_no_canary(&(&session, &stored, &read, record(), &batch, Body::from(BODY)));
    let query = Query::new().kind(KIND).subject(SUBJECT);
    session.put(record().client("canary-2", 1)).unwrap();
    let mut matches = session.query(&query);
    let first = matches.next().unwrap().unwrap();
    prints_no_canary(&(&query, &matches, &first, matches.cursor().unwrap()));
    assert_eq!(first.kind(), KIND);

    let lease = session.step_up(&credentials).unwrap();
    let secret = record().client("canary-3", 1);
    lease.put(secret.class(Class::Priority)).unwrap();
    let emergency = lease.slots().add_emergency().unwrap();
    prints_no_canary(&(&lease, &lease.slots(), lease.slots().list().unwrap()));
    let shown = emergency.reveal(str::to_owned);
    let printed = format!("{emergency:?}");
    assert!(shown.split('-').all(|group| !printed.contains(group)));
    prints_no_canary(&lease.slots().renew_recovery(&credentials).unwrap());
    drop(lease);
    session.lock();
    prints_no_canary(&session);

    let opened = vault
        .unlock_emergency(&emergency, "found unconscious")
        .unwrap();
    prints_no_canary(&opened);
    opened.lock();
    let code = vitalock::RecoveryCode::parse(code.as_bytes()).unwrap();
    let old = Credentials::recovery(&code).and_passphrase(&words);
    let recovery = vault.recover(&old, factors(&words)).unwrap();
    prints_no_canary(&(&old, &recovery, recovery.code()));
    let json = br#"{"resourceType":"Patient","id":"canary-1","name":[{"family":"canary"}]}"#;
    let reader = fhir::Reader::new();
    let resource = reader.resource(json).unwrap();
    prints_no_canary(&(&reader, &resource, resource.to_record_from("a server")));
}
