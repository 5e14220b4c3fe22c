//! FHIR resources, as a server has them.

mod everything;
mod export;
mod import;
mod interact;
mod lines;
mod parameters;
mod plan;
mod requests;
mod saved;
mod store;
mod writing;

pub use everything::Everything;
pub use export::{ExportFormat, Progress};
pub use import::Imported;
pub use parameters::{AddedParameter, Indexing};
pub use requests::EntryAnswer;
pub use saved::SavedResource;
pub use store::FhirStore;
pub use writing::Precondition;
