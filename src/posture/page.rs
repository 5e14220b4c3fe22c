//! The report as a page.

use super::finding::{Finding, FindingState, Posture};

pub(super) fn of(posture: &Posture) -> String {
    let mut page = String::from(HEAD);
    let at = jiff::Timestamp::from_microsecond(posture.at.to_micros());
    let at = at.map_or_else(|_| String::from("unknown"), |at| format!("{at:.0}"));
    page.push_str("<header><h1>How this vault is protected</h1><p>Vault <code>");
    text(&mut page, &posture.vault.to_string());
    page.push_str("</code>, as of ");
    text(&mut page, &at);
    page.push_str(".</p>");
    if !posture.vouched {
        page.push_str(
            "<p class=\"note\">The vault was not unlocked before this report was made. What is said \
             of key slots, limits and the anchor is what its files say; nothing vouches for it.</p>",
        );
    }
    page.push_str("<ul class=\"sums\">");
    for state in STATES {
        let count = posture
            .findings
            .iter()
            .filter(|finding| finding.state == state);
        page.push_str("<li class=\"");
        page.push_str(state.name());
        page.push_str("\"><b>");
        page.push_str(&count.count().to_string());
        page.push_str("</b> ");
        page.push_str(word(state));
        page.push_str("</li>");
    }
    page.push_str("</ul></header><main>");
    for state in STATES {
        let mut findings = posture
            .findings
            .iter()
            .filter(|finding| finding.state == state);
        if let Some(first) = findings.next() {
            page.push_str("<h2>");
            page.push_str(heading(state));
            page.push_str("</h2>");
            card(&mut page, first);
            findings.for_each(|finding| card(&mut page, finding));
        }
    }
    page.push_str(FOOT);
    page
}

/// The worst first.
const STATES: [FindingState; 4] = [
    FindingState::Problem,
    FindingState::Attention,
    FindingState::Unknown,
    FindingState::Good,
];

const fn word(state: FindingState) -> &'static str {
    match state {
        FindingState::Problem => "to mend",
        FindingState::Attention => "could be stronger",
        FindingState::Unknown => "for the app to answer",
        FindingState::Good => "as it should be",
    }
}

const fn heading(state: FindingState) -> &'static str {
    match state {
        FindingState::Problem => "To mend",
        FindingState::Attention => "Could be stronger",
        FindingState::Unknown => "For the app to answer",
        FindingState::Good => "As it should be",
    }
}

fn card(page: &mut String, finding: &Finding) {
    page.push_str("<section class=\"");
    page.push_str(finding.state.name());
    page.push_str("\"><h3>");
    text(page, finding.title);
    page.push_str(" <code>");
    text(page, finding.id);
    page.push_str("</code></h3><p>");
    text(page, &finding.evidence);
    page.push_str("</p>");
    if !finding.advice.is_empty() {
        page.push_str("<p class=\"advice\">");
        text(page, finding.advice);
        page.push_str("</p>");
    }
    page.push_str("<p class=\"controls\">");
    for (at, control) in finding.controls.iter().enumerate() {
        if at > 0 {
            page.push_str(" · ");
        }
        text(page, control);
    }
    page.push_str("</p></section>");
}

/// Text between tags: what a header says must not become a tag of the page.
fn text(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            other => page.push(other),
        }
    }
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<title>How this vault is protected</title><style>\
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6472;--paper:#fff;--line:#dfe3e8;\
--problem:#b3261e;--attention:#9a6700;--unknown:#3b5ba9;--good:#1a7f4b}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#a3adbb;--paper:#14181f;--line:#2c333d;\
--problem:#ff8a80;--attention:#ffc864;--unknown:#9db7ff;--good:#7ad6a5}}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}header,main,footer{max-width:52rem;margin:0 auto;padding:0 1.25rem}\
header{padding-top:2rem}h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}\
h3{font-size:1rem;margin:0}code{font:.85em ui-monospace,monospace;color:var(--soft);font-weight:400;\
overflow-wrap:anywhere}p{margin:.35rem 0}.note{border-left:3px solid var(--attention);padding-left:.75rem}\
.sums{list-style:none;display:flex;flex-wrap:wrap;gap:.5rem;padding:0;margin:1.25rem 0}\
.sums li{border:1px solid var(--line);border-radius:.5rem;padding:.35rem .75rem}\
section{border:1px solid var(--line);border-left-width:4px;border-radius:.5rem;padding:.75rem 1rem;\
margin:.6rem 0;break-inside:avoid}section.problem{border-left-color:var(--problem)}\
section.attention{border-left-color:var(--attention)}section.unknown{border-left-color:var(--unknown)}\
section.good{border-left-color:var(--good)}li.problem b{color:var(--problem)}\
li.attention b{color:var(--attention)}li.unknown b{color:var(--unknown)}li.good b{color:var(--good)}\
.advice{font-weight:600}.controls{color:var(--soft);font-size:.85rem}\
footer{color:var(--soft);font-size:.85rem;padding-bottom:2rem;margin-top:2rem}\
</style></head><body>";

const FOOT: &str = "</main><footer><p>Technical safeguards only, as the store and its process can see \
them. Whether an organisation complies with a law is decided by more than that. Sections are those of \
45 CFR 164.312; MASVS is OWASP's Mobile Application Security Verification Standard.</p></footer>\
</body></html>\n";
