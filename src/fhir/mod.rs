//! FHIR R4 JSON, taken in as it stands.
//!
//! **Does** turn the bytes of a resource, a Bundle or NDJSON into [`Resource`]s: what each one is,
//! whom it is about, when it applies, and its bytes exactly as they were.
//! **Never** opens a file or a session, re-writes a resource, or trusts a document's size or depth.
//! **Format** FHIR R4 (4.0.1) JSON; NDJSON with one resource a line.

mod bundle;
mod date;
mod edit;
mod effective;
mod interactions;
mod limits;
mod links;
mod names;
mod object;
mod patch;
#[cfg(test)]
mod patch_differential;
mod place;
mod read;
mod resource;
mod scan;
pub(crate) mod search;
mod text;
mod tree;

pub(crate) use edit::{Stamp, Updated, in_one_line, last_updated, stamped};
pub(crate) use interactions::{Enclosed, Interaction, Method, Together, patch_in};
pub use limits::Limits;
pub(crate) use links::{Links, conditional_references, references};
pub(crate) use patch::patched;
pub(crate) use place::LineCount;
pub use read::Reader;
pub(crate) use resource::is_id;
pub use resource::{CONTENT_TYPE, Resource};
pub use search::{SearchParameter, search_parameters};
pub(crate) use text::Text;
