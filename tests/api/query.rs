//! Queries: every combination of conditions and orders beside a plain search through a list, pages,
//! cursors, and what becomes of them while records come and go.

use std::collections::BTreeSet;

use vitalock::{
    Batch, Class, Cursor, ErrorKind, Lease, Query, Record, RecordId, Session, Timestamp, Vault,
};

use crate::support::Scratch;
use crate::support::fixture::{make_quick_vault, step_up, unlock};

/// What the list knows of a record, in the order in which it was put.
#[derive(Clone)]
struct Known {
    id: RecordId,
    class: Class,
    kind: &'static str,
    subject: Option<&'static str>,
    content: &'static str,
    start: Option<i64>,
    updated: i64,
    expired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sorting {
    Default,
    NewestFirst,
    OldestFirst,
    LastUpdatedFirst,
    FirstUpdatedFirst,
}

#[derive(Clone, Debug)]
struct Asked {
    class: Option<Class>,
    kind: Option<&'static str>,
    subject: Option<&'static str>,
    content: Option<&'static str>,
    from: Option<i64>,
    until: Option<i64>,
    since: Option<i64>,
    sorting: Sorting,
}

const ANYTHING: Asked = Asked {
    class: None,
    kind: None,
    subject: None,
    content: None,
    from: None,
    until: None,
    since: None,
    sorting: Sorting::Default,
};

impl Asked {
    fn query(&self) -> Query {
        let mut query = Query::new();
        if let Some(class) = self.class {
            query = query.class(class);
        }
        if let Some(kind) = self.kind {
            query = query.kind(kind);
        }
        if let Some(subject) = self.subject {
            query = query.subject(subject);
        }
        if let Some(content) = self.content {
            query = query.content_type(content);
        }
        if let Some(from) = self.from {
            query = query.effective_from(Timestamp::from_micros(from));
        }
        if let Some(until) = self.until {
            query = query.effective_until(Timestamp::from_micros(until));
        }
        if let Some(since) = self.since {
            query = query.updated_since(Timestamp::from_micros(since));
        }
        match self.sorting {
            Sorting::Default => query,
            Sorting::NewestFirst => query.newest_first(),
            Sorting::OldestFirst => query.oldest_first(),
            Sorting::LastUpdatedFirst => query.last_updated_first(),
            Sorting::FirstUpdatedFirst => query.first_updated_first(),
        }
    }

    fn wants(&self, known: &Known) -> bool {
        let dated = self.from.is_none() && self.until.is_none() || known.start.is_some();
        !known.expired
            && dated
            && self.class.is_none_or(|class| class == known.class)
            && self.kind.is_none_or(|kind| kind == known.kind)
            && (self.subject.is_none() || self.subject == known.subject)
            && self.content.is_none_or(|content| content == known.content)
            && self.from.is_none_or(|from| known.start.unwrap() >= from)
            && self.until.is_none_or(|until| known.start.unwrap() < until)
            && self.since.is_none_or(|since| known.updated >= since)
    }

    /// The answer by looking at everything.
    fn answer(&self, all: &[Known]) -> Vec<RecordId> {
        let (by_start, descending) = match (self.sorting, self.since) {
            (Sorting::Default, None) | (Sorting::NewestFirst, _) => (true, true),
            (Sorting::OldestFirst, _) => (true, false),
            (Sorting::LastUpdatedFirst, _) => (false, true),
            (Sorting::Default, Some(_)) | (Sorting::FirstUpdatedFirst, _) => (false, false),
        };
        let mut found: Vec<(i64, Class, usize)> = Vec::new();
        for (at, known) in all
            .iter()
            .enumerate()
            .filter(|(_, known)| self.wants(known))
        {
            let start = known.start.unwrap_or(i64::MIN);
            found.push((
                if by_start { start } else { known.updated },
                known.class,
                at,
            ));
        }
        found.sort_unstable();
        if descending {
            found.reverse();
        }
        found.into_iter().map(|(.., at)| all[at].id).collect()
    }
}

const KINDS: [&str; 3] = ["Observation", "Condition", "Note"];
const SUBJECTS: [Option<&str>; 3] = [Some("Patient/1"), Some("Patient/2"), None];
const CONTENTS: [&str; 2] = ["application/fhir+json", "text/plain"];

/// A vault with `count` records over three classes: many with equal times, some before 1970, some
/// with none, some expired.
fn populated(count: usize) -> (Scratch, Vault, Vec<Known>) {
    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let mut all = Vec::new();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % bound).unwrap()
    };
    let mut batch = Batch::new();
    for at in 0..count {
        let (class, kind) = (Class::ALL[below(3)], KINDS[below(3)]);
        let (subject, content) = (SUBJECTS[below(3)], CONTENTS[below(2)]);
        let start = match below(6) {
            0 => None,
            1 => Some(i64::MIN + 1),
            2 => Some(i64::MAX),
            _ => Some(below(9) as i64 * 1000 - 4000),
        };
        let expired = below(20) == 0;
        let mut record = Record::new(kind, format!("record {at}").as_str()).class(class);
        record = record.content_type(content);
        if let Some(subject) = subject {
            record = record.subject(subject);
        }
        if let Some(start) = start {
            let end = if below(2) == 0 { start } else { i64::MAX };
            record =
                record.effective_during(Timestamp::from_micros(start), Timestamp::from_micros(end));
        }
        if expired {
            record = record.expires(Timestamp::from_micros(1));
        } else if below(3) == 0 {
            record = record.expires(Timestamp::from_micros(i64::MAX));
        }
        batch.put(record);
        all.push(Known {
            id: RecordId::from_bytes([0; 16]),
            class,
            kind,
            subject,
            content,
            start,
            updated: 0,
            expired,
        });
    }
    let stored = lease.commit(&batch).unwrap();
    for (known, stored) in all.iter_mut().zip(stored) {
        known.id = stored.id;
        if !known.expired {
            let record = lease.get(stored.id).unwrap().unwrap();
            known.updated = record.updated().unwrap().to_micros();
        }
    }
    drop(lease);
    session.lock();
    (scratch, vault, all)
}

fn ids(session: &Session, query: &Query) -> Vec<RecordId> {
    let found = session.query(query);
    found.map(|record| record.unwrap().id().unwrap()).collect()
}

#[test]
fn every_combination_of_conditions_and_orders_finds_what_a_plain_search_finds() {
    let soak = std::env::var_os("VITALOCK_SOAK").is_some_and(|value| value == "1");
    let (_scratch, vault, all) = populated(if soak { 5000 } else { 1000 });
    let session = unlock(&vault);
    let lease = step_up(&session);
    let middle = all[all.len() / 2].updated;
    let mut classes = vec![None];
    classes.extend(Class::ALL.map(Some));
    let (mut asked, mut met) = (0, 0);
    for class in classes {
        for kind in [None, Some("Observation"), Some("Unheard-of")] {
            for subject in [None, Some("Patient/1"), Some("Patient/9")] {
                for content in [None, Some("text/plain")] {
                    for from in [None, Some(-1000)] {
                        for until in [None, Some(2000)] {
                            for since in [None, Some(middle)] {
                                for sorting in [
                                    Sorting::Default,
                                    Sorting::NewestFirst,
                                    Sorting::OldestFirst,
                                    Sorting::LastUpdatedFirst,
                                    Sorting::FirstUpdatedFirst,
                                ] {
                                    let one = Asked {
                                        class,
                                        kind,
                                        subject,
                                        content,
                                        from,
                                        until,
                                        since,
                                        sorting,
                                    };
                                    let expected = one.answer(&all);
                                    let query = one.query();
                                    assert!(ids(&lease, &query) == expected, "{one:?}");
                                    let count = lease.count(&query).unwrap();
                                    assert_eq!(count, expected.len() as u64, "{one:?}");
                                    asked += 1;
                                    met += expected.len();
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(
        asked == 4 * 3 * 3 * 2 * 2 * 2 * 2 * 5 && met > 10_000,
        "{asked} {met}"
    );
}

#[test]
fn the_ends_of_time_and_empty_stretches_are_found_exactly() {
    let (_scratch, vault, all) = populated(300);
    let session = unlock(&vault);
    let lease = step_up(&session);
    for (from, until) in [
        (Some(i64::MIN), None),
        (None, Some(i64::MIN)),
        (Some(i64::MAX), None),
        (None, Some(i64::MAX)),
        (Some(i64::MIN + 1), Some(i64::MIN + 2)),
        (Some(1000), Some(1000)),
        (Some(2000), Some(1000)),
    ] {
        let asked = Asked {
            from,
            until,
            ..ANYTHING
        };
        assert!(
            ids(&lease, &asked.query()) == asked.answer(&all),
            "{asked:?}"
        );
    }
    for since in [i64::MIN, 0, i64::MAX] {
        let asked = Asked {
            since: Some(since),
            ..ANYTHING
        };
        assert!(
            ids(&lease, &asked.query()) == asked.answer(&all),
            "{asked:?}"
        );
    }
    // A session that has not stepped up finds and counts nothing of Priority.
    let below = all.iter().filter(|known| known.class != Class::Priority);
    let below: Vec<Known> = below.cloned().collect();
    assert!(ids(&session, &ANYTHING.query()) == ANYTHING.answer(&below));
    assert_eq!(
        session.count(&Query::new().class(Class::Priority)).unwrap(),
        0
    );
}

#[test]
fn pages_of_every_size_are_the_whole_cut_in_pieces() {
    let (_scratch, vault, all) = populated(400);
    let session = unlock(&vault);
    let lease = step_up(&session);
    for asked in [
        ANYTHING,
        Asked {
            sorting: Sorting::OldestFirst,
            ..ANYTHING
        },
        Asked {
            sorting: Sorting::FirstUpdatedFirst,
            ..ANYTHING
        },
        Asked {
            subject: Some("Patient/1"),
            from: Some(-9000),
            ..ANYTHING
        },
        Asked {
            kind: Some("Note"),
            sorting: Sorting::LastUpdatedFirst,
            ..ANYTHING
        },
    ] {
        let expected = asked.answer(&all);
        for size in [1, 2, 3, 31, 32, 33, 100, 1000] {
            let mut found = Vec::new();
            let mut cursor: Option<Cursor> = None;
            loop {
                let mut page = match &cursor {
                    None => lease.query(&asked.query()),
                    Some(cursor) => {
                        let text = Cursor::from_text(cursor.as_text());
                        lease.query_after(&asked.query(), &text).unwrap()
                    }
                };
                let before = found.len();
                let next = page.by_ref().take(size);
                found.extend(next.map(|record| record.unwrap().id().unwrap()));
                if found.len() == before {
                    break;
                }
                cursor = page.cursor().unwrap();
            }
            assert!(found == expected, "{asked:?} by {size}");
        }
    }
}

#[test]
fn a_cursor_goes_on_after_locking_and_in_another_process_s_handle() {
    let (scratch, vault, all) = populated(100);
    let expected = ANYTHING.answer(&all);
    let mut vault = Some(vault);
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let open = vault.get_or_insert_with(|| Vault::open(scratch.vault()).unwrap());
        let session = unlock(open);
        let lease = step_up(&session);
        let mut page = match &cursor {
            None => lease.query(&Query::new()),
            Some(cursor) => lease.query_after(&Query::new(), cursor).unwrap(),
        };
        let next: Vec<_> = page
            .by_ref()
            .take(17)
            .map(|record| record.unwrap().id())
            .collect();
        if next.is_empty() {
            break;
        }
        found.extend(next.into_iter().flatten());
        cursor = page.cursor().unwrap();
        drop(lease);
        session.lock();
        if found.len() % 2 == 0 {
            drop((session, page));
            vault = None;
        }
    }
    assert!(found == expected);
}

#[test]
fn what_stays_is_met_once_while_other_records_come_go_and_change() {
    let (_scratch, vault, all) = populated(600);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let by_place = |asked: &Asked| asked.answer(&all);
    let asked = Asked {
        sorting: Sorting::OldestFirst,
        ..ANYTHING
    };
    let expected = by_place(&asked);
    let (gone, stays): (BTreeSet<_>, BTreeSet<_>) = expected
        .iter()
        .copied()
        .partition(|id| id.to_bytes()[0] % 3 == 0);
    let mut to_erase: Vec<RecordId> = gone.iter().copied().collect();
    let mut found = Vec::new();
    let mut matches = lease.query(&asked.query());
    let mut steps = 0_i64;
    while let Some(record) = matches.next() {
        let record = record.unwrap();
        let new = record.kind() == "New";
        if !new {
            found.push(record.id().unwrap());
        }
        steps += 1;
        disturb(&lease, &mut to_erase, steps);
        if steps % 25 == 0 {
            let cursor = matches.cursor().unwrap().unwrap();
            matches = lease.query_after(&asked.query(), &cursor).unwrap();
        }
        assert!(steps < 10_000, "it comes to an end");
    }
    let kept: Vec<_> = found
        .iter()
        .filter(|id| stays.contains(id))
        .copied()
        .collect();
    let wanted: Vec<_> = expected
        .iter()
        .filter(|id| stays.contains(id))
        .copied()
        .collect();
    assert!(kept == wanted, "what stayed was met once, in order");
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "nothing was met twice");
}

/// Puts a record at some time and erases one of those that are to go.
fn disturb(lease: &Lease, to_erase: &mut Vec<RecordId>, step: i64) {
    if step % 2 == 0 && step < 600 {
        let at = Timestamp::from_micros(step % 9 * 1000 - 4000);
        let class = Class::ALL[usize::try_from(step / 2 % 3).unwrap()];
        lease
            .put(Record::new("New", "x").class(class).effective(at))
            .unwrap();
    } else if let Some(id) = to_erase.pop() {
        lease.erase(id).unwrap();
    }
}

#[test]
fn a_cursor_of_another_query_vault_or_hand_is_refused() {
    let (_scratch, vault, _) = populated(20);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let base = || {
        Query::new()
            .kind("Note")
            .subject("Patient/1")
            .updated_since(at(1))
    };
    let cursor_of = |query: &Query| {
        let mut matches = lease.query(query);
        matches.next().unwrap().unwrap();
        matches.cursor().unwrap().unwrap()
    };
    assert!(
        lease.query(&base()).cursor().unwrap().is_none(),
        "nothing was handed out yet"
    );
    let cursor = cursor_of(&base());
    assert!(lease.query_after(&base(), &cursor).is_ok());
    let refused = |session: &Session, query: &Query, cursor: &Cursor| {
        let error = session.query_after(query, cursor).err();
        error.map(|error| error.kind()) == Some(ErrorKind::InvalidCursor)
    };
    for other in [
        Query::new(),
        base().class(Class::Standard),
        base().kind("Notes"),
        base().subject("Patient/2"),
        base().content_type("text/plain"),
        base().effective_from(at(1)),
        base().effective_until(at(1)),
        base().updated_since(at(2)),
        base().newest_first(),
        base().oldest_first(),
        base().last_updated_first(),
    ] {
        assert!(refused(&lease, &other, &cursor), "of another query");
    }
    // The same question, spelt with the order it has anyway.
    assert!(
        lease
            .query_after(&base().first_updated_first(), &cursor)
            .is_ok()
    );

    let text = cursor.as_text();
    for place in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
        let damaged = Cursor::from_text(std::str::from_utf8(&bytes).unwrap());
        assert!(refused(&lease, &base(), &damaged), "changed at {place}");
    }
    for other in [
        "",
        "00",
        "not a cursor",
        text.strip_suffix(|_: char| true).unwrap(),
        &format!("{text}00"),
        &text.to_uppercase(),
    ] {
        assert!(
            refused(&lease, &base(), &Cursor::from_text(other)),
            "{other}"
        );
    }

    let (_elsewhere, other_vault, _) = populated(20);
    let other = unlock(&other_vault);
    assert!(refused(&other, &base(), &cursor), "of another vault");
    // A cursor of the same length says nothing of where it stands.
    assert_eq!(cursor_of(&Query::new()).as_text().len(), text.len());
    session.lock();
    assert_eq!(
        session.query_after(&base(), &cursor).unwrap_err().kind(),
        ErrorKind::Locked
    );
}

#[test]
fn an_iterator_ends_after_its_first_error_and_an_ended_lease_takes_it_along() {
    let (_scratch, vault, _) = populated(100);
    let session = unlock(&vault);
    let lease = step_up(&session);
    let mut with_priority = lease.query(&Query::new());
    let mut without = session.query(&Query::new());
    with_priority.next().unwrap().unwrap();
    without.next().unwrap().unwrap();
    drop(lease);
    let error = with_priority.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseExpired);
    assert!(with_priority.next().is_none());
    without.next().unwrap().unwrap();
    session.lock();
    assert_eq!(
        without.next().unwrap().unwrap_err().kind(),
        ErrorKind::Locked
    );
    assert!(without.next().is_none());
    assert_eq!(without.cursor().unwrap_err().kind(), ErrorKind::Locked);
}

/// Sixty megabytes are read through; the process never holds more than a part of them.
#[cfg(target_os = "linux")]
#[test]
fn reading_through_a_large_store_takes_little_memory() {
    use std::process::Command;

    let scratch = Scratch::new();
    let vault = make_quick_vault(&scratch.vault(), false);
    let session = unlock(&vault);
    for part in 0..10_u8 {
        let records = (0..60).map(|_| Record::new("Scan", vec![part; 100_000]));
        session.commit(&records.collect()).unwrap();
    }
    drop((session, vault));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["query::a_process_that_reads_through_a_store", "--exact"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env("VITALOCK_READ_THROUGH", scratch.vault())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("read through 60000000 bytes"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "the other process of reading_through_a_large_store_takes_little_memory"]
fn a_process_that_reads_through_a_store() {
    let Some(dir) = std::env::var_os("VITALOCK_READ_THROUGH") else {
        return;
    };
    let vault = Vault::open(dir).unwrap();
    let session = unlock(&vault);
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    };
    let before = peak();
    let mut read = 0;
    for record in session.query(&Query::new()) {
        read += record.unwrap().body().len();
    }
    println!("read through {read} bytes");
    let grown = peak() - before;
    assert!(grown < 24_000_000, "{grown}");
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}
