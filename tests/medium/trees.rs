//! What each page of a class's database is for, by the maps that automatic vacuum keeps.

use std::collections::BTreeMap;
use std::path::Path;

use vitalock::Class;

use crate::support::fixture::{database, seal, unsealed};
use crate::support::spec::pages::{PageSeal, Unit};

pub(crate) const PAGE: usize = 4096;

pub(crate) struct Trees {
    /// Which pages belong to which table or index, the first page at 0. Maps, free pages and
    /// SQLite's own schema have names in brackets.
    pub(crate) owners: Vec<String>,
    seal: PageSeal,
}

/// Whether reading everything that a vault answers needs this tree.
pub(crate) fn is_read(class: Class, owner: &str) -> bool {
    match owner {
        // There is no higher class for which something could wait.
        "intents" => class != Class::Priority,
        "(free)"
        | "(map)"
        // What waits there is taken in where it can be, and keeps nobody out.
        | "deposits"
        | "records_by_client"
        | "sqlite_autoindex_deposits_1"
        | "revisions_by_subject"
        | "sqlite_autoindex_subjects_1"
        | "sqlite_autoindex_terms_1"
        | "sqlite_sequence"
        // No record here is a resource.
        | "resources"
        | "resources_by_name"
        | "resources_by_end"
        | "tokens"
        | "words"
        | "stretches"
        | "amounts" => false,
        _ => true,
    }
}

impl Trees {
    /// Of a closed vault.
    pub(crate) fn of(vault: &Path, class: Class) -> Self {
        let connection = unsealed(vault, class);
        let mut statement = connection
            .prepare("SELECT rootpage, name FROM sqlite_schema")
            .unwrap();
        let roots = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let mut roots: BTreeMap<usize, String> = roots
            .unwrap()
            .map(Result::unwrap)
            .map(|(page, name): (i64, String)| (usize::try_from(page).unwrap(), name))
            .collect();
        roots.insert(1, "(schema)".to_owned());
        let seal = seal(vault, class);
        let plain = seal.open_database(&std::fs::read(database(vault, class)).unwrap());
        let pages = 1..=plain.len() / PAGE;
        Self {
            owners: pages.map(|page| owner(&plain, &roots, page)).collect(),
            seal,
        }
    }

    /// Whether this page, the first at 0, opens in its place.
    pub(crate) fn opens(&self, database: &[u8], page: usize) -> bool {
        let number = u64::try_from(page).unwrap() + 1;
        let sealed = database.chunks_exact(PAGE).nth(page);
        sealed.is_some_and(|sealed| self.seal.open(Unit::Page(number), sealed).is_some())
    }
}

fn owner(plain: &[u8], roots: &BTreeMap<usize, String>, mut page: usize) -> String {
    loop {
        if let Some(name) = roots.get(&page) {
            return name.clone();
        }
        let map = (page - 2) / (MAPPED + 1) * (MAPPED + 1) + 2;
        if map == page {
            return "(map)".to_owned();
        }
        let at = (map - 1) * PAGE + (page - map - 1) * 5;
        let parent = u32::from_be_bytes(*plain[at + 1..].first_chunk().unwrap());
        match plain[at] {
            FREE => return "(free)".to_owned(),
            OVERFLOW_FIRST | OVERFLOW | TREE => page = usize::try_from(parent).unwrap(),
            other => panic!("page {page} is of kind {other}"),
        }
    }
}

/// How many pages one map tells of: five bytes each, none of them in the reserved part.
const MAPPED: usize = (PAGE - 40) / 5;
const FREE: u8 = 2;
const OVERFLOW_FIRST: u8 = 3;
const OVERFLOW: u8 = 4;
const TREE: u8 = 5;
