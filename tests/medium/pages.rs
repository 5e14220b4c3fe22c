//! Whole pages exchanged, repeated, zeroed, cut off and brought from elsewhere.

use vitalock::{Class, ErrorKind};

use crate::answers::Verdict;
use crate::populated::{Place, Populated, populated};
use crate::soak;
use crate::support::Scratch;
use crate::support::fixture::{DATABASES, make_quick_vault};
use crate::trees::{PAGE, Trees, is_read};

/// One class's database of the closed vault, to be changed again and again.
struct Changing<'a> {
    made: &'a Populated,
    place: Place,
    class: Class,
    name: &'static str,
    trees: Trees,
    original: &'a [u8],
}

impl Changing<'static> {
    fn begin(class: Class) -> Self {
        let made = populated();
        let place = Place::new(&made.closed);
        let at = Class::ALL.iter().position(|each| *each == class).unwrap();
        let name = DATABASES[at];
        Self {
            trees: Trees::of(&place.dir(), class),
            original: &made.closed[name],
            made,
            place,
            class,
            name,
        }
    }

    fn pages(&self) -> usize {
        self.trees.owners.len()
    }

    /// Changes these pages and opens the vault: tampering where one of them is read, and nothing
    /// else where none is. Either way each is refused by whoever reads it.
    fn assert_noticed(&self, touched: &[usize], change: impl FnOnce(&mut Vec<u8>), what: &str) {
        let mut changed = self.original.to_vec();
        change(&mut changed);
        self.place.write(self.name, &changed);
        let what = format!("{}, {what}", self.name);
        let read = |page: &usize| is_read(self.class, &self.trees.owners[*page]);
        let expected = if touched.iter().any(read) {
            Verdict::Refused(vec![ErrorKind::TamperDetected])
        } else {
            Verdict::Right
        };
        assert_eq!(self.made.verdict(&self.place, &what), expected, "{what}");
        for page in touched {
            let opens = self.trees.opens(&changed, *page);
            assert!(!opens, "{what}: page {} does not open", page + 1);
        }
    }

    /// That what was changed can be put back, and all is as it was.
    fn end(self) {
        self.place.write(self.name, self.original);
        assert_eq!(self.made.verdict(&self.place, self.name), Verdict::Right);
    }
}

fn page(bytes: &[u8], number: usize) -> &[u8] {
    &bytes[number * PAGE..][..PAGE]
}

fn copy_page(bytes: &mut [u8], from: &[u8], to: usize) {
    bytes[to * PAGE..][..PAGE].copy_from_slice(from);
}

#[test]
fn two_pages_that_changed_places_open_in_neither() {
    let standard = Changing::begin(Class::Standard);
    let pages = standard.pages();
    assert!(pages >= 200);
    let all = (0..pages).flat_map(|one| (one + 1..pages).map(move |other| (one, other)));
    let pairs: Vec<_> = if soak() {
        all.collect()
    } else {
        // Each page with its neighbour, and with one that moves away from it.
        let near = (1..pages).map(|page| (page - 1, page));
        let far = (0..pages)
            .step_by(3)
            .map(|page| (page, (page * 7 + 100) % pages));
        near.chain(far)
            .filter(|(one, other)| one != other)
            .collect()
    };
    for &(one, other) in &pairs {
        let what = format!("pages {} and {}", one + 1, other + 1);
        let change = |bytes: &mut Vec<u8>| {
            copy_page(bytes, page(standard.original, one), other);
            copy_page(bytes, page(standard.original, other), one);
        };
        standard.assert_noticed(&[one, other], change, &what);
    }
    assert!(pairs.len() > 270);
    standard.end();
}

#[test]
fn a_page_is_itself_and_not_zeros_another_or_that_of_another_file() {
    let scratch = Scratch::new();
    drop(make_quick_vault(&scratch.vault(), true));
    for class in Class::ALL {
        let changing = Changing::begin(class);
        let step = if soak() { 1 } else { changing.pages() / 16 };
        let other_vault = std::fs::read(scratch.vault().join(changing.name)).unwrap();
        let original = changing.original;
        for at in (0..changing.pages()).step_by(step) {
            let number = at + 1;
            changing.assert_noticed(
                &[at],
                |bytes| copy_page(bytes, &[0; PAGE], at),
                &format!("page {number} is zeros"),
            );
            let other = (at + 7) % changing.pages();
            changing.assert_noticed(
                &[at],
                |bytes| copy_page(bytes, page(original, other), at),
                &format!("page {} in the place of {number}", other + 1),
            );
            for (name, bytes) in DATABASES
                .iter()
                .map(|name| (name, &changing.made.closed[*name]))
            {
                if *name != changing.name && bytes.len() >= number * PAGE {
                    changing.assert_noticed(
                        &[at],
                        |changed| copy_page(changed, page(bytes, at), at),
                        &format!("page {number} of {name}"),
                    );
                }
            }
            if other_vault.len() >= number * PAGE {
                changing.assert_noticed(
                    &[at],
                    |bytes| copy_page(bytes, page(&other_vault, at), at),
                    &format!("page {number} of another vault"),
                );
            }
        }
        changing.end();
    }
}

/// A file that ends too early is seen by SQLite before a page is missed, and by its own name.
#[test]
fn a_database_that_was_cut_short_is_refused_and_what_stands_behind_its_end_is_not_read() {
    for class in Class::ALL {
        let changing = Changing::begin(class);
        let whole = changing.original.len();
        let step = if soak() { 1 } else { changing.pages() / 24 };
        let lengths = (0..changing.pages()).step_by(step);
        let lengths = lengths.map(|pages| pages * PAGE);
        for length in lengths.chain([1, 40, 99, PAGE - 1, PAGE + 1, whole - 1]) {
            let cut = &changing.original[..length];
            changing.place.write(changing.name, cut);
            let what = format!("{} cut to {length} bytes", changing.name);
            let kind = match length {
                // No page is whole, or one is missed that is only half there.
                _ if length < PAGE || length == whole - 1 => ErrorKind::TamperDetected,
                _ => ErrorKind::DatabaseDamaged,
            };
            let verdict = changing.made.verdict(&changing.place, &what);
            assert_eq!(verdict, Verdict::Refused(vec![kind]), "{what}");
            let now = &changing.place.now()[changing.name];
            let first = length / PAGE;
            assert!(
                !changing.trees.opens(now, first),
                "{what}: it is not made up"
            );
        }
        for behind in [page(changing.original, 0), &[0; PAGE], &[7; 100]] {
            let longer = [changing.original, behind].concat();
            changing.place.write(changing.name, &longer);
            let verdict = changing.made.verdict(&changing.place, changing.name);
            assert_eq!(verdict, Verdict::Right);
        }
        changing.end();
    }
}
