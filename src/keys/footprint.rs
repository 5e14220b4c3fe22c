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
}

impl Footprint {
    /// The shortest time that records may live: a minute.
    pub const LEAST: Duration = Duration::from_secs(60);
    /// The longest time that records may live: ten years of 365 days.
    pub const MOST: Duration = Duration::from_secs(10 * 365 * 86_400);

    /// How long a record lives at the most.
    pub fn time_to_live(self) -> Option<Duration> {
        match self {
            Self::Full => None,
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
        match self.time_to_live() {
            None => FULL.to_owned(),
            Some(time) => format!("{CACHE}{}", time.as_secs()),
        }
    }

    /// The footprint of these words and this number.
    pub(super) fn parse(text: &str, number: impl Fn(&str) -> Option<u64>) -> Option<Self> {
        if text == FULL {
            return Some(Self::Full);
        }
        let time_to_live = Duration::from_secs(number(text.strip_prefix(CACHE)?)?);
        let cache = Self::Cache { time_to_live };
        cache.check().ok().map(|()| cache)
    }
}

const FULL: &str = "full";
const CACHE: &str = "cache=";
