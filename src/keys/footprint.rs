//! How much a vault may leave on the device, decided when it is made.

use std::time::Duration;

use crate::error::{ErrorKind, Result};

/// How much a vault may leave on the device. It is decided when the vault is made, and stands in its
/// header, under the MACs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Footprint {
    /// Records stay until they are erased, or expire where they say so.
    #[default]
    Full,
    /// The vault holds copies of what is kept elsewhere. Every record expires: when it says so, and
    /// at the latest this long after it was last put. What has expired is erased when the vault is
    /// unlocked, when Priority is opened, and within a minute while a session is open.
    Cache {
        /// A whole number of seconds, from [`LEAST`](Self::LEAST) to [`MOST`](Self::MOST).
        time_to_live: Duration,
    },
    /// Nothing is written anywhere: the vault is in this process's memory, sealed as it would be on
    /// disk, and gone with the last handle of it. Its directory is not looked at, and it is not found
    /// there again. The platform keys of its slots stay in the key store, and are of no use.
    MemoryOnly,
}

impl Footprint {
    /// The shortest time that records may live: a minute.
    pub const LEAST: Duration = Duration::from_secs(60);
    /// The longest time that records may live: ten years of 365 days.
    pub const MOST: Duration = Duration::from_secs(10 * 365 * 86_400);

    /// How long a record lives at the most.
    pub fn time_to_live(self) -> Option<Duration> {
        match self {
            Self::Full | Self::MemoryOnly => None,
            Self::Cache { time_to_live } => Some(time_to_live),
        }
    }

    /// # Errors
    ///
    /// [`ErrorKind::InvalidPolicy`] for a time outside of the bounds.
    pub(crate) fn check(self) -> Result<()> {
        let Some(time) = self.time_to_live() else {
            return Ok(());
        };
        let within = (Self::LEAST..=Self::MOST).contains(&time) && time.subsec_nanos() == 0;
        within
            .then_some(())
            .ok_or_else(|| ErrorKind::InvalidPolicy.into())
    }

    /// As the header has it (spec 01).
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Full => FULL.to_owned(),
            Self::Cache { time_to_live } => format!("{CACHE}{}", time_to_live.as_secs()),
            Self::MemoryOnly => MEMORY.to_owned(),
        }
    }

    /// The footprint of these words and this number.
    pub(super) fn parse(text: &str, number: impl Fn(&str) -> Option<u64>) -> Option<Self> {
        match text {
            FULL => return Some(Self::Full),
            MEMORY => return Some(Self::MemoryOnly),
            _ => {}
        }
        let time_to_live = Duration::from_secs(number(text.strip_prefix(CACHE)?)?);
        let cache = Self::Cache { time_to_live };
        cache.check().ok().map(|()| cache)
    }
}

const FULL: &str = "full";
const MEMORY: &str = "memory";
const CACHE: &str = "cache=";
