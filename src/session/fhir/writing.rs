//! Single writes, in the words of FHIR's RESTful API.

use super::interact::Done;
use super::plan::{Target, Verb, Write};
use super::{FhirStore, SavedResource};
use crate::error::{ErrorKind, Result};
use crate::secret::SecretText;

/// What has to be so for a write to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// The resource has this version (`If-Match`).
    IfMatch(u64),
    /// There is no such resource (`If-None-Match: *`).
    IfNoneMatch,
}

impl FhirStore {
    /// Creates a resource under a new id; one that it has is not kept.
    ///
    /// # Errors
    ///
    /// [`FhirMalformed`](ErrorKind::FhirMalformed), [`FhirTooDeep`](ErrorKind::FhirTooDeep) and
    /// [`FhirTooLarge`](ErrorKind::FhirTooLarge);
    /// [`LeaseRequired`](ErrorKind::LeaseRequired) for Priority; those of the store.
    pub fn create(&self, json: &[u8]) -> Result<SavedResource> {
        self.saved(Verb::Create { json, unless: None })
    }

    /// Creates a resource unless a search, such as `Patient?identifier=http://a.org|1`, finds one
    /// already (`If-None-Exist`): that one is then the answer. Nobody can create another in between.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create) and of [`search`](Self::search), and
    /// [`SearchAmbiguous`](ErrorKind::SearchAmbiguous).
    pub fn create_unless(&self, json: &[u8], search: &str) -> Result<SavedResource> {
        let unless = Some(SecretText::copy_of(search));
        self.saved(Verb::Create { json, unless })
    }

    /// Writes the next version of the resource whose type and id `json` has, or creates it under that
    /// id. Nothing is written where nothing would change but the version.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create), `FhirMalformed` also where there is no id, and
    /// [`Conflict`](ErrorKind::Conflict) where the precondition is not met.
    pub fn update(&self, json: &[u8], precondition: Precondition) -> Result<SavedResource> {
        let target = Target::Own;
        self.saved(Verb::Update {
            json,
            target,
            precondition,
        })
    }

    /// Updates what a search finds, which must be one resource. Where it finds none, the resource is
    /// created: under its own id where it has one that is free.
    ///
    /// # Errors
    ///
    /// Those of [`create_unless`](Self::create_unless), and [`Conflict`](ErrorKind::Conflict) where the
    /// resource has another id than the one that is found.
    pub fn update_where(&self, json: &[u8], search: &str) -> Result<SavedResource> {
        let target = Target::Where(SecretText::copy_of(search));
        let precondition = Precondition::None;
        self.saved(Verb::Update {
            json,
            target,
            precondition,
        })
    }

    /// Changes parts of a resource by a JSON Patch (RFC 6902). Every other byte of it stays as it is;
    /// numbers keep their precision.
    ///
    /// # Errors
    ///
    /// [`PatchFailed`](ErrorKind::PatchFailed) with the [place](crate::Error::json_path) of the
    /// operation, such as `[2]`; `FhirMalformed` where the patch is none;
    /// [`NotFound`](ErrorKind::NotFound); [`Conflict`](ErrorKind::Conflict) where the precondition is
    /// not met; those of the store. Nothing was changed then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn of(fhir: &vitalock::FhirStore) -> vitalock::Result<()> {
    /// use vitalock::Precondition;
    ///
    /// let patch = br#"[{"op": "test", "path": "/active", "value": true},
    ///                  {"op": "replace", "path": "/birthDate", "value": "1804-07-01"}]"#;
    /// fhir.patch("Patient/p1", patch, Precondition::None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn patch(
        &self,
        reference: &str,
        patch: &[u8],
        precondition: Precondition,
    ) -> Result<SavedResource> {
        let target = Target::Named(SecretText::copy_of(reference));
        self.saved(Verb::Patch {
            patch,
            target,
            precondition,
        })
    }

    /// Erases a resource with its earlier versions; whether there was one. As
    /// [`Session::erase`](crate::Session::erase) does it: nothing is left in the files.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) where the precondition is not met; those of the store.
    pub fn delete(&self, reference: &str, precondition: Precondition) -> Result<bool> {
        let target = Target::Named(SecretText::copy_of(reference));
        self.deleted(target, precondition)
    }

    /// Erases what a search finds, which may be one resource; whether there was one.
    ///
    /// # Errors
    ///
    /// Those of [`search`](Self::search), and [`SearchAmbiguous`](ErrorKind::SearchAmbiguous).
    pub fn delete_where(&self, search: &str) -> Result<bool> {
        let target = Target::Where(SecretText::copy_of(search));
        self.deleted(target, Precondition::None)
    }

    fn saved(&self, verb: Verb<'_>) -> Result<SavedResource> {
        match self.one(verb)? {
            Done::Saved(saved) => Ok(saved),
            Done::Deleted(_) => Err(ErrorKind::NotFound.into()),
        }
    }

    fn deleted(&self, target: Target, precondition: Precondition) -> Result<bool> {
        let verb = Verb::Delete {
            target,
            precondition,
        };
        self.one(verb)
            .map(|done| matches!(done, Done::Deleted(true)))
    }

    fn one(&self, verb: Verb<'_>) -> Result<Done> {
        let write = Write {
            verb,
            full_url: None,
        };
        let mut done = self.interact(&[write], false).map_err(|(_, error)| error)?;
        done.pop().ok_or_else(|| ErrorKind::NotFound.into())
    }
}
