//! Attackers who have the files: another app (T1), a thief (T2), one who keeps copies (T6), one who
//! edits (T7).

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use vitalock::{
    Class, ContactKey, Credentials, EmergencyQuestion, ErrorKind, Query, Record, Vault,
};

use crate::support::data::tell;
use crate::support::fixture::{make_quick_vault, seal, step_up, unlock};
use crate::support::spec::{Factors, Header, Share};
use crate::support::{Scratch, options, words};
use crate::try_both;
use crate::victims::{CONTENT, KIND, PERSON, Victim, WORDS, bytes_of, copy, holds, plain_app};

/// A user that is nobody's here.
const STRANGER: u32 = 12_345;

/// T1, A1.
#[test]
fn another_app_reads_no_file() {
    if !rustix::process::geteuid().is_root() {
        tell("SKIPPED: another_app_reads_no_file: only root may act as another user");
        return;
    }
    let victim = Victim::new();
    let weaker = plain_app();
    // The sandbox lets nobody in; what counts here is what the files let.
    for scratch in [&victim.scratch, &weaker] {
        std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o711)).unwrap();
    }
    let reads = |dir: &PathBuf| {
        let mut cat = Command::new("sh");
        // Whether the names can be listed or not.
        let dir = dir.display();
        let script = format!("cat {dir}/health.db {dir}/header {dir}/standard.db {dir}/*");
        cat.args(["-c", &script]).uid(STRANGER).gid(STRANGER);
        let output = cat.output().unwrap();
        !output.stdout.is_empty()
    };
    try_both(reads, &victim.dir(), &weaker.vault());
}

/// T1, A7 and A1: a place that is prepared beforehand.
#[test]
fn another_app_leads_no_write_elsewhere() {
    let attack = |make: &fn(&Path) -> bool| {
        let scratch = Scratch::new();
        let (theirs, ours) = (scratch.path().join("theirs"), scratch.vault());
        std::fs::create_dir(&theirs).unwrap();
        std::fs::set_permissions(&theirs, Permissions::from_mode(0o700)).unwrap();
        symlink(&theirs, &ours).unwrap();
        make(&ours);
        std::fs::read_dir(&theirs).unwrap().next().is_some()
    };
    let vault: fn(&Path) -> bool = |dir| {
        let words = words();
        let made = Vault::create(dir, options(), Credentials::passphrase(&words));
        made.and_then(|setup| setup.dangerous_without_recovery())
            .is_ok()
    };
    let app: fn(&Path) -> bool = |dir| {
        let connection = Connection::open(dir.join("health.db")).unwrap();
        connection
            .execute_batch("CREATE TABLE records (body TEXT)")
            .is_ok()
    };
    try_both(attack, &vault, &app);
}

/// T2, A1.
#[test]
fn an_image_of_the_files_shows_no_content() {
    let shows = |dir: &PathBuf| holds(&bytes_of(dir), CONTENT);
    try_both(shows, &Victim::new().dir(), &plain_app().vault());
}

/// T2, A2: kinds, people, the schema, how many there are.
#[test]
fn an_image_of_the_files_shows_no_surroundings() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    lease
        .put(Record::new(KIND, CONTENT).subject(PERSON))
        .unwrap();
    drop(lease);
    session.lock();
    drop((session, vault));
    // Weaker: the same files without the seal of their pages, as a store that seals bodies has them.
    let weaker = Scratch::new();
    copy(&scratch.vault(), &weaker.vault());
    for (class, name) in [
        (Class::Standard, "standard.db"),
        (Class::Priority, "priority.db"),
    ] {
        let sealed = std::fs::read(weaker.vault().join(name)).unwrap();
        let plain = seal(&scratch.vault(), class).open_database(&sealed);
        std::fs::write(weaker.vault().join(name), plain).unwrap();
    }
    let shows = |dir: &PathBuf| {
        let bytes = bytes_of(dir);
        holds(&bytes, "CREATE TABLE") || holds(&bytes, KIND) || holds(&bytes, PERSON)
    };
    try_both(shows, &scratch.vault(), &weaker.vault());
}

/// T2, A3 and A4: the passphrase is guessed right, away from the device.
#[test]
fn a_copy_and_the_right_passphrase_open_nothing_without_the_device() {
    let opens = |victim: &Victim| {
        let image = victim.image();
        let header = Header::read(&image.vault());
        let nothing = |_: &Share, _: &str| Some([0; 32]);
        let factors = Factors {
            passphrase: WORDS,
            release: &nothing,
            recovery_code: "",
            emergency_code: "",
        };
        header.slots.iter().any(|slot| {
            let mut purposes = slot.wraps.iter().map(|wrap| wrap.purpose.clone());
            purposes.any(|purpose| {
                let unwrapped = header.unwrap(slot, &purpose, factors);
                unwrapped.is_ok_and(|opened| !opened.class_keys.is_empty())
            })
        })
    };
    let weaker = Victim::with(options(), false, false);
    try_both(opens, &Victim::new(), &weaker);
}

/// T6, A1: yesterday's copy with the factors of today.
#[test]
fn an_old_copy_does_not_open_to_the_factors_that_took_the_place_of_the_old() {
    let opens = |victim: &Victim| {
        let before = victim.image();
        let words = words();
        let vault = victim.open();
        let session = vault.unlock(&victim.factors(&words)).unwrap();
        let lease = session.step_up(&victim.factors(&words)).unwrap();
        let slot = lease.slots().list().unwrap()[0].id;
        lease
            .slots()
            .replace(slot, &victim.factors(&words))
            .unwrap();
        drop(lease);
        session.lock();
        drop((session, vault));
        // Whoever has the old copy and the old passphrase, on the same device.
        let image = Vault::open(before.vault()).unwrap();
        let image = match &victim.anchor {
            Some(anchor) => image.anchored(anchor.clone()),
            None => image,
        };
        image.unlock(&victim.factors(&words)).is_ok()
    };
    // Without a platform key there is nothing that could be destroyed.
    let weaker = Victim::with(options(), false, false);
    try_both(opens, &Victim::with(options(), true, false), &weaker);
}

/// T7, A1 and A6: one bit of a body, a page, or the header.
#[test]
fn a_changed_bit_is_never_believed() {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    session.put(Record::new("Dose", "take 1 tablet")).unwrap();
    session.lock();
    drop((session, vault));
    let believed = |dir: &PathBuf| {
        let name = ["health.db", "standard.db"]
            .into_iter()
            .find(|name| dir.join(name).exists());
        let path = dir.join(name.unwrap());
        let whole = std::fs::read(&path).unwrap();
        // The last page that is full of something, where the newest row is; or the row itself.
        let plain = whole
            .windows(13)
            .rposition(|window| window == b"take 1 tablet");
        let places: Vec<usize> = match plain {
            Some(at) => vec![at + 5],
            None => (0..whole.len()).step_by(whole.len() / 40).collect(),
        };
        places.into_iter().any(|at| {
            let mut changed = whole.clone();
            changed[at] ^= 8;
            std::fs::write(&path, &changed).unwrap();
            let read = read_dose(dir);
            std::fs::write(&path, &whole).unwrap();
            read.is_some_and(|dose| dose != "take 1 tablet")
        })
    };
    let weaker = Scratch::new();
    std::fs::create_dir(weaker.vault()).unwrap();
    let connection = Connection::open(weaker.vault().join("health.db")).unwrap();
    connection
        .execute_batch("CREATE TABLE doses (body TEXT); INSERT INTO doses VALUES ('take 1 tablet')")
        .unwrap();
    drop(connection);
    try_both(believed, &scratch.vault(), &weaker.vault());
}

/// What the app shows its user.
fn read_dose(dir: &Path) -> Option<String> {
    if dir.join("health.db").exists() {
        let connection = Connection::open(dir.join("health.db")).ok()?;
        return connection
            .query_row("SELECT body FROM doses", [], |row| row.get(0))
            .ok();
    }
    let vault = Vault::open(dir).ok()?;
    let session = vault
        .unlock(&Credentials::share(&crate::support::fixture::Twin))
        .ok()?;
    let dose = session.query(&Query::new()).next()?.ok()?;
    Some(String::from_utf8_lossy(dose.body()).into_owned())
}

/// T7, A4: the parameters that stretch the passphrase are lowered, so that a guess costs nothing.
#[test]
fn a_header_with_other_costs_is_refused() {
    let is_cheap = |dir: &PathBuf| {
        for name in ["header", "header.2", "kdf"] {
            let path = dir.join(name);
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            assert!(text.contains("19456:2:1"));
            std::fs::write(&path, text.replace("19456:2:1", "8:1:1")).unwrap();
        }
        stretches(dir) == Some(8)
    };
    // An app that keeps what it stretches with beside its database, and believes it.
    let weaker = plain_app();
    std::fs::write(weaker.vault().join("kdf"), "19456:2:1").unwrap();
    try_both(is_cheap, &Victim::new().dir(), &weaker.vault());
    let victim = Victim::new();
    assert_eq!(stretches(&victim.dir()), Some(19_456));
    is_cheap(&victim.dir());
    let refused = Vault::open(victim.dir()).unwrap_err().kind();
    assert_eq!(refused, ErrorKind::KdfParametersRefused);
}

/// With how many KiB a passphrase is stretched there, if at all.
fn stretches(dir: &Path) -> Option<u32> {
    let Ok(kept) = std::fs::read_to_string(dir.join("kdf")) else {
        let slots = Vault::open(dir).ok()?.slots();
        return slots
            .iter()
            .find_map(|slot| slot.kdf)
            .map(|cost| cost.memory_kib());
    };
    let mut numbers = kept.split(':').map(|number| number.parse().unwrap());
    let mut next = || numbers.next().unwrap();
    let cost = argon2::Params::new(next(), next(), next(), Some(32)).unwrap();
    let (memory, version) = (cost.m_cost(), argon2::Version::V0x13);
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, version, cost);
    let mut key = [0; 32];
    argon
        .hash_password_into(WORDS.as_bytes(), &[7; 16], &mut key)
        .unwrap();
    Some(memory)
}

/// T7, A4: a contact's key is exchanged in the header, or a contact is added.
#[test]
fn a_contact_that_the_owner_did_not_add_opens_nothing() {
    let enemy = ContactKey::make().unwrap();
    let friend = ContactKey::make().unwrap();
    let lines_of = |dir: &Path| {
        let text = std::fs::read_to_string(dir.join("header")).unwrap();
        let lines = text
            .lines()
            .skip_while(|line| !line.ends_with(" emergency-contact"));
        lines.take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    // A vault of the enemy's own has what the enemy may write.
    let theirs = household(&enemy);
    let written = lines_of(&theirs.vault());
    let opens = |dir: &PathBuf| {
        let vault = Vault::open(dir).unwrap();
        vault.slots().into_iter().any(|slot| {
            let Ok(request) = vault.request_emergency(slot.id) else {
                return false;
            };
            let question = EmergencyQuestion::read(&request.to_bytes()).unwrap();
            let Ok(answer) = enemy.answer(&question) else {
                return false;
            };
            let opened = vault.unlock_emergency_by_contact(&request, &answer, "curiosity");
            opened.is_ok_and(|session| session.count(&Query::new()).is_ok_and(|found| found > 0))
        })
    };
    let weaker = household(&enemy);
    for change in [&[0][..], &[1], &[0, 1], &[0, 1, 2]] {
        let victim = household(&friend);
        let own = lines_of(&victim.vault());
        for name in ["header", "header.2"] {
            let path = victim.vault().join(name);
            let mut text = std::fs::read_to_string(&path).unwrap();
            for &at in change {
                text = text.replace(&own[at], &written[at]);
            }
            std::fs::write(&path, text).unwrap();
        }
        try_both(opens, &victim.vault(), &weaker.vault());
        let vault = Vault::open(victim.vault()).unwrap();
        let noticed = vault.unlock(&Credentials::share(&crate::support::fixture::Twin));
        assert!(noticed.is_err());
    }
}

/// A vault with a record of Emergency, which the owner lets a contact open.
fn household(contact: &ContactKey) -> Scratch {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    lease
        .put(Record::new(KIND, CONTENT).class(Class::Emergency))
        .unwrap();
    let slots = lease.slots();
    slots.add_emergency_contact(&contact.public_key()).unwrap();
    drop(lease);
    session.lock();
    scratch
}
