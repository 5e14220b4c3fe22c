//! The peer `fhir-sqlcipher`: FHIR resources in SQLCipher, in the tables that the Android FHIR SDK
//! publishes (version 10 of its database): one for each type of search parameter, with a row for
//! each value.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a measurement may fail where it stands"
)]

mod dates;
mod everything;
#[path = "../../../fhir/mod.rs"]
mod fhir;
#[path = "../library.rs"]
mod library;
mod parameters;
mod path;
#[path = "../../../peer/mod.rs"]
mod peer;
mod rows;
mod schema;
mod statement;
mod tables;

fn main() {
    fhir::serve::serve::<tables::Tables>();
}
