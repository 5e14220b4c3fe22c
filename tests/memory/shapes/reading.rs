//! Reading: to the end, half-way, page by page.

use vitalock::{Batch, Class, ErrorKind, Query, Timestamp};

use super::{fill, lock, step_up, unlock};
use crate::canary::Field;
use crate::child::Child;

pub(crate) fn full_reads(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let ids = fill(child, &session);
    let many = session.get_many(&ids).unwrap();
    assert!(many.iter().all(Option::is_some));
    drop(many);
    for class in [Class::Emergency, Class::Standard] {
        let kind = child.kind(class);
        for query in [
            Query::new(),
            Query::new().kind(kind.text()),
            Query::new()
                .subject(child.subject(class).text())
                .oldest_first(),
            Query::new().content_type(child.canary(class, Field::ContentType).text()),
            Query::new()
                .subject(child.subject(class).text())
                .kind(kind.text()),
            Query::new().updated_since(Timestamp::from_micros(0)),
            Query::new().kind("nothing is of this kind"),
        ] {
            let count = session.count(&query).unwrap();
            assert_eq!(
                session.query(&query).map(Result::unwrap).count() as u64,
                count
            );
        }
    }
    lock(child, vault, session);
}

pub(crate) fn abandoned_iterator(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    let kind = child.kind(Class::Standard);
    let person = child.subject(Class::Standard);
    let query = Query::new().kind(kind.text()).subject(person.text());
    let mut matches = session.query(&query);
    let mut all = session.query(&Query::new());
    let mut never_started = session.query(&query);
    drop((query, kind, person));
    for found in [matches.next(), matches.next(), all.next()] {
        assert!(child.is_body(Class::Standard, found.unwrap().unwrap().body()));
    }
    child.stop("open");
    session.lock();
    child.stop("locked");
    for matches in [&mut matches, &mut all, &mut never_started] {
        let error = matches.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(matches.next().is_none());
    }
    child.stop("locked");
    drop((matches, all, never_started, session, vault));
}

pub(crate) fn abandoned_lease_iterator(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    let lease = step_up(child, &session);
    let mut batch = Batch::new();
    for number in 0..40 {
        batch.put(child.record(Class::Priority, number, 700));
    }
    lease.commit(&batch).unwrap();
    drop(batch);
    let kind = child.kind(Class::Priority);
    let mut matches = lease.query(&Query::new().kind(kind.text()));
    drop(kind);
    assert!(child.is_body(Class::Priority, matches.next().unwrap().unwrap().body()));
    child.stop("lease");
    drop(lease);
    child.stop("open");
    assert_eq!(
        matches.next().unwrap().unwrap_err().kind(),
        ErrorKind::LeaseExpired
    );
    drop(matches);
    lock(child, vault, session);
}

pub(crate) fn cursors(child: &Child) {
    let vault = child.open();
    let session = unlock(child, &vault);
    fill(child, &session);
    let kind = child.kind(Class::Standard);
    let query = Query::new().kind(kind.text()).newest_first();
    let mut seen = 0;
    let mut page = session.query(&query);
    loop {
        seen += page.by_ref().take(7).map(Result::unwrap).count();
        let Some(cursor) = page.cursor().unwrap().filter(|_| seen < 20) else {
            break;
        };
        page = session.query_after(&query, &cursor).unwrap();
    }
    assert_eq!(seen, 20);
    let cursor = page.cursor().unwrap().unwrap();
    drop((query, kind));
    child.stop("open");
    session.lock();
    child.stop("locked");
    drop((page, cursor, session, vault));
    child.stop("locked");
}
