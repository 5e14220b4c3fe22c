//! The search parameters of FHIR R4 by resource type, each with the table that its values go to.

use std::collections::{BTreeSet, HashMap};

use super::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Date,
    Number,
    Quantity,
    Reference,
    String,
    Token,
    Uri,
}

pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// The path as text, which each row repeats.
    pub(crate) text: &'static str,
    pub(crate) kind: Kind,
    pub(crate) paths: Vec<Path>,
    /// What a reference may lead to.
    pub(crate) targets: &'static str,
}

pub(crate) struct Parameters {
    of_type: HashMap<&'static str, Vec<Parameter>>,
    /// What every resource has.
    common: Vec<Parameter>,
    left_out: HashMap<&'static str, BTreeSet<&'static str>>,
}

/// The list that Vitalock is built with, from the official definitions.
const LIST: &str = include_str!("../../../../../src/fhir/search/parameters.tsv");

impl Parameters {
    pub(crate) fn read() -> Self {
        let mut parameters = Self {
            of_type: HashMap::new(),
            common: Vec::new(),
            left_out: HashMap::new(),
        };
        for line in LIST.lines().skip(1) {
            let fields: Vec<_> = line.split('\t').collect();
            let [of, name, kind, text, targets] = fields[..] else {
                panic!("a parameter has five fields");
            };
            if text.is_empty() {
                continue;
            }
            let Some(parameter) = Parameter::of(name, kind, text, targets) else {
                parameters.left_out.entry(of).or_default().insert(name);
                continue;
            };
            match of {
                "Resource" => parameters.common.push(parameter),
                _ => parameters.of_type.entry(of).or_default().push(parameter),
            }
        }
        parameters
    }

    pub(crate) fn of(&self, kind: &str) -> impl Iterator<Item = &Parameter> {
        let own = self.of_type.get(kind).into_iter().flatten();
        own.chain(&self.common)
    }

    pub(crate) fn named(&self, kind: &str, name: &str) -> &Parameter {
        let mut all = self.of(kind);
        let found = all.find(|parameter| parameter.name == name);
        found.expect("the search names a parameter")
    }

    /// The parameters of these types that no row is written for.
    pub(crate) fn left_out(&self, kinds: &BTreeSet<String>) -> Vec<String> {
        let of = |kind: &String| {
            let names = self.left_out.get(kind.as_str()).into_iter().flatten();
            let names = names.map(|name| format!("{kind}.{name}"));
            names.collect::<Vec<_>>()
        };
        kinds.iter().flat_map(of).collect()
    }
}

impl Parameter {
    /// `None` for what the SDK writes no rows for (composites, contact points), or what the paths here
    /// cannot express.
    fn of(
        name: &'static str,
        kind: &str,
        text: &'static str,
        targets: &'static str,
    ) -> Option<Self> {
        let kind = match kind {
            "date" => Kind::Date,
            "number" => Kind::Number,
            "quantity" => Kind::Quantity,
            "reference" => Kind::Reference,
            "string" => Kind::String,
            "token" => Kind::Token,
            "uri" => Kind::Uri,
            _ => return None,
        };
        let paths: Option<Vec<_>> = text.split(" | ").map(Path::of).collect();
        let paths = paths?;
        if kind == Kind::Token && paths.iter().any(|path| path.ends_in("telecom")) {
            return None;
        }
        Some(Self {
            name,
            text,
            kind,
            paths,
            targets,
        })
    }
}
