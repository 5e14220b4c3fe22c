//! The table of failed attempts (spec 07), written without the crate.

use sha2::{Digest, Sha256};

/// A whole table: slots, how often each failed, and when last, in microseconds on the clock that
/// goes on in sleep.
pub fn table(entries: &[([u8; 8], u64, i64)]) -> Vec<u8> {
    let mut record = b"vitalock/1/tries".to_vec();
    record.extend(1_u64.to_le_bytes());
    record.extend((entries.len() as u64).to_le_bytes());
    for (slot, failures, when) in entries {
        record.extend(slot);
        record.extend(failures.to_le_bytes());
        record.extend(when.to_le_bytes());
    }
    record.resize(800, 0);
    record.extend(Sha256::digest(&record));
    record.resize(4096, 0);
    record.repeat(2)
}
