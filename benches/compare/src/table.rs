//! The figures as a table for people, and as JSON for programs.

use serde_json::{Value, json};

use super::contest::{Figure, Line};
use super::player::Peer;

/// The head and a row for each line: medians with the ratio to plain SQLite, and by how much
/// Vitalock is ahead of the others that seal.
pub(crate) fn rows(lines: &[Line]) -> Vec<Vec<String>> {
    let others = || Peer::ALL.iter().filter(|peer| !is_end(peer));
    let mut head = vec![String::new(), "records".to_owned()];
    head.extend(Peer::ALL.iter().map(|peer| peer.title.to_owned()));
    head.extend(others().map(|peer| format!("{} ÷ Vitalock", peer.title)));
    let mut rows = vec![head];
    for line in lines {
        let mut row = vec![line.metric.title.to_owned(), grouped(line.size)];
        row.extend(Peer::ALL.iter().map(|peer| cell(line, peer)));
        row.extend(others().map(|peer| {
            let figure = figure(line, peer);
            figure.map_or_else(absent, |figure| format!("{:.2}", figure.to_vitalock))
        }));
        rows.push(row);
    }
    rows
}

/// What the dashes in the table are for.
pub(crate) fn notes(lines: &[Line]) -> Vec<String> {
    let largest = lines.iter().map(|line| line.size).max().unwrap_or(0);
    let left_out = Peer::ALL.iter().filter(|peer| peer.most < largest);
    let note = |peer: &Peer| {
        let (title, most) = (peer.title, grouped(peer.most));
        format!("{title} is too slow to be measured at more than {most} records.")
    };
    left_out.map(note).collect()
}

/// The rows in columns, the first to the left and the others to the right.
pub(crate) fn plain(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..rows[0].len()).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cell = |(column, (cell, width)): (usize, (&String, &usize))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        };
        cells.map(cell).collect::<String>()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The rows as Markdown has them.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let line = |row: &[String]| format!("| {} |\n", row.join(" | "));
    let (head, body) = rows.split_first().expect("a table has a head");
    let rule = head.iter().enumerate().map(|(column, _)| match column {
        0 => "---".to_owned(),
        _ => "--:".to_owned(),
    });
    let rule: Vec<_> = rule.collect();
    let body: String = body.iter().map(|row| line(row)).collect();
    line(head) + &line(&rule) + &body
}

pub(crate) fn json(lines: &[Line]) -> String {
    let of_line = |line: &Line| {
        let (metric, size) = (line.metric, line.size);
        let entry = move |figure: &Figure| {
            json!({
                "peer": figure.peer.name,
                "metric": metric.name,
                "size": size,
                "median": figure.median,
                "unit": metric.unit,
                "ratio_to_plain": figure.to_plain,
                "ratio_to_vitalock": figure.to_vitalock,
            })
        };
        line.figures.iter().map(entry).collect::<Vec<_>>()
    };
    let entries: Value = lines.iter().flat_map(of_line).collect();
    serde_json::to_string_pretty(&entries).expect("numbers and names are JSON") + "\n"
}

/// A whole number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether it is the floor, or Vitalock itself: no ratio of its own is worth a column.
fn is_end(peer: &Peer) -> bool {
    ["plain", "vitalock", "aws-lc"].contains(&peer.name)
}

fn figure<'a>(line: &'a Line, peer: &Peer) -> Option<&'a Figure> {
    line.figures.iter().find(|figure| figure.peer == peer)
}

fn cell(line: &Line, peer: &Peer) -> String {
    let Some(figure) = figure(line, peer) else {
        return absent();
    };
    let median = match line.metric.unit {
        "bytes" if figure.median < 1e9 => format!("{:.1}", figure.median / 1e6),
        "bytes" => grouped((figure.median / 1e6).round() as u64),
        _ => three_figures(figure.median),
    };
    match peer.name {
        "plain" => median,
        _ => format!("{median} ({:.2})", figure.to_plain),
    }
}

fn absent() -> String {
    "–".to_owned()
}

pub(crate) fn three_figures(value: f64) -> String {
    match value {
        _ if value >= 100.0 => grouped(value.round() as u64),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
