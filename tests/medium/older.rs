//! One page as it once was, in its own place: it opens. What comes of it, page by page.
//!
//! Nothing is ever answered that the vault did not hold at some time. But what it held may come
//! back, or go, one question at a time: that is for an anchor, or a hash over the rows, to notice.

use std::collections::{BTreeMap, BTreeSet};

use vitalock::{Class, ErrorKind};

use crate::answers::{Answers, Line, Verdict, compare, records};
use crate::populated::{Files, Place, populated};
use crate::support::fixture::DATABASES;
use crate::trees::{PAGE, Trees};

/// What a vault with one exchanged page answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// All that it should, or all that it once did.
    Whole,
    /// Some of it is refused; the rest is whole, or is of both times.
    Noticed,
    /// Something of both times, and nothing is refused.
    Unnoticed,
}

#[test]
fn an_older_page_brings_back_what_was_and_never_what_was_not() {
    let made = populated();
    let older = made.questions.ask(&Place::new(&made.before).dir());
    let outcomes = exchange(&made.closed, &made.before, &made.answers, &older);
    assert_unnoticed(
        &outcomes,
        &[
            "records_by_content",
            "records_by_kind",
            "records_by_start",
            "records_by_subject",
            "records_by_subject_kind",
            "sqlite_autoindex_records_1",
        ],
    );
}

/// The same the other way round: what an older copy of a file with one page of a newer one says.
#[test]
fn a_newer_page_brings_what_came_and_never_what_did_not() {
    let made = populated();
    let older = made.questions.ask(&Place::new(&made.before).dir());
    let outcomes = exchange(&made.before, &made.closed, &older, &made.answers);
    assert_unnoticed(
        &outcomes,
        &["records_by_content", "records_by_subject_kind"],
    );
}

type Outcomes = BTreeMap<String, BTreeSet<Outcome>>;

/// That pages of these trees went unnoticed and no others: none, once there is an anchor. Where
/// earlier revisions lie hangs on random identities, and so does what comes of them.
fn assert_unnoticed(outcomes: &Outcomes, trees: &[&str]) {
    let with = |wanted| {
        let with = outcomes
            .iter()
            .filter(move |(_, met)| met.contains(&wanted));
        let owners = with.map(|(owner, _)| owner.as_str());
        owners
            .filter(|owner| *owner != "revisions")
            .collect::<Vec<_>>()
    };
    assert_eq!(with(Outcome::Unnoticed), trees, "{outcomes:?}");
    for owner in ["(schema)", "records", "records_by_updated"] {
        assert!(with(Outcome::Noticed).contains(&owner), "{outcomes:?}");
    }
    for owner in ["(map)", "records_by_client", "records_by_expiry"] {
        assert!(with(Outcome::Whole).contains(&owner), "{outcomes:?}");
    }
}

/// Puts every page of `from` that is another into the place that it has in `base`.
fn exchange(
    base: &Files,
    from: &Files,
    base_answers: &[Answers; 3],
    others: &[Answers; 3],
) -> Outcomes {
    let made = populated();
    let place = Place::new(base);
    let mut outcomes = Outcomes::new();
    let mut exchanged = 0;
    for (at, (class, name)) in Class::ALL.into_iter().zip(DATABASES).enumerate() {
        place.put(base);
        let trees = Trees::of(&place.dir(), class);
        let pages = base[name].chunks(PAGE).zip(from[name].chunks(PAGE));
        for (page, (_, other)) in pages.enumerate().filter(|(_, (one, other))| one != other) {
            let mut changed = base[name].clone();
            changed[page * PAGE..][..PAGE].copy_from_slice(other);
            place.put(base);
            place.write(name, &changed);
            let owner = &trees.owners[page];
            let what = format!("{name}, page {}, {owner}", page + 1);
            let all = made.questions.ask(&place.dir());
            for (class, answers) in all.iter().enumerate() {
                if class != at {
                    let verdict = compare(answers, &base_answers[class]);
                    assert!(!matches!(verdict, Verdict::Wrong(_)), "{what}: {verdict:?}");
                }
            }
            let outcome = outcome(&all[at], &base_answers[at], &others[at], &what);
            outcomes.entry(owner.clone()).or_default().insert(outcome);
            exchanged += 1;
        }
    }
    assert!(exchanged > 40, "{exchanged} pages");
    outcomes
}

fn outcome(answers: &Answers, base: &Answers, other: &Answers, what: &str) -> Outcome {
    let held: BTreeSet<Line> = records(base).union(&records(other)).cloned().collect();
    assert!(records(answers).is_subset(&held), "{what}: never held");
    let failures: BTreeSet<_> = answers
        .values()
        .filter_map(|answer| answer.failure)
        .map(|kind| format!("{kind:?}"))
        .collect();
    let known =
        [ErrorKind::DatabaseDamaged, ErrorKind::TamperDetected].map(|kind| format!("{kind:?}"));
    assert!(
        failures.iter().all(|kind| known.contains(kind)),
        "{what}: {failures:?}"
    );
    let whole = [base, other]
        .iter()
        .any(|right| compare(answers, right) == Verdict::Right);
    match (whole, failures.is_empty()) {
        (true, _) => Outcome::Whole,
        (false, false) => Outcome::Noticed,
        (false, true) => Outcome::Unnoticed,
    }
}
