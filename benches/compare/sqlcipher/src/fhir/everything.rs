//! Everything about a patient. The SDK has no such operation: it is made of what it has, a
//! `_revinclude` for each parameter of the compartment, and an `_include` of what those refer to.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use rusqlite::{Connection, params_from_iter};

use super::schema::READ;

/// The official compartment of a patient: types, and the parameters that lead to the patient.
const COMPARTMENT: &str = include_str!("../../../../../src/fhir/search/patient-compartment.tsv");

/// A `SELECT` for each type and parameter, and the words for their first two places.
static STEPS: LazyLock<(String, Vec<&str>)> = LazyLock::new(|| {
    let (mut selects, mut words) = (Vec::new(), Vec::new());
    for line in COMPARTMENT.lines() {
        let mut fields = line.split('\t');
        let kind = fields.next().expect("a line has a type");
        for parameter in fields {
            selects.push(REV_INCLUDE);
            words.extend([kind, parameter]);
        }
    }
    (selects.join(" UNION ALL "), words)
});

/// The types of the compartment.
static INSIDE: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = COMPARTMENT.lines();
    lines.filter_map(|line| line.split('\t').next()).collect()
});

const REV_INCLUDE: &str = "SELECT * FROM (SELECT rie.resourceUuid, re.serializedResource \
     FROM ResourceEntity re JOIN ReferenceIndexEntity rie ON re.resourceUuid = rie.resourceUuid \
     WHERE rie.resourceType = ? AND rie.index_name = ? AND rie.index_value IN (?) \
     AND re.resourceType = ?)";

pub(crate) fn everything(connection: &Connection, patient: &str, found: &mut dyn FnMut(&[u8])) {
    read(connection, patient, found);
    let (sql, words) = &*STEPS;
    let words = words.chunks(2).flat_map(|words| match *words {
        [kind, parameter] => [kind, parameter, patient, kind],
        _ => unreachable!("they come in pairs"),
    });
    let mut statement = connection.prepare_cached(sql).unwrap();
    let mut rows = statement.query(params_from_iter(words)).unwrap();
    let mut met = HashSet::new();
    while let Some(row) = rows.next().unwrap() {
        let uuid: [u8; 16] = row.get(0).unwrap();
        if met.insert(uuid) {
            let body: String = row.get(1).unwrap();
            found(body.as_bytes());
        }
    }
    for named in outside(connection, &met) {
        read(connection, &named, found);
    }
}

/// What those refer to of types that are not in the compartment, by type and id. In these resources
/// that refers to nothing more.
fn outside(connection: &Connection, of: &HashSet<[u8; 16]>) -> BTreeSet<String> {
    let mut statement = connection.prepare_cached(REFERENCES).unwrap();
    let mut named = BTreeSet::new();
    for uuid in of {
        let mut rows = statement.query([uuid]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let name: String = row.get(0).unwrap();
            let kind = name.split('/').next().unwrap_or_default();
            if !INSIDE.contains(kind) {
                named.insert(name);
            }
        }
    }
    named
}

const REFERENCES: &str = "SELECT index_value FROM ReferenceIndexEntity WHERE resourceUuid = ?";

/// Reads a resource by type and id, where it is here.
fn read(connection: &Connection, named: &str, found: &mut dyn FnMut(&[u8])) {
    let Some((kind, id)) = named.split_once('/') else {
        return;
    };
    let mut statement = connection.prepare_cached(READ).unwrap();
    let mut rows = statement.query([id, kind]).unwrap();
    if let Some(row) = rows.next().unwrap() {
        let body: String = row.get(0).unwrap();
        found(body.as_bytes());
    }
}
