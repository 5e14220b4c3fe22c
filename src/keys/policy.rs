//! When sessions and leases end by themselves.

use std::time::Duration;

use crate::error::{ErrorKind, Result};

/// When sessions and leases end by themselves. Every limit is there always, and none can be
/// switched off; each is a whole number of seconds.
///
/// | limit | default | bounds |
/// |---|--:|--:|
/// | [`idle`](Self::idle) | 2 min | 1 s to 15 min |
/// | [`absolute`](Self::absolute) | 12 h | 1 s to 12 h |
/// | [`background`](Self::background) | 0 s | 0 to 30 s |
/// | [`lease`](Self::lease) | 60 s | 1 s to 5 min |
/// | [`lease_reads`](Self::lease_reads) | unlimited | 1 to 1,000,000 |
///
/// The bounds are those of SP 800-63B-4 for AAL3 (section 2.3.3): 15 minutes without activity, 12
/// hours altogether. The policy is kept in the vault's header, under its MACs, and is changed with
/// the factors for priority documents:
/// [`Lease::set_session_policy`](crate::Lease::set_session_policy).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use vitalock::{Options, SessionPolicy};
///
/// # fn main() -> vitalock::Result<()> {
/// let policy = SessionPolicy::new()
///     .idle(Duration::from_secs(5 * 60))?
///     .background(Duration::from_secs(10))?;
/// let options = Options::new().session_policy(policy);
/// # drop(options);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    idle: u32,
    absolute: u32,
    background: u32,
    lease: u32,
    lease_reads: Option<u32>,
}

impl SessionPolicy {
    /// The defaults, which are the safe ones.
    pub const fn new() -> Self {
        Self {
            idle: 120,
            absolute: MOST_ABSOLUTE,
            background: 0,
            lease: 60,
            lease_reads: None,
        }
    }

    /// Every limit as a number: idle, absolute, background and lease in seconds, and reads, 0 for
    /// unlimited.
    pub(crate) fn limits(&self) -> [u32; 5] {
        let reads = self.lease_reads.unwrap_or_default();
        [self.idle, self.absolute, self.background, self.lease, reads]
    }

    /// How long a session stays open without a call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPolicy`] outside of 1 s to 15 min.
    pub fn idle(self, limit: Duration) -> Result<Self> {
        let idle = whole_seconds(limit, 1, MOST_IDLE)?;
        Ok(Self { idle, ..self })
    }

    /// How long a session stays open, however much it is used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPolicy`] outside of 1 s to 12 h.
    pub fn absolute(self, limit: Duration) -> Result<Self> {
        let absolute = whole_seconds(limit, 1, MOST_ABSOLUTE)?;
        Ok(Self { absolute, ..self })
    }

    /// How long a session stays open while the app is in the background. With 0 it is locked the
    /// moment the host says so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPolicy`] above 30 s.
    pub fn background(self, grace: Duration) -> Result<Self> {
        let background = whole_seconds(grace, 0, MOST_BACKGROUND)?;
        Ok(Self { background, ..self })
    }

    /// How long Priority stays open for a [`Lease`](crate::Lease).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPolicy`] outside of 1 s to 5 min.
    pub fn lease(self, limit: Duration) -> Result<Self> {
        let lease = whole_seconds(limit, 1, MOST_LEASE)?;
        Ok(Self { lease, ..self })
    }

    /// After how many records of Priority that were read a lease is over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPolicy`] outside of 1 to 1,000,000.
    pub fn lease_reads(self, most: u32) -> Result<Self> {
        if !(1..=MOST_READS).contains(&most) {
            return Err(ErrorKind::InvalidPolicy.into());
        }
        let lease_reads = Some(most);
        Ok(Self {
            lease_reads,
            ..self
        })
    }

    /// See [`idle`](Self::idle).
    pub fn idle_limit(&self) -> Duration {
        Duration::from_secs(self.idle.into())
    }

    /// See [`absolute`](Self::absolute).
    pub fn absolute_limit(&self) -> Duration {
        Duration::from_secs(self.absolute.into())
    }

    /// See [`background`](Self::background).
    pub fn background_grace(&self) -> Duration {
        Duration::from_secs(self.background.into())
    }

    /// See [`lease`](Self::lease).
    pub fn lease_limit(&self) -> Duration {
        Duration::from_secs(self.lease.into())
    }

    /// See [`lease_reads`](Self::lease_reads); `None` where only time ends a lease.
    pub fn lease_read_limit(&self) -> Option<u32> {
        self.lease_reads
    }

    /// The policy's lines in the header (spec 01).
    pub(super) fn to_lines(self) -> String {
        let reads = self
            .lease_reads
            .map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
        format!(
            "session idle={} absolute={} background={}\nlease seconds={} reads={reads}\n",
            self.idle, self.absolute, self.background, self.lease
        )
    }
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self::new()
    }
}

fn whole_seconds(limit: Duration, least: u32, most: u32) -> Result<u32> {
    let seconds = u32::try_from(limit.as_secs()).ok();
    let seconds = seconds.filter(|seconds| (least..=most).contains(seconds));
    let seconds = seconds.filter(|_| limit.subsec_nanos() == 0);
    seconds.ok_or_else(|| ErrorKind::InvalidPolicy.into())
}

const MOST_IDLE: u32 = 15 * 60;
const MOST_ABSOLUTE: u32 = 12 * 60 * 60;
const MOST_BACKGROUND: u32 = 30;
const MOST_LEASE: u32 = 5 * 60;
const MOST_READS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    type Setter = fn(SessionPolicy, Duration) -> Result<SessionPolicy>;

    #[test]
    fn every_limit_has_bounds_and_none_is_never() {
        let limits: [(Setter, u64, u64); 4] = [
            (SessionPolicy::idle, 1, 900),
            (SessionPolicy::absolute, 1, 43_200),
            (SessionPolicy::background, 0, 30),
            (SessionPolicy::lease, 1, 300),
        ];
        let policy = SessionPolicy::new();
        for (set, least, most) in limits {
            let kind = |limit| set(policy, limit).map_err(|error| error.kind());
            for inside in [least, most] {
                assert!(kind(Duration::from_secs(inside)).is_ok());
            }
            for outside in [
                Duration::from_secs(most + 1),
                Duration::from_millis(most * 1000 + 1),
                Duration::from_millis(1500),
                Duration::MAX,
            ] {
                assert_eq!(kind(outside), Err(ErrorKind::InvalidPolicy));
            }
            if least > 0 {
                assert_eq!(kind(Duration::ZERO), Err(ErrorKind::InvalidPolicy));
            }
        }
        for most in [0, 1_000_001, u32::MAX] {
            let refused = policy.lease_reads(most).map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::InvalidPolicy));
        }
    }
}
