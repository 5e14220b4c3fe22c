use crate::answers::*;
use crate::populated::*;
use crate::support::fixture::*;
use crate::support::*;
use crate::trees::*;
use vitalock::*;

fn show(all: &All, a: &All, b: &All) {
    for at in 0..3 {
        let held: std::collections::BTreeSet<_> =
            records(&a[at]).union(&records(&b[at])).cloned().collect();
        let f: std::collections::BTreeSet<String> = all[at]
            .values()
            .filter_map(|a| a.failure)
            .map(|k| format!("{k:?}"))
            .collect();
        println!(
            "  class {at}: {} {} fail {f:?} forged {}",
            all[at] == a[at],
            all[at] == b[at],
            !records(&all[at]).is_subset(&held)
        );
    }
}

#[test]
fn probe_populated() {
    let made = populated();
    let older = made.questions.ask(&Place::new(&made.before).dir());
    let oldest = made.questions.ask(&Place::new(&made.older).dir());
    let place = Place::new(&made.before);
    let with = |base: &Files, extra: &[(&str, &Files)]| {
        let mut f = base.clone();
        for (n, from) in extra {
            f.insert((*n).to_owned(), from[*n].clone());
        }
        place.put(&f);
        made.questions.ask(&place.dir())
    };
    println!("older log beside newer db (older log = phase 1)");
    show(
        &with(&made.closed, &[("standard.db-wal", &made.older)]),
        &made.answers,
        &oldest,
    );
    println!("older emergency log");
    show(
        &with(&made.closed, &[("emergency.db-wal", &made.older)]),
        &made.answers,
        &oldest,
    );
    println!("newer log beside before");
    show(
        &with(&made.before, &[("standard.db-wal", &made.open)]),
        &made.answers,
        &older,
    );
    println!("newer log beside older db");
    let mut o = made.older.clone();
    o.retain(|n, _| !n.ends_with("-wal"));
    show(
        &with(&o, &[("standard.db-wal", &made.open)]),
        &made.answers,
        &oldest,
    );
    println!("older db under newer log");
    show(
        &with(&made.open, &[("standard.db", &made.older)]),
        &made.answers,
        &oldest,
    );
    println!("older db without its log");
    show(&with(&o, &[]), &made.answers, &oldest);
    println!("closed db with log of open again");
    show(
        &with(&made.closed, &[("standard.db-wal", &made.open)]),
        &made.answers,
        &oldest,
    );
}

fn bodies(dir: &std::path::Path) -> Vec<String> {
    let vault = Vault::open(dir).unwrap();
    let session = match vault.unlock(&Credentials::share(&Twin)) {
        Ok(s) => s,
        Err(e) => return vec![format!("unlock {:?}", e.kind())],
    };
    let lease = match session.step_up(&Credentials::share(&Twin)) {
        Ok(s) => s,
        Err(e) => return vec![format!("step {:?}", e.kind())],
    };
    lease
        .query(&Query::new().last_updated_first())
        .map(|r| match r {
            Ok(r) => format!(
                "{:?} {} {:?}",
                r.protection_class(),
                String::from_utf8_lossy(r.body()),
                r.revision()
            ),
            Err(e) => format!("{:?}", e.kind()),
        })
        .collect()
}

#[test]
fn probe_small() {
    let scratch = Scratch::new();
    let dir = scratch.vault();
    let vault = make_quick_vault(&dir, false);
    let session = unlock(&vault);
    let id = session
        .put(Record::new("Dose", "10 mg").client("dose", 1))
        .unwrap()
        .id;
    session.put(Record::new("Dose", "other")).unwrap();
    drop((session, vault));
    let before = files_of(&dir);
    let vault = Vault::open(&dir).unwrap();
    let session = unlock(&vault);
    session
        .put(session.get(id).unwrap().unwrap().with_body("20 mg"))
        .unwrap();
    drop((session, vault));
    let after = files_of(&dir);
    let place = Place::new(&after);
    let trees = Trees::of(&place.dir(), Class::Standard);
    for (page, owner) in trees.owners.iter().enumerate() {
        let r = page * PAGE..(page + 1) * PAGE;
        if before["standard.db"].len() < r.end
            || before["standard.db"][r.clone()] == after["standard.db"][r.clone()]
        {
            continue;
        }
        let mut c = after["standard.db"].clone();
        c[r.clone()].copy_from_slice(&before["standard.db"][r]);
        place.put(&after);
        place.write("standard.db", &c);
        println!("{owner}: {:?}", bodies(&place.dir()));
    }
}

#[test]
fn probe_move() {
    let scratch = Scratch::new();
    let dir = scratch.vault();
    let vault = make_quick_vault(&dir, false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let id = lease
        .put(Record::new("Dose", "moves").class(Class::Standard))
        .unwrap()
        .id;
    drop((lease, session, vault));
    let before = files_of(&dir);
    let vault = Vault::open(&dir).unwrap();
    let session = unlock(&vault);
    let lease = step_up(&session);
    lease
        .put(lease.get(id).unwrap().unwrap().class(Class::Priority))
        .unwrap();
    drop((lease, session, vault));
    let after = files_of(&dir);
    let place = Place::new(&after);
    for name in DATABASES {
        place.put(&after);
        place.write(name, &before[name]);
        println!("moved; old {name}: {:?}", bodies(&place.dir()));
    }
}

#[test]
fn probe_intent() {
    let scratch = Scratch::new();
    let dir = scratch.vault();
    let vault = make_quick_vault(&dir, false);
    let session = unlock(&vault);
    session
        .put(Record::new("Dose", "first").class(Class::Emergency))
        .unwrap();
    let batch: Batch = [Class::Emergency, Class::Standard]
        .map(|c| Record::new("Dose", "batch").class(c))
        .into_iter()
        .collect();
    let ids = session.commit(&batch).unwrap();
    let copied = files_of_open(&scratch, &dir);
    session.erase(ids[1].id).unwrap();
    drop((session, vault));
    let after = files_of(&dir);
    let place = Place::new(&after);
    println!("after {:?}", bodies(&place.dir()));
    let frames = (copied["emergency.db-wal"].len() - 72) / 4120;
    for f in 0..=frames {
        place.put(&after);
        place.write("emergency.db", &copied["emergency.db"]);
        place.write(
            "emergency.db-wal",
            &copied["emergency.db-wal"][..72 + f * 4120],
        );
        println!("{f}: {:?}", bodies(&place.dir()));
    }
}

#[test]
fn probe_client() {
    let scratch = Scratch::new();
    let dir = scratch.vault();
    let vault = make_quick_vault(&dir, false);
    drop(vault);
    let before = files_of(&dir);
    let vault = Vault::open(&dir).unwrap();
    let session = unlock(&vault);
    session
        .put(Record::new("Dose", "one").client("dose", 1))
        .unwrap();
    drop((session, vault));
    let after = files_of(&dir);
    let place = Place::new(&after);
    let trees = Trees::of(&place.dir(), Class::Standard);
    let page = trees
        .owners
        .iter()
        .position(|o| o == "records_by_client")
        .unwrap();
    let mut c = after["standard.db"].clone();
    let r = page * PAGE..(page + 1) * PAGE;
    c[r.clone()].copy_from_slice(&before["standard.db"][r]);
    place.write("standard.db", &c);
    {
        let vault = Vault::open(place.dir()).unwrap();
        let session = unlock(&vault);
        println!(
            "{:?}",
            session
                .put(Record::new("Dose", "again").client("dose", 1))
                .map(|s| s.revision)
        );
    }
    println!("{:?}", bodies(&place.dir()));
}
