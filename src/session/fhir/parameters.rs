//! Search parameters that an app adds to the official ones.

use std::ops::ControlFlow;
use std::sync::PoisonError;

use super::store::FhirStore;
use crate::class::Class;
use crate::error::{ErrorKind, Result};
use crate::fhir::SearchParameter;
use crate::fhir::search::Parameters;
use crate::session::classes::OpenClasses;
use crate::session::transaction::{finish_earlier, in_one_transaction};

/// A search parameter of one type of resource that was added to the official ones.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AddedParameter {
    /// The canonical URL of its SearchParameter.
    pub url: String,
    /// What it is.
    pub parameter: SearchParameter,
    /// Whether resources can be searched by it in every class within reach. Where not, a search says
    /// [`SearchPending`](ErrorKind::SearchPending) until [`FhirStore::index`] is done.
    pub is_indexed: bool,
}

/// How far [`FhirStore::index`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Indexing {
    /// The class whose resources are looked at.
    pub class: Class,
    /// How many of them were looked at by this call.
    pub looked_at: u64,
    /// How many there are in the class, those that an earlier call looked at among them.
    pub resources: u64,
}

impl FhirStore {
    /// Adds a search parameter that R4 does not have: a SearchParameter resource in JSON, with `url`,
    /// `code`, `base`, `type` and `expression`, and `target` where it is a reference. One with the same
    /// `url` is replaced. Whether that changed anything: an app may add its parameters whenever it
    /// starts.
    ///
    /// Resources that are written from now on are found by it; those that are there once
    /// [`index`](Self::index) is done. Until then a search by it fails with
    /// [`SearchPending`](ErrorKind::SearchPending), and never finds a part.
    ///
    /// The definition is kept sealed in the vault. While the process lasts it is also kept in memory,
    /// where it is not wiped: an expression is not the place for what is secret.
    ///
    /// # Errors
    ///
    /// [`FhirMalformed`](ErrorKind::FhirMalformed) with the element's name,
    /// [`SearchUnsupported`](ErrorKind::SearchUnsupported) for a `type` of `composite` or `special` and
    /// for an `expression` beyond paths, unions, `as`, `ofType`, `where`, `resolve() is`, and
    /// `extension`; [`Conflict`](ErrorKind::Conflict) where a type has a parameter of that `code`;
    /// [`FhirTooMany`](ErrorKind::FhirTooMany) beyond 1,024 parameters of types, or 19,768 over the
    /// vault's life; those of the store.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn of(fhir: &vitalock::FhirStore) -> vitalock::Result<()> {
    /// use std::ops::ControlFlow;
    ///
    /// fhir.add_search_parameter(
    ///     br#"{"resourceType": "SearchParameter", "url": "https://example.org/sp/blood-group",
    ///          "code": "blood-group", "base": ["Patient"], "type": "token",
    ///          "expression": "Patient.extension('https://example.org/blood-group').value"}"#,
    /// )?;
    /// fhir.index(&mut |_| ControlFlow::Continue(()))?;
    /// let patients = fhir.search("Patient?blood-group=AB")?;
    /// # drop(patients);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_search_parameter(&self, definition: &[u8]) -> Result<bool> {
        self.change_parameters(|list| list.with(definition))
    }

    /// Takes away the search parameter of that canonical URL; whether there was one. A search by it is
    /// then invalid, and [`index`](Self::index) takes out what resources were found by.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn remove_search_parameter(&self, url: &str) -> Result<bool> {
        self.change_parameters(|list| Ok(list.without(url)))
    }

    /// The search parameters that were added, one for each type.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn added_search_parameters(&self) -> Result<Vec<AddedParameter>> {
        let (inner, reach) = (self.session.inner(), self.session.reach());
        inner.with(reach, |open| {
            let list = open.class(reach, Class::Standard)?.parameters();
            let mut all = Vec::with_capacity(list.added().len());
            for added in list.added() {
                let mut classes = open.within(reach);
                let required =
                    classes.try_for_each(|class| class.require_indexed(Some(added.definition)));
                let is_indexed = match required {
                    Err(error) if error.kind() == ErrorKind::SearchPending => false,
                    required => required.map(|()| true)?,
                };
                all.push(AddedParameter {
                    url: added.url.to_string(),
                    parameter: added.to_parameter(),
                    is_indexed,
                });
            }
            Ok(all)
        })
    }

    /// Finds the resources that are there by the search parameters as they are now, in every class
    /// within reach; at once where nothing was added or taken away since. The resources of Priority are
    /// for a [`Lease`](crate::Lease).
    ///
    /// `progress` is asked after each 256 records, which are durable then, and stops the job by
    /// [`ControlFlow::Break`]. The next call goes on from there, in another session too. Others read and
    /// write meanwhile.
    ///
    /// # Errors
    ///
    /// [`Cancelled`](ErrorKind::Cancelled), and those of the store.
    pub fn index(&self, progress: &mut dyn FnMut(Indexing) -> ControlFlow<()>) -> Result<()> {
        let (inner, reach) = (self.session.inner(), self.session.reach());
        for class in Class::ALL {
            let mut looked_at = 0;
            loop {
                let step = inner.changing(reach, |open| {
                    let Some(class) = open.within(reach).find(|open| open.class() == class) else {
                        return Ok(None);
                    };
                    let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
                    finish_earlier(open, &mut waiting)?;
                    let by = inner.actor(reach);
                    let done =
                        in_one_transaction(open, &[class], &by, &mut waiting, &mut |parts| {
                            let part = parts.first().ok_or(ErrorKind::LeaseRequired)?;
                            part.open.index_more(part.writing)
                        })?;
                    let (more, is_last) = done.value;
                    let resources = match is_last && more == 0 {
                        true => 0,
                        false => class.store.read(|reading| reading.resources())?,
                    };
                    Ok(Some((more, is_last, resources)))
                })?;
                let Some((more, is_last, resources)) = step else {
                    break;
                };
                looked_at += more;
                if is_last {
                    break;
                }
                let indexing = Indexing {
                    class,
                    looked_at,
                    resources,
                };
                if progress(indexing).is_break() {
                    return Err(ErrorKind::Cancelled.into());
                }
            }
        }
        Ok(())
    }

    fn change_parameters(
        &self,
        change: impl FnOnce(&Parameters) -> Result<Option<Parameters>>,
    ) -> Result<bool> {
        let (inner, reach) = (self.session.inner(), self.session.reach());
        inner.changing(reach, |open: &OpenClasses| {
            let standard = open.class(reach, Class::Standard)?;
            let mut waiting = inner.commit.lock().unwrap_or_else(PoisonError::into_inner);
            finish_earlier(open, &mut waiting)?;
            let Some(list) = change(&standard.parameters())? else {
                return Ok(false);
            };
            let by = inner.actor(reach);
            in_one_transaction(open, &[standard], &by, &mut waiting, &mut |parts| {
                let mut parts = parts.iter();
                parts.try_for_each(|part| part.open.write_parameters(part.writing, &list))
            })?;
            standard.tell_parameters(list);
            Ok(true)
        })
    }
}
