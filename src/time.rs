//! Instants, as the store keeps them.
//!
//! **Does** hold UTC microseconds, and read the clock that goes on while the device sleeps.
//! **Never** measures with the wall clock, which anybody may turn, or with `std::time::Instant`,
//! which stands still in sleep.
//! **Format** i64 microseconds since 1970-01-01T00:00:00Z.

use rustix::time::{ClockId, clock_gettime};
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

/// An instant in UTC, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant this many microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn to_micros(self) -> i64 {
        self.0
    }

    /// The years 1 to 9999 of FHIR's calendar, in microseconds since 1970.
    pub(crate) const INSTANTS: RangeInclusive<i64> =
        -62_135_596_800_000_000..=253_402_207_200_999_999;

    /// A FHIR `instant` in UTC. What lies outside of its years, 1 to 9999, is the first or the last of
    /// them.
    pub(crate) fn to_instant(self) -> String {
        let at = self.0.clamp(*Self::INSTANTS.start(), *Self::INSTANTS.end());
        let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default();
        format!("{at:.6}")
    }

    /// The device's present wall-clock time.
    pub fn now() -> Self {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        };
        Self(micros)
    }
}

/// One look at the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds on the clock that never stops and that nobody turns. What it counts from is the
    /// system's affair, and another at each start of it.
    pub(crate) steady: i64,
    /// Microseconds on the wall clock.
    pub(crate) wall: i64,
}

/// Where the time comes from.
pub(crate) trait Clock: Send + Sync {
    fn now(&self) -> Moment;
}

/// The clocks of the system.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let time = clock_gettime(STEADY);
        Moment {
            steady: time.tv_sec * 1_000_000 + time.tv_nsec / 1000,
            wall: Timestamp::now().to_micros(),
        }
    }
}

/// Darwin's monotonic clock goes on in sleep (clock_gettime(3) there), Linux's does not.
#[cfg(target_vendor = "apple")]
const STEADY: ClockId = ClockId::Monotonic;
#[cfg(not(target_vendor = "apple"))]
const STEADY: ClockId = ClockId::Boottime;
