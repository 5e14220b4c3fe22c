//! The report on how a vault is protected: each fact is broken, and the finding follows.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use vitalock::{
    Class, Credentials, EmergencyCode, FindingState, Footprint, Kdf, KdfParameters, Options,
    Passphrase, Posture, Record, SessionPolicy, Vault,
};

use crate::support::anchors::Memory;
use crate::support::spec::attempts;
use crate::support::{Keystore, Scratch, make_vault_with, options, words};

use FindingState::{Attention, Good, Problem, Unknown};

fn state(vault: &Vault, id: &str) -> FindingState {
    vault.posture().finding(id).unwrap().state
}

/// A vault with everything as it should be, but for what an app decides later.
struct Place {
    scratch: Scratch,
    keystore: Keystore,
    words: Passphrase,
}

impl Place {
    fn make(options: Options) -> (Self, Vault) {
        let (scratch, keystore) = (Scratch::new(), Keystore::new());
        let (vault, _) = make_vault_with(&scratch.vault(), &keystore, options);
        let words = words();
        let place = Self {
            scratch,
            keystore,
            words,
        };
        (place, vault)
    }

    fn factors(&self) -> Credentials<'_> {
        Credentials::passphrase(&self.words).and(&self.keystore)
    }
}

#[test]
fn open_files_and_directories_are_found() {
    let (place, vault) = Place::make(options());
    assert_eq!(state(&vault, "files.private"), Good);
    for name in ["", "header", "standard.db", "attempts"] {
        let path = place.scratch.vault().join(name);
        let before = path.metadata().unwrap().permissions();
        set_permissions(&path, Permissions::from_mode(before.mode() | 0o055)).unwrap();
        assert_eq!(state(&vault, "files.private"), Problem, "{name}");
        set_permissions(&path, before).unwrap();
    }
    assert_eq!(state(&vault, "files.private"), Good);
    vault.pause();
    assert_eq!(state(&vault, "files.private"), Unknown);
    assert_eq!(state(&vault, "footprint.known"), Unknown);
    vault.resume().unwrap();
    let report = vault.posture();
    let total = vault.size().unwrap().total().to_string();
    assert!(
        report
            .finding("footprint.known")
            .unwrap()
            .evidence
            .contains(&format!("{total} bytes"))
    );
    let month = Duration::from_secs(30 * 86_400);
    let cache = Footprint::Cache {
        time_to_live: month,
    };
    let (_place, vault) = Place::make(options().footprint(cache));
    let report = vault.posture();
    let evidence = &report.finding("footprint.known").unwrap().evidence;
    assert!(evidence.contains("A cache: records are erased after 30 days."));
}

#[test]
fn one_factor_a_code_that_opens_alone_and_no_way_back_are_found() {
    let (_place, vault) = Place::make(options());
    for id in ["factors.two", "recovery.verified", "recovery.two-factors"] {
        assert_eq!(state(&vault, id), Good, "{id}");
    }
    let words = words();
    let alone = Credentials::passphrase(&words);
    let scratch = Scratch::new();
    let setup = Vault::create(scratch.vault(), options(), alone).unwrap();
    let code = setup.recovery_code().reveal(str::to_owned);
    let vault = setup.confirm_recovery(code.as_bytes()).unwrap();
    assert_eq!(state(&vault, "factors.two"), Attention);
    assert_eq!(state(&vault, "recovery.two-factors"), Attention);
    let scratch = Scratch::new();
    let setup = Vault::create(scratch.vault(), options(), alone).unwrap();
    let vault = setup.dangerous_without_recovery().unwrap();
    assert_eq!(state(&vault, "recovery.verified"), Problem);
    assert_eq!(vault.posture().worst(), Problem);
}

#[test]
fn a_cheap_stretch_is_found() {
    let (_place, vault) = Place::make(options());
    assert_eq!(state(&vault, "kdf.cost"), Attention);
    let fixed = Options::new().kdf(Kdf::Fixed(KdfParameters::DEFAULT));
    let (_place, vault) = Place::make(fixed);
    assert_eq!(state(&vault, "kdf.cost"), Good);
}

#[test]
fn long_limits_and_a_grace_are_found() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let policy = SessionPolicy::new();
    for (policy, expected) in [
        (policy, Good),
        (policy.idle(minutes(5)).unwrap(), Good),
        (policy.idle(minutes(6)).unwrap(), Attention),
        (
            policy.background(Duration::from_secs(1)).unwrap(),
            Attention,
        ),
    ] {
        let (_place, vault) = Place::make(options().session_policy(policy));
        assert_eq!(state(&vault, "session.limits"), expected, "{policy:?}");
    }
}

#[test]
fn no_anchor_and_one_that_was_not_brought_are_found() {
    let (_place, vault) = Place::make(options());
    assert_eq!(state(&vault, "anchor.kept"), Attention);
    let anchor = Arc::new(Memory::default());
    let (place, vault) = Place::make(options().anchor(anchor.clone()));
    assert_eq!(state(&vault, "anchor.kept"), Good);
    drop(vault);
    let vault = Vault::open(place.scratch.vault()).unwrap();
    assert_eq!(state(&vault, "anchor.kept"), Problem);
    assert!(!vault.posture().vouched);
    let vault = vault.anchored(anchor);
    assert_eq!(state(&vault, "anchor.kept"), Good);
    vault.unlock(&place.factors()).unwrap().lock();
    assert!(vault.posture().vouched);
}

#[test]
fn guessing_is_found() {
    let (place, vault) = Place::make(options());
    assert_eq!(state(&vault, "attempts.failed"), Good);
    let slot = vault.slots()[0].id.to_bytes();
    drop(vault);
    for (count, expected) in [(2, Good), (3, Attention), (10, Problem)] {
        let table = attempts::table(&[(slot, count, 0)]);
        std::fs::write(place.scratch.vault().join("attempts"), table).unwrap();
        let vault = Vault::open(place.scratch.vault()).unwrap();
        assert_eq!(state(&vault, "attempts.failed"), expected, "{count}");
    }
    let (_place, vault) = Place::make(options().dangerous_wipe_after_ten_failures(true));
    assert_eq!(state(&vault, "attempts.failed"), Attention);
}

#[test]
fn emergency_access_is_prepared_used_noticed_and_of_use() {
    let (place, vault) = Place::make(options());
    assert_eq!(state(&vault, "emergency.procedure"), Attention);
    assert_eq!(state(&vault, "emergency.noticed"), Unknown);
    assert_eq!(state(&vault, "classes.use"), Unknown);
    let session = vault.unlock(&place.factors()).unwrap();
    let lease = session.step_up(&place.factors()).unwrap();
    let code = lease.slots().add_emergency().unwrap().reveal(str::to_owned);
    drop(lease);
    assert_eq!(state(&vault, "emergency.procedure"), Good);
    assert_eq!(state(&vault, "emergency.noticed"), Good);
    assert_eq!(state(&vault, "classes.use"), Attention);
    session
        .put(Record::new("Note", "allergic").class(Class::Emergency))
        .unwrap();
    assert_eq!(state(&vault, "classes.use"), Good);
    session.lock();
    drop(session);
    let code = EmergencyCode::parse(code.as_bytes()).unwrap();
    vault
        .unlock_emergency(&code, "found unconscious")
        .unwrap()
        .lock();
    let session = vault.unlock(&place.factors()).unwrap();
    assert_eq!(state(&vault, "emergency.noticed"), Problem);
    session.acknowledge_emergency_accesses().unwrap();
    assert_eq!(state(&vault, "emergency.noticed"), Good);
    let trail = vault
        .posture()
        .finding("audit.trail")
        .unwrap()
        .evidence
        .clone();
    assert!(trail.contains("in Emergency") && trail.contains("in Standard"));
}

#[test]
fn nothing_of_priority_is_in_a_report() {
    let (place, vault) = Place::make(options());
    let session = vault.unlock(&place.factors()).unwrap();
    let told = || {
        let mut report: Posture = vault.posture();
        // What is unlocked is written down, and the files grow by that.
        report
            .findings
            .retain(|finding| !["audit.trail", "footprint.known"].contains(&finding.id));
        report.findings
    };
    let before = told();
    let lease = session.step_up(&place.factors()).unwrap();
    for _ in 0..20 {
        lease
            .put(Record::new("Note", "for few eyes").class(Class::Priority))
            .unwrap();
    }
    assert_eq!(told(), before);
    assert!(!vault.posture().to_json().contains("Priority"));
    drop(lease);
    assert_eq!(told(), before);
}

#[test]
fn the_report_is_json_and_a_page_that_needs_nothing_beside_itself() {
    let (_place, vault) = Place::make(options());
    let report = vault.posture();
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["vault"], report.vault.to_string());
    assert_eq!(json["worst"], "attention");
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(findings.len(), report.findings.len());
    let page = report.to_html();
    for (told, finding) in findings.iter().zip(&report.findings) {
        assert_eq!(told["id"], finding.id);
        assert!(!finding.evidence.is_empty() && !finding.controls.is_empty());
        let done = [Good, Unknown].contains(&finding.state);
        assert!(done || !finding.advice.is_empty(), "{}", finding.id);
        assert_eq!(
            page.matches(&format!("<code>{}</code>", finding.id))
                .count(),
            1
        );
    }
    for foreign in [
        "<script", "http:", "https:", "<link", "url(", "@import", "<img",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(report.findings.len() >= 15);
}
