//! What the stores are asked.

use super::super::fhir_peer::task::EVERYTHING;
use super::resources::Resources;

/// One kind of search, asked with other words from round to round.
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) page: u64,
    /// How many searches a round has.
    each: usize,
    pub(crate) searches: Vec<String>,
}

impl Question {
    fn new(name: &str, title: &str, each: usize, searches: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            page: 1,
            each,
            searches,
        }
    }

    /// A later page of those of the searches that have one.
    pub(crate) fn late(&self, page: u64, searches: Vec<String>) -> Self {
        Self {
            name: format!("{}_page_{page}", self.name),
            title: format!("the {page}th page of the same"),
            page,
            each: 1,
            searches,
        }
    }

    pub(crate) fn of_round(&self, round: u64) -> Vec<String> {
        let first = round as usize * self.each;
        let asked = self
            .searches
            .iter()
            .cycle()
            .skip(first % self.searches.len());
        asked.take(self.each).cloned().collect()
    }

    /// One that stands for all.
    pub(crate) fn example(&self) -> &str {
        &self.searches[0]
    }
}

const COUNT: &str = "_count=50";
const LATEST: &str = "_sort=-date&_count=50";

pub(crate) fn questions(resources: &Resources) -> Vec<Question> {
    let patients = || spread(&resources.patients, 220);
    let families = || patients().map(|patient| &patient.family);
    let common = || resources.codes.iter().take(10).map(|(code, _)| code);
    let middle = resources.codes.len() / 3;
    let rarer = resources.codes.iter().skip(middle).take(10);
    let observed = spread(&resources.observed, 220);
    vec![
        Question::new(
            "identifier",
            "by identifier",
            20,
            patients()
                .map(|patient| format!("Patient?identifier={}&{COUNT}", patient.identifier))
                .collect(),
        ),
        Question::new(
            "family",
            "by the first three letters of a family name",
            20,
            families()
                .map(|family| family.chars().take(3).collect::<String>())
                .map(|start| format!("Patient?family={start}&{COUNT}"))
                .collect(),
        ),
        Question::new(
            "patient_code",
            "a patient's by code, latest first",
            20,
            observed
                .map(|(of, code)| format!("Observation?patient={of}&code={code}&{LATEST}"))
                .collect(),
        ),
        Question::new(
            "code",
            "everybody's by code, latest first",
            2,
            common()
                .map(|code| format!("Observation?code={code}&{LATEST}"))
                .collect(),
        ),
        Question::new(
            "code_date",
            "by code, since 2015, latest first",
            2,
            common()
                .map(|code| format!("Observation?code={code}&date=ge2015-01-01T00:00:00Z&{LATEST}"))
                .collect(),
        ),
        Question::new(
            "chained",
            "chained, by the patient's family name",
            2,
            families()
                .map(|family| format!("Observation?patient.family={family}&{COUNT}"))
                .collect(),
        ),
        Question::new(
            "has",
            "`_has`, patients by what was observed",
            2,
            rarer
                .map(|(code, _)| format!("Patient?_has:Observation:patient:code={code}&{COUNT}"))
                .collect(),
        ),
        Question::new(
            "chained_latest",
            "chained, by the patient's gender, latest first",
            1,
            ["female", "male"]
                .map(|gender| format!("Observation?patient.gender={gender}&{LATEST}"))
                .to_vec(),
        ),
        Question::new(
            "final",
            "all that are final, latest first",
            1,
            vec![format!("Observation?status=final&{LATEST}")],
        ),
        Question::new(
            "everything",
            "everything about a patient",
            1,
            patients()
                .map(|patient| format!("Patient/{}{EVERYTHING}", patient.id))
                .collect(),
        ),
    ]
}

/// The types and ids to read in a round.
pub(crate) fn names(resources: &Resources, round: u64) -> Vec<String> {
    let from = round as usize * 31;
    let names = spread(&resources.names[from.min(resources.names.len() / 2)..], 200);
    names.cloned().collect()
}

/// So many, at equal distances.
fn spread<T>(all: &[T], many: usize) -> impl Iterator<Item = &T> {
    all.iter().step_by((all.len() / many).max(1)).take(many)
}
