//! Each kind, through the public API.

use std::fs::{self, Permissions, set_permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vitalock::{
    Actor, AuditorKey, Class, ContactKey, Credentials, Cursor, EmergencyQuestion, ErrorKind,
    ExportFormat, InvalidationReason, KdfParameters, Passphrase, Precondition, Query, Record,
    RecoveryCode, SessionPolicy, ShareError, SlotId, Vault, fhir,
};

use crate::canary::{BODY, DIRECTORY, KIND, PASSPHRASE, Seen, record, words};
use crate::process::{
    DEVICE, STRANGER, elsewhere, elsewhere_as, elsewhere_below, factors, give_away, make_plain,
    may_trace, run,
};
use crate::support::anchors::Memory;
use crate::support::spec::attempts;
use crate::support::unsealed::Opener;
use crate::support::{Keystore, Scratch, options};

struct Place(Scratch);

impl Place {
    fn new() -> Self {
        Self(Scratch::new())
    }

    /// With a vault in it.
    fn made() -> Self {
        let place = Self::new();
        drop(make_plain(&place.vault(), &words()).unwrap());
        place
    }

    fn vault(&self) -> PathBuf {
        self.0.path().join(DIRECTORY)
    }

    fn open(&self) -> vitalock::Result<Vault> {
        Vault::open(self.vault())
    }

    fn unlock(&self) -> vitalock::Result<vitalock::Session> {
        self.open()?.unlock(&factors(&words()))
    }

    fn line(&self, verb: &str) -> String {
        format!("{verb}\t{}", self.vault().display())
    }
}

#[test]
fn every_kind_comes_up_and_none_says_more_than_it_may() {
    let panics = watch_panics();
    let mut seen = Seen::default();
    let mut excused = Vec::new();
    of_records(&mut seen);
    of_sessions(&mut seen);
    of_anchors(&mut seen);
    of_factors(&mut seen);
    of_shares(&mut seen);
    of_documents(&mut seen);
    of_fhir_stores(&mut seen);
    of_places(&mut seen);
    of_files(&mut seen);
    of_the_system(&mut seen);
    if may_trace("every_kind_comes_up, in part") {
        of_failing_calls(&mut seen);
    } else {
        excused.push(ErrorKind::RandomUnavailable);
    }
    let missing = seen.missing();
    assert!(
        missing.iter().all(|kind| excused.contains(kind)),
        "{missing:?}"
    );
    let panicked = panics.lock().unwrap().clone();
    assert!(panicked.is_empty(), "{panicked:?}");
}

/// Notes where a panic comes up that is not a test's own.
#[expect(clippy::disallowed_methods, reason = "this test is about panics")]
fn watch_panics() -> Arc<Mutex<Vec<String>>> {
    let panics = Arc::new(Mutex::new(Vec::new()));
    let (noted, before) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or("", |location| location.file());
        if !place.starts_with("tests/") {
            noted.lock().unwrap().push(info.to_string());
        }
        before(info);
    }));
    panics
}

fn of_records(seen: &mut Seen) {
    let place = Place::made();
    let session = place.unlock().unwrap();
    let stored = session.put(record()).unwrap();
    let other = record().with_body("canary-other");
    seen.error(ErrorKind::Conflict, session.put(other));
    let read = session.get(stored.id).unwrap().unwrap();
    let stale = session.get(stored.id).unwrap().unwrap();
    session.put(read.with_body("canary-next")).unwrap();
    seen.error(ErrorKind::Conflict, session.put(stale));
    let gone = session.get(stored.id).unwrap().unwrap();
    session.erase(stored.id).unwrap();
    seen.error(ErrorKind::NotFound, session.put(gone));
    let nameless = Record::new("", BODY).subject("canary\n");
    seen.error(ErrorKind::InvalidRecord, session.put(nameless));
    let cursor = Cursor::from_text("canary-cursor");
    let query = Query::new().kind(KIND);
    seen.error(
        ErrorKind::InvalidCursor,
        session.query_after(&query, &cursor),
    );
    for (kind, search) in [
        (ErrorKind::SearchInvalid, "Patient?canary=canary"),
        (ErrorKind::SearchInvalid, "Patient?birthdate=canary"),
        (ErrorKind::SearchUnsupported, "Patient?gender:in=canary"),
    ] {
        seen.error(kind, session.fhir().search(search));
    }
}

fn of_sessions(seen: &mut Seen) {
    let place = Place::made();
    let words = words();
    let vault = place.open().unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    seen.error(ErrorKind::SessionActive, vault.unlock(&factors(&words)));
    let secret = || record().class(Class::Priority);
    seen.error(ErrorKind::LeaseRequired, session.put(secret()));
    let lease = session.step_up(&factors(&words)).unwrap();
    seen.error(ErrorKind::LeaseActive, session.step_up(&factors(&words)));
    let slots = lease.slots();
    seen.error(ErrorKind::LastSlot, slots.remove(session.slot(), None));
    let absent = SlotId::parse("00000000000000ff").unwrap();
    seen.error(ErrorKind::NotFound, slots.remove(absent, None));
    let (contact, other) = (ContactKey::make().unwrap(), ContactKey::make().unwrap());
    seen.error(
        ErrorKind::InvalidPublicKey,
        slots.add_emergency_contact(&[0; 32]),
    );
    let slot = slots.add_emergency_contact(&contact.public_key()).unwrap();
    let request = vault.request_emergency(slot).unwrap();
    let question = EmergencyQuestion::read(&request.to_bytes()).unwrap();
    seen.error(ErrorKind::InvalidEmergencyRequest, other.answer(&question));
    let auditor = AuditorKey::make().unwrap();
    seen.error(
        ErrorKind::InvalidEvidence,
        auditor.examine(b"no evidence", None),
    );
    let full = (0..16).find_map(|_| slots.add_emergency().err());
    seen.error(ErrorKind::SlotTableFull, full.map_or(Ok(()), Err));
    let hour = Duration::from_secs(3600);
    seen.error(ErrorKind::InvalidPolicy, SessionPolicy::new().idle(hour));
    vault.pause();
    seen.error(ErrorKind::Paused, session.put(record()));
    vault.resume().unwrap();
    seen.error(ErrorKind::LeaseExpired, lease.put(secret()));
    drop(lease);
    session.lock();
    seen.error(ErrorKind::Locked, session.put(record()));
    seen.error(ErrorKind::VaultBusy, place.open());
    seen.error(ErrorKind::VaultExists, make_plain(&place.vault(), &words));
}

fn of_anchors(seen: &mut Seen) {
    let (place, words) = (Place::new(), words());
    let anchor = Arc::new(Memory::default());
    let options = options().anchor(anchor.clone());
    let setup = Vault::create(place.vault(), options, factors(&words)).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    let older = fs::read(place.vault().join("standard.db")).unwrap();
    let session = vault.unlock(&factors(&words)).unwrap();
    session.put(record()).unwrap();
    session.lock();
    drop((session, vault));
    let unlock = || {
        place
            .open()?
            .anchored(anchor.clone())
            .unlock(&factors(&words))
    };
    let newer = fs::read(place.vault().join("standard.db")).unwrap();
    fs::write(place.vault().join("standard.db"), older).unwrap();
    seen.error(ErrorKind::RollbackDetected, unlock());
    fs::write(place.vault().join("standard.db"), newer).unwrap();
    *anchor.unreachable.lock().unwrap() = true;
    seen.error(ErrorKind::AnchorUnavailable, unlock());
    seen.error(ErrorKind::AnchorMissing, place.unlock());
}

fn of_factors(seen: &mut Seen) {
    let new = |bytes: &[u8]| Passphrase::new(bytes);
    seen.error(ErrorKind::PassphraseNotText, new(b"canary\xFF"));
    seen.error(ErrorKind::PassphraseNotText, new(b"canary\n"));
    let long = "canary".repeat(1000);
    seen.error(ErrorKind::PassphraseTooLong, new(long.as_bytes()));
    seen.error(ErrorKind::PassphraseTooShort, new(b""));
    let common = words().refuse_words(&[PASSPHRASE]);
    seen.error(ErrorKind::PassphraseTooCommon, common);
    let place = Place::new();
    let short = Passphrase::new(b"canary").unwrap();
    let alone = Vault::create(place.vault(), options(), Credentials::passphrase(&short));
    seen.error(ErrorKind::PassphraseTooShort, alone);
    let refused = KdfParameters::new(1, 1, 1);
    seen.error(ErrorKind::KdfParametersRefused, refused);

    let place = Place::made();
    let vault = place.open().unwrap();
    let words = words();
    let alone = vault.unlock(&Credentials::passphrase(&words));
    seen.error(ErrorKind::NoMatchingSlot, alone);
    let wrong = Passphrase::new(b"canary-wrong passphrase").unwrap();
    for _ in 0..3 {
        seen.error(ErrorKind::UnlockFailed, vault.unlock(&factors(&wrong)));
    }
    seen.error(ErrorKind::Throttled, vault.unlock(&factors(&words)));
    let (place, credentials) = (Place::new(), factors(&words));
    let setup = Vault::create(place.vault(), options(), credentials).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    let slot = vault.slots()[0].id.to_bytes();
    drop(vault);
    let table = attempts::table(&[(slot, 10, 0)]);
    fs::write(place.vault().join("attempts"), table).unwrap();
    let vault = place.open().unwrap();
    seen.error(ErrorKind::SlotDisabled, vault.unlock(&credentials));
    let place = Place::new();
    let wiping = options().dangerous_wipe_after_ten_failures(true);
    let setup = Vault::create(place.vault(), wiping, credentials).unwrap();
    let wiped = setup.dangerous_without_recovery().unwrap();
    let table = attempts::table(&[(wiped.slots()[0].id.to_bytes(), 10, 0)]);
    drop(wiped);
    fs::write(place.vault().join("attempts"), table).unwrap();
    let wiped = place.open().unwrap();
    seen.error(ErrorKind::VaultWiped, wiped.unlock(&credentials));
    let nobody = Actor::new(&"canary".repeat(50));
    seen.error(
        ErrorKind::InvalidActor,
        vault.unlock(&credentials.by(&nobody)),
    );
    let mistyped = RecoveryCode::parse(b"canary");
    seen.error(ErrorKind::RecoveryCodeMistyped, mistyped);
    let [one, other] = [Place::new(), Place::new()];
    let begin = |place: &Place| Vault::create(place.vault(), options(), factors(&words));
    let code = begin(&other).unwrap().recovery_code().reveal(str::to_owned);
    let unconfirmed = begin(&one).unwrap().confirm_recovery(code.as_bytes());
    seen.error(ErrorKind::RecoveryNotConfirmed, unconfirmed);
}

fn of_shares(seen: &mut Seen) {
    let (place, keystore, words) = (Place::new(), Keystore::new(), words());
    let credentials = Credentials::passphrase(&words).and(&keystore);
    let setup = Vault::create(place.vault(), options(), credentials).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    for (error, kind) in [
        (ShareError::Cancelled, ErrorKind::ShareCancelled),
        (ShareError::Missing, ErrorKind::ShareMissing),
        (
            ShareError::TemporarilyUnavailable,
            ErrorKind::ShareUnavailable,
        ),
        (
            ShareError::Invalidated(InvalidationReason::BiometricsChanged),
            ErrorKind::ShareInvalidated,
        ),
        (
            ShareError::Invalidated(InvalidationReason::LockScreenRemoved),
            ErrorKind::ShareInvalidated,
        ),
        (
            ShareError::Invalidated(InvalidationReason::Other),
            ErrorKind::ShareInvalidated,
        ),
    ] {
        keystore.refuse(Some(error));
        seen.error(kind, vault.unlock(&credentials));
    }
    let odd = Keystore::named("Canary provider");
    let (place, credentials) = (Place::new(), Credentials::passphrase(&words).and(&odd));
    let setup = Vault::create(place.vault(), options(), credentials).unwrap();
    seen.error(
        ErrorKind::ShareMisbehaved,
        setup.dangerous_without_recovery(),
    );
}

fn of_documents(seen: &mut Seen) {
    let read = |limits: fhir::Limits, json: &str| {
        let reader = fhir::Reader::with_limits(limits);
        reader.bundle(json.as_bytes()).map(drop)
    };
    let limits = fhir::Limits::default;
    let broken = r#"{"resourceType":"Bundle","canary-name":canary}"#;
    seen.error(ErrorKind::FhirMalformed, read(limits(), broken));
    let nameless = r#"{"resourceType":"Bundle","type":"collection","entry":[{"canary":1,"resource":{"canary":1}}]}"#;
    seen.error(ErrorKind::FhirMalformed, read(limits(), nameless));
    let deep = format!(
        r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Patient","canary":{}{}}}}}]}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    seen.error(ErrorKind::FhirTooDeep, read(limits(), &deep));
    let short = limits().max_document_bytes(10);
    seen.error(ErrorKind::FhirTooLarge, read(short, broken));
    let entry = r#"{"resource":{"resourceType":"Patient","id":"canary"}}"#;
    let two =
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{entry},{entry}]}}"#);
    seen.error(
        ErrorKind::FhirTooMany,
        read(limits().max_resources(1), &two),
    );
}

fn of_fhir_stores(seen: &mut Seen) {
    let place = Place::made();
    let session = place.unlock().unwrap();
    let fhir = session.fhir();
    let patient = |id: &str| {
        format!(
            r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"canary"}}],"active":true}}"#
        )
    };
    for id in ["canary-1", "canary-2"] {
        fhir.update(patient(id).as_bytes(), Precondition::None)
            .unwrap();
    }
    for patch in [
        r#"[{"op":"test","path":"/active","value":"canary"}]"#,
        r#"[{"op":"remove","path":"/canary"}]"#,
        r#"[{"op":"replace","path":"/id","value":"canary"}]"#,
    ] {
        let patched = fhir.patch("Patient/canary-1", patch.as_bytes(), Precondition::None);
        seen.error(ErrorKind::PatchFailed, patched);
    }
    let search = "Patient?name=canary";
    seen.error(ErrorKind::SearchAmbiguous, fhir.delete_where(search));
    let another = patient("canary-3");
    let created = fhir.create_unless(another.as_bytes(), search);
    seen.error(ErrorKind::SearchAmbiguous, created);
    let parameter = br#"{"resourceType":"SearchParameter","url":"urn:canary","code":"title",
        "base":["Patient"],"type":"string","expression":"Patient.name.suffix"}"#;
    fhir.add_search_parameter(parameter).unwrap();
    let pending = fhir.search("Patient?title=canary");
    seen.error(ErrorKind::SearchPending, pending);
    let mut out = Vec::new();
    let mut stop = |_| ControlFlow::Break(());
    let stopped = fhir.export(fhir.all(), ExportFormat::Ndjson, &mut out, &mut stop);
    seen.error(ErrorKind::Cancelled, stopped);
    let lines: String = (0..3000)
        .map(|at| patient(&format!("canary-{at}")) + "\n")
        .collect();
    let stopped = fhir.import_ndjson(&mut lines.as_bytes(), &mut stop);
    seen.error(ErrorKind::Cancelled, stopped);
}

fn mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn of_places(seen: &mut Seen) {
    let place = Place::new();
    seen.error(ErrorKind::VaultNotFound, place.open());
    let below = place.vault().join("canary-absent");
    seen.error(ErrorKind::Io, make_plain(&below, &words()));
    fs::write(place.vault(), "").unwrap();
    seen.error(ErrorKind::PathWrongType, place.open());

    let place = Place::new();
    symlink(place.0.path(), place.vault()).unwrap();
    seen.error(ErrorKind::PathIsSymlink, place.open());

    let place = Place::made();
    mode(&place.vault(), 0o750);
    seen.error(ErrorKind::PathLooseMode, place.open());
    mode(&place.vault(), 0o700);
    mode(place.0.path(), 0o777);
    seen.error(ErrorKind::PathWritableParent, place.open());
    mode(place.0.path(), 0o700);
    if rustix::process::geteuid().is_root() {
        chown(place.vault(), Some(STRANGER), None).unwrap();
        seen.error(ErrorKind::PathForeignOwner, place.open());
    } else {
        seen.error(ErrorKind::PathForeignOwner, Vault::open("/usr"));
    }

    let place = Place::new();
    fs::create_dir(place.vault()).unwrap();
    mode(&place.vault(), 0o700);
    let marker = place.vault().join("setup");
    fs::write(&marker, "").unwrap();
    mode(&marker, 0o600);
    seen.error(ErrorKind::VaultIncomplete, place.open());
}

fn of_files(seen: &mut Seen) {
    let place = Place::made();
    let header = place.vault().join("header");
    fs::hard_link(&header, place.0.path().join("canary-link")).unwrap();
    seen.error(ErrorKind::PathIsHardLink, place.open());

    let rewrite = |place: &Place, change: &dyn Fn(&str) -> String| {
        for name in ["header", "header.2"] {
            let path = place.vault().join(name);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, change(&text)).unwrap();
        }
    };
    let place = Place::made();
    rewrite(&place, &|_| "canary".to_owned());
    seen.error(ErrorKind::HeaderDamaged, place.open());
    let place = Place::made();
    rewrite(&place, &|text| text.replace("vitalock 1\n", "vitalock 2\n"));
    seen.error(ErrorKind::UnsupportedFormat, place.open());
    let place = Place::made();
    rewrite(&place, &|text| {
        text.replace("argon2id:19456", "argon2id:19455")
    });
    seen.error(ErrorKind::KdfParametersRefused, place.open());

    let place = Place::made();
    fs::write(place.vault().join("standard.db"), BODY.repeat(10_000)).unwrap();
    seen.error(ErrorKind::TamperDetected, place.unlock());
    // Pages that are sealed as they should be, around a table that is none.
    let place = Place::made();
    let opener = Opener {
        passphrase: std::str::from_utf8(PASSPHRASE.as_ref()).unwrap(),
        ..DEVICE
    };
    opener.edit(&place.vault(), Class::Standard, |plain| {
        plain[100..108].fill(7);
    });
    seen.error(ErrorKind::DatabaseDamaged, place.unlock());
    let place = Place::made();
    let journal = place.vault().join("standard.db-journal");
    fs::write(&journal, BODY).unwrap();
    mode(&journal, 0o600);
    seen.error(ErrorKind::TamperDetected, place.unlock());
}

/// Runs another process to an error and gives its kind.
#[track_caller]
fn elsewhere_fails(seen: &mut Seen, command: Command) -> ErrorKind {
    let line = format!("{command:?}");
    let (said, status, rest) = run(command);
    assert!(status.success(), "{line}: {said:?}: {rest}");
    assert_ne!(said, ["done"], "{line}");
    seen.said(said.last().unwrap())
}

fn of_the_system(seen: &mut Seen) {
    let place = Place::new();
    let little = elsewhere(&place.line("little memory"));
    assert_eq!(elsewhere_fails(seen, little), ErrorKind::OutOfMemory);
    let place = Place::new();
    let single = elsewhere(&place.line("single-threaded"));
    assert_eq!(elsewhere_fails(seen, single), ErrorKind::SqliteUnsuitable);

    // Writing more then fails instead of ending the process.
    let place = Place::new();
    let shell = ["-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    let small = elsewhere_below("sh", &shell, &place.line("small files"));
    assert_eq!(elsewhere_fails(seen, small), ErrorKind::StorageFull);

    let place = Place::new();
    let words = place.line("create");
    let fixed = if rustix::process::geteuid().is_root() {
        give_away(place.0.path());
        elsewhere_as(STRANGER, &words)
    } else {
        elsewhere(&words)
    };
    mode(place.0.path(), 0o500);
    assert_eq!(elsewhere_fails(seen, fixed), ErrorKind::ReadOnly);
    mode(place.0.path(), 0o700);
}

fn of_failing_calls(seen: &mut Seen) {
    // The numbers are past those of the harness and the loader.
    for (failing, kind) in [
        ("getrandom:error=EIO:when=6+", ErrorKind::RandomUnavailable),
        ("fsync,fdatasync:error=EIO:when=1", ErrorKind::Io),
        ("fsync,fdatasync:error=EIO:when=2", ErrorKind::Io),
        ("pread64:error=EIO:when=12+", ErrorKind::Io),
        ("pwrite64:error=EIO:when=1", ErrorKind::Io),
        ("pwrite64:error=ENOSPC:when=1", ErrorKind::StorageFull),
        ("renameat:error=EIO:when=1", ErrorKind::Io),
        ("renameat:error=EROFS:when=1", ErrorKind::ReadOnly),
        ("flock:error=EIO:when=1", ErrorKind::Io),
    ] {
        let place = Place::made();
        let log = place.0.path().join("trace");
        let (call, _) = failing.split_once(':').unwrap();
        let (trace, inject) = (format!("trace={call}"), format!("inject={failing}"));
        let args = [
            "-f",
            "-qq",
            "-o",
            log.to_str().unwrap(),
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        let command = elsewhere_below("strace", &args, &place.line("use"));
        let failed = elsewhere_fails(seen, command);
        // SQLite takes a page that the medium does not give back for damage, save the first.
        let unread = call == "pread64" && failed == ErrorKind::DatabaseDamaged;
        assert!(unread || failed == kind, "{failing}: {failed:?}");
    }
}
