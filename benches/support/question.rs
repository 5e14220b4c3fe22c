//! What the stores are asked.

use super::population::{STEP, mix, subject_of, time_of};

/// A shape of query. Each has an index of its own that answers it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One person's records of one kind, newest first: the list that an app shows.
    Latest,
    /// One kind within a time, newest first: 500 records.
    Window,
    /// What was put since a record was: a synchronisation.
    Since,
    /// One person's records before a time, newest first: scrolling back.
    Timeline,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Latest, Self::Window, Self::Since, Self::Timeline];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Window => "window",
            Self::Since => "since",
            Self::Timeline => "timeline",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }
}

/// A query, in terms of the population.
pub(crate) enum Question {
    Latest { subject: String },
    Window { from: i64, until: i64 },
    Since { number: u64 },
    Timeline { subject: String, until: i64 },
}

/// How many records a window holds.
pub(crate) const WINDOW: u64 = 500;

impl Question {
    /// The `number`-th question of a shape to a store of `size` records: spread over the store,
    /// and the same for every store.
    pub(crate) fn of(shape: Shape, number: u64, size: u64) -> Self {
        let chance = mix(number);
        match shape {
            Shape::Latest => Self::Latest {
                subject: subject_of(chance),
            },
            Shape::Window => {
                let from = time_of(chance % (size - WINDOW + 1));
                Self::Window {
                    from,
                    until: from + STEP * WINDOW as i64,
                }
            }
            // The last tenth is left, so that a page is always full.
            Shape::Since => Self::Since {
                number: chance % (size * 9 / 10),
            },
            Shape::Timeline => Self::Timeline {
                subject: subject_of(mix(chance)),
                until: time_of(size - chance % (size / 10)),
            },
        }
    }
}
