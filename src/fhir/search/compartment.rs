//! What belongs to a patient.
//!
//! **Does** tell which parameters of a type put a resource in a patient's compartment.
//! **Never** guesses: it is the official definition.
//! **Format** patient-compartment.tsv, written by scripts/search-parameters; FHIR R4
//! CompartmentDefinition/patient.

use super::definitions::{Definition, definition};

const TABLE: &str = include_str!("patient-compartment.tsv");

/// The types that can be in a patient's compartment, and for each the parameters that put a resource
/// there.
pub(crate) fn compartment() -> impl Iterator<Item = (&'static str, Vec<&'static Definition>)> {
    TABLE.lines().filter_map(|line| {
        let (kind, codes) = line.split_once('\t')?;
        let codes = codes.split('\t');
        Some((
            kind,
            codes.filter_map(|code| definition(kind, code)).collect(),
        ))
    })
}

/// Whether resources of a type can be in a patient's compartment.
pub(crate) fn is_in_compartment(kind: &str) -> bool {
    let mut kinds = TABLE.lines().filter_map(|line| line.split('\t').next());
    kinds.any(|known| known == kind)
}

#[cfg(test)]
mod tests {
    use super::super::definitions::Kind;
    use super::*;

    #[test]
    fn every_word_of_the_table_is_a_reference_parameter() {
        for (line, (kind, definitions)) in TABLE.lines().zip(compartment()) {
            assert_eq!(definitions.len(), line.matches('\t').count(), "{kind}");
            assert!(
                definitions.iter().all(|it| it.kind == Kind::Reference),
                "{kind}"
            );
        }
        assert_eq!(compartment().count(), 67);
        assert!(is_in_compartment("Observation") && !is_in_compartment("Practitioner"));
    }
}
