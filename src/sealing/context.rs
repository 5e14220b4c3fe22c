//! Associated data: where a sealed envelope lives, written so that no two places read the same.

use crate::class::Class;
use crate::id::{KeyId, RecordId, VaultId};
use crate::secret::SecretBytes;

/// Suite 1: Argon2id, HKDF-SHA-256, XAES-256-GCM.
pub(super) const SUITE: u8 = 1;

const LABEL: &[u8] = b"vitalock/1/row";

/// What kind of row an envelope belongs to (spec 03, "Associated data of a row").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Record,
    EarlierRevision,
    SubjectKey,
    SubjectName,
    Term,
    Settings,
    Intent,
    Cursor,
    AuditEntry,
    Deposit,
    Event,
    Capsule,
    Answer,
    Segment,
    AuditorRoot,
}

impl Table {
    /// The table's number in the format.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Record => 1,
            Self::EarlierRevision => 2,
            Self::SubjectKey => 3,
            Self::SubjectName => 4,
            Self::Term => 5,
            Self::Settings => 6,
            Self::Intent => 7,
            Self::Cursor => 8,
            Self::AuditEntry => 9,
            Self::Deposit => 10,
            Self::Event => 11,
            Self::Capsule => 12,
            Self::Answer => 13,
            Self::Segment => 14,
            Self::AuditorRoot => 15,
        }
    }
}

/// The place an envelope is bound to. An envelope opens in its own place and nowhere else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) vault: VaultId,
    pub(crate) class: Class,
    pub(crate) table: Table,
    pub(crate) kind: &'a str,
    pub(crate) row: RecordId,
    pub(crate) number: u64,
    pub(crate) key: KeyId,
}

impl<'a> Context<'a> {
    /// The place of a row that has neither kind, identity nor subject key of its own.
    pub(crate) fn of_class(vault: VaultId, class: Class, table: Table, number: u64) -> Self {
        Self {
            vault,
            class,
            table,
            kind: "",
            row: RecordId::from_bytes([0; 16]),
            number,
            key: KeyId::from_bytes([0; 16]),
        }
    }

    /// The canonical bytes of this place. They hold the kind in clear, so they are wiped.
    pub(super) fn associated_data(&self) -> SecretBytes {
        SecretBytes::concatenation(&[
            &length(LABEL),
            LABEL,
            &[SUITE],
            &self.vault.to_bytes(),
            &[self.class.code(), self.table.code()],
            &length(self.kind.as_bytes()),
            self.kind.as_bytes(),
            &self.row.to_bytes(),
            &self.number.to_le_bytes(),
            &self.key.to_bytes(),
        ])
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    let length = u32::try_from(bytes.len()).expect("labels and kinds are short");
    length.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Fields = ([u8; 16], u8, u8, String, [u8; 16], u64, [u8; 16]);

    fn encode(fields: &Fields) -> Vec<u8> {
        let tables = [
            Table::Record,
            Table::EarlierRevision,
            Table::SubjectKey,
            Table::SubjectName,
            Table::Term,
            Table::Settings,
            Table::Intent,
            Table::Cursor,
            Table::AuditEntry,
            Table::Deposit,
            Table::Event,
            Table::Capsule,
            Table::Answer,
            Table::Segment,
            Table::AuditorRoot,
        ];
        Context {
            vault: VaultId::from_bytes(fields.0),
            class: Class::ALL[usize::from(fields.1 % 3)],
            table: tables[usize::from(fields.2 % 15)],
            kind: &fields.3,
            row: RecordId::from_bytes(fields.4),
            number: fields.5,
            key: KeyId::from_bytes(fields.6),
        }
        .associated_data()
        .expose()
        .to_vec()
    }

    /// Values from a small set, so that the two sides often agree in most fields.
    fn fields() -> impl Strategy<Value = Fields> {
        let id = || prop_oneof![Just([0; 16]), Just([1; 16])];
        (
            id(),
            0..3_u8,
            0..15_u8,
            "[ab\u{0}]{0,3}",
            id(),
            0..3_u64,
            id(),
        )
    }

    proptest! {
        #[test]
        fn two_places_have_the_same_bytes_only_if_they_are_the_same(a in fields(), b in fields()) {
            prop_assert_eq!(encode(&a) == encode(&b), a == b);
        }
    }
}
