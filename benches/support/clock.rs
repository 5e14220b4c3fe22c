//! How long something took: by the clock on the wall, and of the processor's time. The second says
//! less (it knows no waiting for the medium), but a busy machine does not disturb it as much.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A clock that was started.
pub(crate) struct Clock {
    wall: Instant,
    processor: Duration,
}

/// What it showed at the end.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) processor: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            processor: processor(),
            wall: Instant::now(),
        }
    }

    pub(crate) fn stop(&self) -> Spent {
        Spent {
            wall: self.wall.elapsed(),
            processor: processor() - self.processor,
        }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.processor += other.processor;
    }
}

/// The time that all threads of this process have had so far.
fn processor() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(now).expect("a process has not run for less than no time")
}
