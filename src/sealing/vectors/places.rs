//! Places: an envelope opens where it was sealed and nowhere else, and no two are alike.

use std::collections::HashSet;

use super::super::{Context, Sealed, Table, open, seal};
use super::key_of;
use crate::class::Class;
use crate::error::ErrorKind;
use crate::id::{KeyId, RecordId, VaultId};

/// All rows are sealed under one key, so that nothing but the associated data tells them apart.
#[test]
fn no_row_opens_in_the_place_of_another() {
    let key = key_of([9; 32]);
    let places = fifty_places();
    let sealed: Vec<_> = places
        .iter()
        .enumerate()
        .map(|(at, place)| seal(&key, place, &[format!("row {at:02}").as_bytes()]).unwrap())
        .collect();
    let (mut opened, mut refused) = (0, 0);
    for (i, body) in sealed.iter().enumerate() {
        for (j, place) in places.iter().enumerate() {
            let body = Sealed::from_stored(body.as_bytes().to_vec());
            match open(&key, place, body) {
                Ok(plain) if i == j => {
                    assert_eq!(plain.expose(), format!("row {i:02}").as_bytes());
                    opened += 1;
                }
                Ok(_) => panic!("row {i} opened in place {j}: {place:?}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TamperDetected);
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((opened, refused), (50, 2_450));
}

#[test]
fn the_same_payload_is_never_sealed_twice_alike() {
    let key = key_of([9; 32]);
    let place = here();
    let mut nonces = HashSet::new();
    let mut ciphertexts = HashSet::new();
    let mut envelopes = HashSet::new();
    for _ in 0..10_000 {
        let sealed = seal(&key, &place, &[b"the same payload"]).unwrap();
        let bytes = sealed.as_bytes();
        nonces.insert(bytes[1..25].to_vec());
        ciphertexts.insert(bytes[25..bytes.len() - 16].to_vec());
        envelopes.insert(bytes.to_vec());
    }
    assert_eq!(nonces.len(), 10_000);
    assert_eq!(ciphertexts.len(), 10_000);
    assert_eq!(envelopes.len(), 10_000);
}

/// One place, and 49 that differ from it in one field alone.
fn fifty_places() -> Vec<Context<'static>> {
    const OTHER_TABLES: [Table; 7] = [
        Table::EarlierRevision,
        Table::SubjectKey,
        Table::SubjectName,
        Table::Term,
        Table::Settings,
        Table::Intent,
        Table::Cursor,
    ];
    const OTHER_KINDS: [&str; 14] = [
        "",
        "O",
        "Observatio",
        "Observation\0",
        "Observations",
        "observation",
        "AllergyIntolerance",
        "Condition",
        "Consent",
        "Encounter",
        "Immunization",
        "Medication",
        "MedicationRequest",
        "Patient",
    ];
    let other_numbers = [0, 2, 3, 255, 256, 1 << 32, 1 << 56, u64::MAX];
    let mut places = vec![here()];
    places.extend((0..5).map(|bit| Context {
        vault: VaultId::from_bytes(flipped(1, bit * 3)),
        ..here()
    }));
    places.extend([Class::Emergency, Class::Priority].map(|class| Context { class, ..here() }));
    places.extend(OTHER_TABLES.map(|table| Context { table, ..here() }));
    places.extend(OTHER_KINDS.map(|kind| Context { kind, ..here() }));
    places.extend((0..8).map(|bit| Context {
        row: RecordId::from_bytes(flipped(2, bit * 2)),
        ..here()
    }));
    places.extend(other_numbers.map(|number| Context { number, ..here() }));
    places.extend((0..5).map(|bit| Context {
        key: KeyId::from_bytes(flipped(3, bit * 3)),
        ..here()
    }));
    places
}

fn here() -> Context<'static> {
    Context {
        vault: VaultId::from_bytes([1; 16]),
        class: Class::Standard,
        table: Table::Record,
        kind: "Observation",
        row: RecordId::from_bytes([2; 16]),
        number: 1,
        key: KeyId::from_bytes([3; 16]),
    }
}

/// An identity of equal bytes, with one bit of byte `at` flipped.
fn flipped(byte: u8, at: usize) -> [u8; 16] {
    let mut bytes = [byte; 16];
    bytes[at] ^= 0x10;
    bytes
}
