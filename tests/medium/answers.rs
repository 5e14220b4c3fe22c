//! Everything that a vault answers, question by question, so that two vaults can be compared and a
//! wrong answer is told from a refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use vitalock::{
    AuditQuery, Class, Credentials, ErrorKind, Matches, Query, Record, RecordId, Result, Session,
    Timestamp, Vault,
};

use crate::support::fixture::Twin;

/// What is asked of every class. The same questions are put to every vault that is compared.
#[derive(Clone, Default)]
pub(crate) struct Questions {
    pub(crate) ids: Vec<(Class, RecordId)>,
    pub(crate) kinds: BTreeSet<String>,
    pub(crate) subjects: BTreeSet<String>,
    pub(crate) contents: BTreeSet<String>,
    pub(crate) effective: Option<Timestamp>,
    pub(crate) updated: Option<Timestamp>,
}

/// One answer: what was said, and the failure that ended it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) said: Vec<Line>,
    pub(crate) failure: Option<ErrorKind>,
}

/// A record, all its fields, or a number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) struct Line(String);

/// The answers of one class.
pub(crate) type Answers = BTreeMap<String, Answer>;

/// The answers of all three, lowest first.
pub(crate) type All = [Answers; 3];

/// What a class's answers are in comparison with the right ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Every question was answered, and as it should be.
    Right,
    /// Some were refused, with these kinds; the others were answered as they should be.
    Refused(Vec<ErrorKind>),
    /// This question was answered otherwise.
    Wrong(String),
}

impl Questions {
    /// Opens a vault and asks everything. Where a step on the way in fails, so do all the answers
    /// behind it.
    pub(crate) fn ask(&self, dir: &Path) -> All {
        match Vault::open(dir).and_then(|vault| vault.unlock(&Credentials::share(&Twin))) {
            Ok(session) => self.ask_session(&session),
            Err(error) => Class::ALL.map(|class| self.all_refused(class, error.kind())),
        }
    }

    /// The same of an open session, with a lease.
    pub(crate) fn ask_session(&self, session: &Session) -> All {
        match session.step_up(&Credentials::share(&Twin)) {
            Ok(lease) => Class::ALL.map(|class| self.ask_class(&lease, class)),
            Err(error) => Class::ALL.map(|class| match class {
                Class::Priority => self.all_refused(class, error.kind()),
                _ => self.ask_class(session, class),
            }),
        }
    }

    pub(crate) fn ask_class(&self, session: &Session, class: Class) -> Answers {
        let number =
            |count: Result<u64>| Answer::of(count.map(|count| vec![Line(count.to_string())]));
        self.each(class, |question| match question {
            Question::List(query) => list(session.query(&query)),
            Question::Count(query) => number(session.count(&query)),
            // The first of a page of entries, all of which are opened for it.
            Question::Trail => {
                let first = session.audit_trail(&AuditQuery::new().class(class)).next();
                let first = first.expect("every trail has a first entry");
                Answer::of(first.map(|entry| vec![Line(format!("{entry:?} {:?}", entry.at()))]))
            }
            Question::Record(id) => Answer::of(
                session
                    .get(id)
                    .map(|found| found.iter().map(Line::of).collect()),
            ),
            Question::History(id) => match session.history(id) {
                // Of a record that is not there, in an earlier state, nothing can be asked.
                Err(error) if error.kind() == ErrorKind::NotFound => Answer::of(Ok(Vec::new())),
                history => Answer::of(history.map(|found| found.iter().map(Line::of).collect())),
            },
        })
    }

    fn all_refused(&self, class: Class, kind: ErrorKind) -> Answers {
        self.each(class, |_| Answer {
            said: Vec::new(),
            failure: Some(kind),
        })
    }

    fn each(&self, class: Class, ask: impl Fn(Question) -> Answer) -> Answers {
        let mut answers = Answers::new();
        let mut put = |name: String, question| {
            answers.insert(name, ask(question));
        };
        let all = || Query::new().class(class);
        put("newest first".into(), Question::List(all().newest_first()));
        put(
            "first updated first".into(),
            Question::List(all().first_updated_first()),
        );
        put("how many".into(), Question::Count(all()));
        put("trail".into(), Question::Trail);
        for subject in &self.subjects {
            let about = || all().subject(subject);
            put(format!("about {subject}"), Question::List(about()));
            put(
                format!("how many about {subject}"),
                Question::Count(about()),
            );
            for kind in &self.kinds {
                let both = about().kind(kind);
                put(
                    format!("how many {kind} about {subject}"),
                    Question::Count(both),
                );
            }
        }
        for kind in &self.kinds {
            put(
                kind.clone(),
                Question::List(all().kind(kind).oldest_first()),
            );
            put(
                format!("how many {kind}"),
                Question::Count(all().kind(kind)),
            );
        }
        for content in &self.contents {
            let query = all().content_type(content);
            put(format!("how many as {content}"), Question::Count(query));
        }
        if let Some(at) = self.effective {
            put(
                "from then".into(),
                Question::Count(all().effective_from(at)),
            );
            put(
                "until then".into(),
                Question::List(all().effective_until(at)),
            );
        }
        if let Some(at) = self.updated {
            put("since then".into(), Question::List(all().updated_since(at)));
        }
        for (_, id) in self.ids.iter().filter(|(of, _)| *of == class) {
            put(format!("record {id:?}"), Question::Record(*id));
            put(format!("earlier {id:?}"), Question::History(*id));
        }
        answers
    }
}

enum Question {
    List(Query),
    Count(Query),
    Trail,
    Record(RecordId),
    History(RecordId),
}

impl Answer {
    fn of(answer: Result<Vec<Line>>) -> Self {
        match answer {
            Ok(said) => Self {
                said,
                failure: None,
            },
            Err(error) => Self {
                said: Vec::new(),
                failure: Some(error.kind()),
            },
        }
    }
}

impl Line {
    pub(crate) fn of(record: &Record) -> Self {
        let mut hasher = DefaultHasher::new();
        record.body().hash(&mut hasher);
        Self(format!(
            "{:?} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {:016x}",
            record.id(),
            record.revision(),
            record.kind(),
            record.protection_class(),
            record.subject_name(),
            record.created().map(Timestamp::to_micros),
            record.updated().map(Timestamp::to_micros),
            record.effective_time(),
            record.expiry(),
            record.body_type(),
            record.client_identity(),
            record.source_device(),
            record.source_app(),
            hasher.finish(),
        ))
    }
}

fn list(matches: Matches) -> Answer {
    let mut answer = Answer::of(Ok(Vec::new()));
    for record in matches {
        match record {
            Ok(record) => answer.said.push(Line::of(&record)),
            Err(error) => {
                answer.failure = Some(error.kind());
                break;
            }
        }
    }
    answer
}

/// Compares answer by answer. A list that breaks off must be right as far as it goes.
pub(crate) fn compare(answers: &Answers, right: &Answers) -> Verdict {
    assert!(
        answers.keys().eq(right.keys()),
        "the questions are the same"
    );
    let mut kinds = Vec::new();
    for (question, answer) in answers {
        let truth = &right[question];
        assert_eq!(truth.failure, None, "{question}");
        let agrees = match answer.failure {
            None => answer.said == truth.said,
            Some(kind) => {
                kinds.push(kind);
                truth.said.starts_with(&answer.said)
            }
        };
        if !agrees {
            return Verdict::Wrong(format!("{question}: {answer:?} instead of {truth:?}"));
        }
    }
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    kinds.dedup();
    if kinds.is_empty() {
        Verdict::Right
    } else {
        Verdict::Refused(kinds)
    }
}

/// Every record and earlier revision that is in the answers.
pub(crate) fn records(answers: &Answers) -> BTreeSet<Line> {
    let told = answers
        .iter()
        .filter(|(question, _)| !question.starts_with("how many") && *question != "trail");
    let told = told.filter(|(question, _)| *question != "from then");
    told.flat_map(|(_, answer)| answer.said.iter().cloned())
        .collect()
}
