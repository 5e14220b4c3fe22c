//! What may be known of a vault from its handle, for a report on how it is protected.

use super::asked;
use super::classes::Reach;
use super::live::Inner;
use super::opening::Opening;
use crate::class::Class;
use crate::error::Result;
use crate::fs::VaultDir;
use crate::records::Query;

impl Opening {
    /// Whether keys that were opened have vouched for the header.
    pub(crate) fn is_vouched_for(&self) -> bool {
        self.copies().authentic
    }

    /// Whether the tenth failed attempt ends the vault.
    pub(crate) fn wipes(&self) -> bool {
        self.newest().header.wipes
    }

    /// That the directory and every file in it are open to nobody else.
    ///
    /// # Errors
    ///
    /// The `Path...` kinds; [`ErrorKind::Paused`](crate::ErrorKind::Paused).
    pub(crate) fn check_private(&self) -> Result<()> {
        self.with_dir(VaultDir::check_private)
    }

    /// Whether the header asks for an anchor, and whether the host has brought one.
    pub(crate) fn anchoring(&self) -> (bool, bool) {
        (self.newest().header.anchored, self.anchor().is_some())
    }

    /// Whether an emergency access waits for the owner's notice, where a session is open.
    pub(crate) fn has_emergency_notice(&self) -> Option<bool> {
        self.seen(|inner| {
            inner.with(SEEING, |open| {
                let emergency = open.class(SEEING, Class::Emergency)?;
                Ok(emergency.standing().committed.notice > 0)
            })
        })
    }

    /// How many entries the audit trails of the everyday classes have, where a session is open.
    pub(crate) fn entries(&self) -> Option<Vec<(Class, u64)>> {
        self.seen(|inner| {
            inner.with(SEEING, |open| {
                let entries = |class: &super::open_class::OpenClass| {
                    let count = class.standing().committed.chain.entries();
                    (class.class(), count)
                };
                Ok(open.within(SEEING).map(entries).collect())
            })
        })
    }

    /// How many records the everyday classes have, where a session is open.
    pub(crate) fn records(&self) -> Option<Vec<(Class, u64)>> {
        self.seen(|inner| {
            let count = |class| {
                let query = Query::new().class(class);
                asked::count(inner, SEEING, &query).map(|count| (class, count))
            };
            [Class::Emergency, Class::Standard]
                .into_iter()
                .map(count)
                .collect()
        })
    }

    fn seen<T>(&self, look: impl FnOnce(&Inner) -> Result<T>) -> Option<T> {
        look(&*self.session()?).ok()
    }
}

/// What a report sees is no activity, and never Priority.
const SEEING: Reach = Reach {
    attended: false,
    ..Reach::OWN
};
