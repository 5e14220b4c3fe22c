//! The names in a vault's directory.
//!
//! **Does** spell every name, and those that SQLite derives from them.
//! **Never** takes a name from outside.
//! **Format** the names below.

/// The names of a vault's files; nothing else invents a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    Attempts,
    Emergency,
    Events,
    Header,
    HeaderDraft,
    HeaderTwin,
    Lock,
    Priority,
    Reserve,
    SetupMarker,
    Standard,
}

impl FileName {
    pub(super) const DATABASES: [Self; 3] = [Self::Emergency, Self::Standard, Self::Priority];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Emergency => "emergency.db",
            Self::Events => "events",
            Self::Header => "header",
            Self::HeaderDraft => "header.draft",
            Self::HeaderTwin => "header.2",
            Self::Lock => "lock",
            Self::Priority => "priority.db",
            Self::Reserve => "reserve",
            Self::SetupMarker => "setup",
            Self::Standard => "standard.db",
        }
    }

    pub(super) fn is_database(self) -> bool {
        Self::DATABASES.contains(&self)
    }

    /// The name of a file that SQLite keeps beside a database.
    pub(super) fn companion(self, suffix: &str) -> String {
        format!("{}{suffix}", self.text())
    }

    /// Every name that an interrupted set-up, or wiping, may have left for the next one to remove.
    pub(super) fn leftovers() -> impl Iterator<Item = String> {
        let databases = Self::DATABASES.into_iter().flat_map(|name| {
            ["", WAL, ROLLBACK_JOURNAL, SHARED_MEMORY].map(|suffix| name.companion(suffix))
        });
        let others = [
            Self::Attempts,
            Self::Events,
            Self::HeaderDraft,
            Self::Reserve,
        ];
        databases.chain(others.map(|name| name.text().to_owned()))
    }
}

/// What SQLite adds to a database's name for the files beside it.
pub(super) const WAL: &str = "-wal";
pub(super) const ROLLBACK_JOURNAL: &str = "-journal";
pub(super) const SHARED_MEMORY: &str = "-shm";
