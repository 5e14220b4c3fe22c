//! The names in the objects that a pass over a document is inside of.
//!
//! **Does** tell that an object has a member twice, however its name is spelt, and count its members.
//! **Never** owns a name: each is lent by the document. It hashes none, so that no choice of names
//! makes it slow.
//! **Format** the names of JSON members (RFC 8259), as they stand between the quotes.

use std::cmp::Ordering;

use super::text::characters;

/// The names of every object that is open, the outermost first.
pub(super) struct Names<'a> {
    names: Vec<&'a str>,
    open: Vec<Open>,
    most: usize,
}

struct Open {
    /// Where its names begin.
    first: usize,
    /// One bit for each signature that was met.
    met: u64,
    /// Two names have one signature.
    unsure: bool,
    /// A name has an escape.
    escaped: bool,
}

impl<'a> Names<'a> {
    /// For objects of no more than so many members.
    pub(super) fn new(most: usize) -> Self {
        Self {
            names: Vec::new(),
            open: Vec::new(),
            most,
        }
    }

    /// An object or array begins.
    pub(super) fn open(&mut self) {
        self.open.push(Open {
            first: self.names.len(),
            met: 0,
            unsure: false,
            escaped: false,
        });
    }

    /// How many are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// A member of the innermost object, with or without escapes in its name. `None` if the object
    /// has too many.
    pub(super) fn add(&mut self, name: &'a str, escaped: bool) -> Option<()> {
        let Some(open) = self.open.last_mut() else {
            return Some(());
        };
        if self.names.len() - open.first >= self.most {
            return None;
        }
        let bit = 1 << signature(name);
        open.unsure |= open.met & bit != 0;
        open.met |= bit;
        open.escaped |= escaped;
        self.names.push(name);
        Some(())
    }

    /// The innermost object or array ends: its first name that was there before, if there is one.
    pub(super) fn close(&mut self) -> Option<&'a str> {
        let closed = self.open.pop()?;
        let names = self.names.get_mut(closed.first..)?;
        let repeated = match (closed.escaped, closed.unsure) {
            (true, _) => repeated(names, spelt_out),
            (false, true) => repeated(names, str::cmp),
            (false, false) => None,
        };
        self.names.truncate(closed.first);
        repeated
    }

    /// The document breaks off: the first name in it that was there before.
    pub(super) fn break_off(mut self) -> Option<&'a str> {
        let mut found = None;
        while !self.open.is_empty() {
            // What is further out may still have begun earlier.
            let names = [found, self.close()].into_iter().flatten();
            found = names.min_by_key(|name| name.as_ptr().addr());
        }
        found
    }
}

/// A number below 64 that is the same for names that stand there alike.
fn signature(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let [first, last] = [bytes.first(), bytes.last()].map(|byte| u32::from(*byte.unwrap_or(&0)));
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    (first ^ last << 8 ^ length << 16).wrapping_mul(0x9E37_79B1) >> 26
}

/// The first of these names that was there before; brings them out of order.
fn repeated<'a>(names: &mut [&'a str], order: fn(&str, &str) -> Ordering) -> Option<&'a str> {
    let place = |name: &str| name.as_ptr().addr();
    names.sort_unstable_by(|one, other| {
        order(one, other).then_with(|| place(one).cmp(&place(other)))
    });
    let pairs = names.windows(2).filter_map(|pair| match pair {
        [one, other] if order(one, other).is_eq() => Some(*other),
        _ => None,
    });
    pairs.min_by_key(|name| place(name))
}

/// By what the names say. Where an escape is none, which the parser refuses, a name ends here.
fn spelt_out(one: &str, other: &str) -> Ordering {
    characters(one).cmp(characters(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Which of an object's names is told, by its place.
    fn told(names: &[&str]) -> Option<usize> {
        let text = names.concat();
        let mut rest = text.as_str();
        let mut met = Names::new(usize::MAX);
        met.open();
        for name in names {
            let (name, after) = rest.split_at(name.len());
            met.add(name, name.contains('\\')).expect("no limit");
            rest = after;
        }
        let found = met.close()?;
        let at = found.as_ptr().addr() - text.as_ptr().addr();
        (0..names.len())
            .find(|place| names[..*place].concat().len() == at && !names[*place].is_empty())
    }

    #[test]
    fn the_first_name_that_was_there_before_is_told() {
        assert_eq!(told(&["id", "code", "id", "code"]), Some(2));
        assert_eq!(told(&["code", "id", "id", "code"]), Some(2));
        assert_eq!(told(&["id", "code", "ID", "cod"]), None);
        assert_eq!(told(&["id", r"\u0069d"]), Some(1));
        assert_eq!(told(&[r"\u00e9", "é"]), Some(1));
        assert_eq!(told(&[r"\/", "/", "x"]), Some(1));
        assert_eq!(told(&[r"\\u0069d", "id"]), None);
    }

    #[test]
    fn objects_inside_one_another_have_names_of_their_own() {
        let text = "aabba";
        let name = |at: usize| text.get(at..=at).expect("inside");
        let mut names = Names::new(9);
        names.open();
        names.add(name(0), false).expect("no limit");
        names.open();
        names.add(name(1), false).expect("no limit");
        names.add(name(2), false).expect("no limit");
        assert_eq!(names.close(), None);
        names.open();
        names.add(name(3), false).expect("no limit");
        names.add(name(4), false).expect("no limit");
        assert_eq!((names.close(), names.depth()), (None, 1));
        names.add(name(4), false).expect("no limit");
        names.open();
        assert!(std::ptr::eq(names.break_off().expect("repeated"), name(4)));
    }

    #[test]
    fn an_object_has_no_more_members_than_it_may() {
        let mut names = Names::new(2);
        for _ in 0..2 {
            names.open();
            assert!(names.add("a", false).is_some() && names.add("b", false).is_some());
            assert!(names.add("c", false).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_name_is_repeated_where_a_set_says_so(
            names in prop::collection::vec(r"[ab]{1,3}|\\u006[12]b?", 0..40),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut met = BTreeSet::new();
            let spelt = |name: &str| -> String { characters(name).collect() };
            let expected = names.iter().position(|name| !met.insert(spelt(name)));
            prop_assert_eq!(told(&names), expected);
        }
    }
}
