//! The pass over a document before anything parses it.
//!
//! **Does** find nesting beyond the limit, text that is not UTF-8 and escapes that name half a
//! character, in one pass and constant memory.
//! **Never** judges the grammar of the rest: the parser does, and it no longer needs to recurse.
//! **Format** JSON (RFC 8259).

use crate::error::ErrorKind;

/// What the pass found, and after how many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault<'a> {
    pub(super) kind: ErrorKind,
    /// The document up to the fault.
    pub(super) before: &'a str,
}

/// The document as text, if it keeps to `max_depth` and holds whole characters only.
pub(super) fn scan(json: &[u8], max_depth: u32) -> Result<&str, Fault<'_>> {
    let (text, whole) = match str::from_utf8(json) {
        Ok(text) => (text, true),
        Err(error) => {
            let valid = json.get(..error.valid_up_to()).unwrap_or_default();
            (str::from_utf8(valid).unwrap_or_default(), false)
        }
    };
    match first_fault(text, max_depth) {
        Some((kind, at)) => Err(Fault {
            kind,
            before: text.get(..at).unwrap_or_default(),
        }),
        None if whole => Ok(text),
        None => Err(Fault {
            kind: ErrorKind::FhirMalformed,
            before: text,
        }),
    }
}

fn first_fault(text: &str, max_depth: u32) -> Option<(ErrorKind, usize)> {
    let mut depth = 0_u32;
    let mut in_string = false;
    let mut rest = text.as_bytes();
    loop {
        // Two tight loops: nearly all bytes are neither the end of a string nor a bracket.
        let dull = match in_string {
            true => rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?,
            false => rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))?,
        };
        let (_, found) = rest.split_at_checked(dull)?;
        let fault = |kind| Some((kind, text.len() - found.len()));
        let mut length = 1;
        match found.first()? {
            b'"' => in_string = !in_string,
            b'\\' => match escape_length(found) {
                Some(escape) => length = escape,
                None => return fault(ErrorKind::FhirMalformed),
            },
            b'{' | b'[' if depth >= max_depth => return fault(ErrorKind::FhirTooDeep),
            b'{' | b'[' => depth += 1,
            _ => depth = depth.saturating_sub(1),
        }
        rest = found.get(length..)?;
    }
}

/// How many bytes the escape at the start of `text` takes, a surrogate pair counting as one;
/// `None` for half a pair and for digits that are none. The parser refuses unknown letters.
fn escape_length(text: &[u8]) -> Option<usize> {
    if text.get(1) != Some(&b'u') {
        return Some(2);
    }
    match code_unit(text)? {
        0xD800..=0xDBFF => match code_unit(text.get(6..)?)? {
            0xDC00..=0xDFFF => Some(12),
            _ => None,
        },
        0xDC00..=0xDFFF => None,
        _ => Some(6),
    }
}

/// The UTF-16 code unit that `\uXXXX` at the start of `text` stands for.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().try_fold(0, |value, &digit| {
        Some(value * 16 + char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(json: &[u8]) -> Option<ErrorKind> {
        scan(json, 3).err().map(|fault| fault.kind)
    }

    #[test]
    fn nesting_is_counted_outside_strings_only() {
        assert_eq!(kind(br#"{"a":[{}],"b":[[]]}"#), None);
        assert_eq!(kind(br#"{"a":[{"b":[]}]}"#), Some(ErrorKind::FhirTooDeep));
        assert_eq!(kind(br#"{"a":"[[[[[[\"[[[[[[\\"}"#), None);
        assert_eq!(kind(&b"[".repeat(1 << 20)), Some(ErrorKind::FhirTooDeep));
        assert_eq!(kind(&b"]".repeat(1 << 20)), None, "left to the parser");
    }

    #[test]
    fn a_fault_tells_what_stands_before_it() {
        assert_eq!(scan(b"[[[[", 2).expect_err("too deep").before, "[[");
        assert_eq!(scan(b"\"a\xff", 2).expect_err("not UTF-8").before, "\"a");
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for whole in [
            r#""\u00e9""#,
            r#""\ud83d\ude00""#,
            r#""\\ud83d""#,
            r#""\n""#,
        ] {
            assert_eq!(kind(whole.as_bytes()), None, "{whole}");
        }
        for half in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83dx""#,
            r#""\ud83d\u0041""#,
            r#""\uD83D\uD83D\uDE00""#,
            r#""\u00g0""#,
            r#""\u00"#,
        ] {
            let found = kind(half.as_bytes());
            assert_eq!(found, Some(ErrorKind::FhirMalformed), "{half}");
        }
    }
}
