//! Which parameters there are, as docs/search-parameters.md tells.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vitalock::fhir::search_parameters;

const PAGE: &str = include_str!("../../docs/search-parameters.md");
const HEAD: &str = "| type | parameter | kind | expression | |\n|---|---|---|---|---|\n";

#[test]
fn the_page_lists_every_pair_of_type_and_parameter() {
    let mut table = HEAD.to_owned();
    // Those of all types once, as the definitions have them.
    let mut common = BTreeMap::new();
    let mut lines = Vec::new();
    for parameter in search_parameters() {
        let root = if parameter.code().starts_with('_') {
            common.entry(parameter.code()).or_insert(parameter);
            continue;
        } else {
            parameter.resource_type()
        };
        lines.push((root, parameter));
    }
    lines.splice(
        0..0,
        common
            .into_values()
            .map(|parameter| ("Resource", parameter)),
    );
    let (mut all, mut supported) = (0, 0);
    for (root, parameter) in lines {
        all += 1;
        supported += usize::from(parameter.is_supported());
        let note = match (parameter.is_supported(), parameter.kind()) {
            (true, _) => "",
            (false, "special") => "not supported: of no kind that is compared",
            (false, _) => "not supported: the definition has no expression",
        };
        let expression = match parameter.expression() {
            "" => String::new(),
            expression => format!("`{}`", expression.replace('|', "\\|")),
        };
        writeln!(
            table,
            "| {root} | {} | {} | {expression} | {note} |",
            parameter.code(),
            parameter.kind()
        )
        .unwrap();
    }
    let (_, written) = PAGE.split_once(HEAD).expect("the page has the table");
    let (_, made) = table.split_once(HEAD).unwrap();
    if std::env::var_os("VITALOCK_WRITE_DOCS").is_some() {
        let (head, _) = PAGE.split_once(HEAD).unwrap();
        std::fs::write("docs/search-parameters.md", format!("{head}{HEAD}{made}")).unwrap();
        return;
    }
    // VITALOCK_WRITE_DOCS=1 writes it.
    assert!(
        written == made,
        "the table of docs/search-parameters.md is another"
    );
    assert_eq!((all, supported), (1709, 1705));
    assert!(PAGE.contains("1,705 of 1,709"));
}
