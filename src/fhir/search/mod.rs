//! What FHIR resources are found by, and what is asked of them.
//!
//! **Does** take the values of every official search parameter out of a resource, understand search
//! strings, and tell whether a resource meets one.
//! **Never** opens a file or a session, or runs a search.
//! **Format** FHIR R4 (4.0.1) "Search"; the official SearchParameter definitions.

mod added;
mod ask;
mod bounds;
mod compartment;
mod definitions;
mod derive;
mod fold;
mod include;
mod listing;
mod meet;
mod path;
mod primary;
mod request;
mod value;
mod words;

pub(crate) use added::{FIRST_ADDED, Parameters};
pub(crate) use ask::{AskedUnit, From, Test};
pub(crate) use compartment::{compartment, is_in_compartment};
pub(crate) use definitions::{Definition, Kind, is_type};
pub(crate) use derive::{derive, names, texts};
pub(crate) use fold::{cut, fold, word};
pub(crate) use include::Include;
pub use listing::{SearchParameter, search_parameters};
pub(crate) use primary::primary;
pub(crate) use request::{Chain, Request, SortKey};
pub(super) use value::outer_limits;
pub(crate) use value::{System, Unit, Value};
