//! FHIR R4 JSON, taken in as it stands.
//!
//! **Does** turn the bytes of a resource, a Bundle or NDJSON into [`Resource`]s: what each one is,
//! whom it is about, when it applies, and its bytes exactly as they were.
//! **Never** opens a file or a session, re-writes a resource, or trusts a document's size or depth.
//! **Format** FHIR R4 (4.0.1) JSON; NDJSON with one resource a line.

mod bundle;
mod date;
mod effective;
mod limits;
mod object;
mod read;
mod resource;
mod scan;
pub(crate) mod search;
mod text;

pub use limits::Limits;
pub use read::Reader;
pub use resource::{CONTENT_TYPE, Resource};
pub use search::{SearchParameter, search_parameters};
pub(crate) use text::Text;
