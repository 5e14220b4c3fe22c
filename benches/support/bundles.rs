//! FHIR bundles to import.

use std::fs;
use std::path::Path;

use super::shared::data;

/// The bundles to import: Synthea patients where they are at hand, else the project's example.
pub(crate) fn bundles(most: usize) -> Vec<Vec<u8>> {
    let synthea = data::unpacked("fhir/synthea-r4-500-patients.tar.xz");
    let files = synthea.map(|folder| data::json_files(&folder));
    let files = files.unwrap_or_else(|| {
        data::tell(
            "SKIPPED: import of Synthea patients: the project's example is imported instead",
        );
        vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/patient-bundle.json")]
    });
    let read = |file| fs::read(file).expect("the bundle can be read");
    files.iter().take(most).map(read).collect()
}
