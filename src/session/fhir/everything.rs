//! Everything about a patient.

use std::collections::BTreeSet;
use std::fmt;

use super::FhirStore;
use crate::error::{Error, ErrorKind, Result};
use crate::fhir::search::{Definition, compartment, is_in_compartment, names};
use crate::fhir::{Text, is_id, references};
use crate::records::Record;
use crate::secret::SecretText;
use crate::session::matches::Matches;

/// What FHIR's `$everything` gives of a patient, one resource at a time: see
/// [`FhirStore::everything`].
///
/// It keeps the names of the resources outside the compartment that it has met, and no other.
#[must_use = "nothing is read before it is asked for"]
pub struct Everything {
    store: FhirStore,
    patient: SecretText,
    /// What is still to be searched, the next last.
    steps: Vec<(&'static str, Vec<&'static Definition>, usize)>,
    matches: Option<Matches>,
    /// What has been searched of this type: what it finds was handed out.
    done: Vec<&'static Definition>,
    /// What is found is in the compartment, and not asked for by its name.
    by_link: bool,
    met: BTreeSet<SecretText>,
    waiting: BTreeSet<SecretText>,
    ended: bool,
}

impl FhirStore {
    /// Everything about a patient, such as `Patient/p1`: the Patient, what the official definition
    /// puts in its compartment, by type and each type by its effective time, latest first, and then
    /// what those refer to outside of it, such as Practitioners and Medications, and what these refer to.
    /// No resource comes twice.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) where there is no such Patient; those of the store.
    pub fn everything(&self, patient: &str) -> Result<Everything> {
        let id = patient.strip_prefix("Patient/").filter(|id| is_id(id));
        let id = id.ok_or(ErrorKind::NotFound)?;
        if self.search_count(&Text::joined(&["Patient?_id=", id]))? == 0 {
            return Err(ErrorKind::NotFound.into());
        }
        let steps = compartment().flat_map(|(kind, definitions)| {
            let count = definitions.len();
            (0..count).map(move |at| (kind, definitions.clone(), at))
        });
        let mut steps: Vec<_> = steps.collect();
        steps.reverse();
        let patient = SecretText::copy_of(patient);
        Ok(Everything {
            store: self.again(),
            steps,
            matches: None,
            done: Vec::new(),
            by_link: false,
            met: BTreeSet::from([patient.clone()]),
            waiting: BTreeSet::from([patient.clone()]),
            patient,
            ended: false,
        })
    }
}

impl Everything {
    fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            let Some(matches) = &mut self.matches else {
                match self.next_search()? {
                    Some(matches) => self.matches = Some(matches),
                    None => return Ok(None),
                }
                continue;
            };
            let Some(record) = matches.next().transpose()? else {
                self.matches = None;
                continue;
            };
            let json = std::str::from_utf8(record.body()).unwrap_or_default();
            let is_patient = || {
                let named = names(record.kind(), None, json);
                named.iter().any(|named| **named == *self.patient.expose())
            };
            let mut earlier = self.done.iter();
            if self.by_link && is_patient() {
                // A Patient may be linked to itself.
                continue;
            }
            if earlier.any(|definition| self.refers(record.kind(), definition, json)) {
                continue;
            }
            for named in references(json) {
                let kind = named.split('/').next().unwrap_or_default();
                let named = SecretText::copy_of(&named);
                if !is_in_compartment(kind) && self.met.insert(named.clone()) {
                    self.waiting.insert(named);
                }
            }
            return Ok(Some(record));
        }
    }

    /// The Patient first, then its compartment, then what is outside.
    fn next_search(&mut self) -> Result<Option<Matches>> {
        self.done.clear();
        self.by_link = !self.waiting.contains(&self.patient) && !self.steps.is_empty();
        if !self.by_link {
            let Some(named) = self.waiting.pop_first() else {
                return Ok(None);
            };
            let (kind, id) = named.expose().split_once('/').unwrap_or_default();
            return self
                .store
                .search(&Text::joined(&[kind, "?_id=", id]))
                .map(Some);
        }
        let Some((kind, definitions, at)) = self.steps.pop() else {
            return Ok(None);
        };
        let (earlier, rest) = definitions.split_at_checked(at).unwrap_or_default();
        let Some(definition) = rest.first() else {
            return Ok(None);
        };
        self.done.extend(earlier);
        let search = Text::joined(&[kind, "?", definition.code, "=", self.patient.expose()]);
        self.store.search(&search).map(Some)
    }

    fn refers(&self, kind: &str, definition: &Definition, json: &str) -> bool {
        let names = names(kind, Some(definition), json);
        names.iter().any(|named| **named == *self.patient.expose())
    }
}

impl Iterator for Everything {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        if self.ended {
            self.matches = None;
            self.met.clear();
            self.waiting.clear();
        }
        next
    }
}

impl fmt::Debug for Everything {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Everything(..)")
    }
}
