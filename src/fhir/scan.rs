//! The pass over a document before anything parses it.
//!
//! **Does** find nesting beyond the limit, text that is not UTF-8, escapes that name half a
//! character, a member that an object has twice, an object with too many, and a number that nobody
//! can hold, in one pass.
//! **Never** judges the grammar of the rest: the parser does, and it no longer needs to recurse. Its
//! memory grows with depth and members of what it is inside of, not with the document.
//! **Format** JSON (RFC 8259).

use super::limits::Limits;
use super::names::Names;
use crate::error::ErrorKind;

/// The longest number, in bytes. FHIR R5 allows for 48, and R4 does not say.
const LONGEST_NUMBER: usize = 255;

/// What the pass found, and after how many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault<'a> {
    pub(super) kind: ErrorKind,
    /// The document up to the fault; a member that is there twice, or one too many, with its name.
    pub(super) before: &'a str,
}

/// The document as text, if it keeps to the limits and says one thing only.
pub(super) fn scan<'a>(json: &'a [u8], limits: &Limits) -> Result<&'a str, Fault<'a>> {
    let (text, whole) = match str::from_utf8(json) {
        Ok(text) => (text, true),
        Err(error) => {
            let valid = json.get(..error.valid_up_to()).unwrap_or_default();
            (str::from_utf8(valid).unwrap_or_default(), false)
        }
    };
    match first_fault(text, limits) {
        Some((at, kind)) => Err(Fault {
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

fn first_fault(text: &str, limits: &Limits) -> Option<(usize, ErrorKind)> {
    let mut names = Names::new(limits.members);
    let found = walk(text, limits, &mut names);
    // The objects that it ends inside of may have said something twice before that.
    let repeated = names.break_off().map(|name| repetition(text, name));
    let faults = [found, repeated].into_iter().flatten();
    faults.min_by_key(|(at, _)| *at)
}

/// Goes through the text to the first fault, but for names repeated in an object that is still open.
fn walk<'a>(text: &'a str, limits: &Limits, names: &mut Names<'a>) -> Option<(usize, ErrorKind)> {
    let bytes = text.as_bytes();
    let depth = usize::try_from(limits.depth).unwrap_or(usize::MAX);
    let malformed = |at| Some((at, ErrorKind::FhirMalformed));
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let dull = plain(rest, &STRUCTURE);
        if let Some(number) = rest.get(..dull).and_then(longest) {
            return malformed(at + number);
        }
        at += dull;
        match bytes.get(at)? {
            b'"' => {
                let start = at + 1;
                let (end, escaped) = match string_end(bytes, start)? {
                    Ok(end) => end,
                    Err(escape) => return malformed(escape),
                };
                at = end + 1;
                if is_name(bytes.get(at..)?) && names.add(text.get(start..end)?, escaped).is_none()
                {
                    return Some((at, ErrorKind::FhirTooMany));
                }
            }
            b'{' | b'[' if names.depth() >= depth => return Some((at, ErrorKind::FhirTooDeep)),
            b'{' | b'[' => {
                names.open();
                at += 1;
            }
            b'}' | b']' => {
                if let Some(name) = names.close() {
                    return Some(repetition(text, name));
                }
                at += 1;
            }
            _ => {
                let (start, end) = number_around(bytes, at);
                if !can_be_held(text.get(start..end)?) {
                    return malformed(start);
                }
                at += 1;
            }
        }
    }
}

/// The fault that is a name's second place: it ends with its quote.
fn repetition(text: &str, name: &str) -> (usize, ErrorKind) {
    let start = name.as_ptr().addr() - text.as_ptr().addr();
    (start + name.len() + 1, ErrorKind::FhirMalformed)
}

/// Where the string that begins at `at` ends, and whether it has escapes; the inner `Err` is where
/// half a character stands. `None` if it does not end.
fn string_end(bytes: &[u8], mut at: usize) -> Option<Result<(usize, bool), usize>> {
    let mut escaped = false;
    loop {
        let rest = bytes.get(at..)?;
        let dull = plain(rest, &STRING);
        at += dull;
        let found = rest.get(dull..)?;
        match found.first()? {
            b'"' => return Some(Ok((at, escaped))),
            _ => match escape_length(found) {
                Some(length) => at += length,
                None => return Some(Err(at)),
            },
        }
        escaped = true;
    }
}

/// Whether the string that ends before `rest` is a member's name.
fn is_name(rest: &[u8]) -> bool {
    let mut rest = rest.iter();
    rest.find(|byte| !b" \t\n\r".contains(byte)) == Some(&b':')
}

/// Signs to stop at, each with the bits that do not matter.
struct Signs<const N: usize>([(u8, u8); N]);

const STRING: Signs<2> = Signs([(b'"', 0), (b'\\', 0)]);
/// Both brackets of a kind, and both letters, differ in one bit.
const STRUCTURE: Signs<4> = Signs([(b'"', 0), (b'{', 0x20), (b'}', 0x20), (b'e', 0x20)]);

/// How many bytes come before the first such sign: nearly all are neither the end of a string nor a
/// bracket, so they are looked at by eights.
fn plain<const N: usize>(bytes: &[u8], signs: &Signs<N>) -> usize {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut passed = 0;
    for eight in eights {
        let met = signs.met(u64::from_le_bytes(*eight));
        if met != 0 {
            return passed + usize::try_from(met.trailing_zeros() / 8).unwrap_or_default();
        }
        passed += 8;
    }
    let rest = rest.iter().take_while(|byte| {
        let eight = [**byte, 0, 0, 0, 0, 0, 0, 0];
        signs.met(u64::from_le_bytes(eight)) == 0
    });
    passed + rest.count()
}

impl<const N: usize> Signs<N> {
    /// The lowest bit set is the top one of the first byte that is a sign.
    #[inline(always)]
    fn met(&self, eight: u64) -> u64 {
        const LOW: u64 = 0x0101_0101_0101_0101;
        self.0.iter().fold(0, |met, (sign, ignored)| {
            let other = (eight ^ (u64::from(*sign) * LOW)) & !(u64::from(*ignored) * LOW);
            met | (other.wrapping_sub(LOW) & !other & (LOW << 7))
        })
    }
}

/// Where a number longer than any may be begins, in text without a string or bracket.
fn longest(text: &[u8]) -> Option<usize> {
    if text.len() <= LONGEST_NUMBER {
        return None;
    }
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        match is_of_number(*byte) {
            true if at - start >= LONGEST_NUMBER => return Some(start),
            true => {}
            false => start = at + 1,
        }
    }
    None
}

/// From where to where the number reaches that has this byte, or just too far.
fn number_around(bytes: &[u8], at: usize) -> (usize, usize) {
    let reach = |bytes: &mut dyn Iterator<Item = &u8>| {
        let number = bytes
            .take(LONGEST_NUMBER)
            .take_while(|byte| is_of_number(**byte));
        number.count()
    };
    let (before, after) = bytes.split_at_checked(at).unwrap_or_default();
    (
        at - reach(&mut before.iter().rev()),
        at + reach(&mut after.iter()),
    )
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b"+-.eE".contains(&byte)
}

/// Whether a 64-bit float holds this number, if only nearly. What is none is left to the parser.
fn can_be_held(number: &str) -> bool {
    let Ok(value) = number.parse::<f64>() else {
        return number.len() <= LONGEST_NUMBER;
    };
    let digits = number.bytes().take_while(|byte| !b"eE".contains(byte));
    let mut digits = digits.filter(|byte| byte.is_ascii_digit());
    number.len() <= LONGEST_NUMBER
        && value.is_finite()
        && (value != 0.0 || digits.all(|digit| digit == b'0'))
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
        scan(json, &Limits::default().max_depth(3))
            .err()
            .map(|fault| fault.kind)
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
        let before = |json| {
            let limits = Limits::default().max_depth(2).max_members(2);
            scan(json, &limits).expect_err("a fault").before
        };
        assert_eq!(before(b"[[[["), "[[");
        assert_eq!(before(b"\"a\xff"), "\"a");
        assert_eq!(before(br#"{"a":1,"b":2,"c":3}"#), r#"{"a":1,"b":2,"c""#);
        assert_eq!(before(br#"{"a":1, "a" :2}"#), r#"{"a":1, "a""#);
        // The first of several, whatever is looked at first.
        assert_eq!(before(br#"{"a":1,"a":{"b":1,"b":2}}"#), r#"{"a":1,"a""#);
        assert_eq!(before(br#"{"a":1,"a":"\ud800"}"#), r#"{"a":1,"a""#);
        assert_eq!(before(br#"{"a":1,"a":["#), r#"{"a":1,"a""#);
        assert_eq!(
            before(br#"{"a":{"b":1,"b":2},"a":1}"#),
            r#"{"a":{"b":1,"b""#
        );
        assert_eq!(before(br#"[1, 1e999]"#), "[1, ");
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

    #[test]
    fn a_name_is_what_a_colon_follows() {
        assert_eq!(kind(br#"{"a":"a","b":["a","a"],"c" : "b"}"#), None);
        assert_eq!(kind(br#"[{"a":1},{"a":1}]"#), None);
        assert_eq!(
            kind(b"{\"a\":1,\"a\" \n\t:1}"),
            Some(ErrorKind::FhirMalformed)
        );
        assert_eq!(kind(br#""a":1,"a":2"#), None, "left to the parser");
    }

    #[test]
    fn a_number_that_no_float_holds_is_refused() {
        let digits = |count: usize| "1".repeat(count);
        for held in [
            "0",
            "-0.0",
            "1e308",
            "1E-307",
            "0e999999",
            "1.5e+3",
            "true",
            "false",
            "\"1e999\"",
            &digits(255),
            &vec![digits(9); 90].join(","),
            &format!("0.{}", digits(253)),
        ] {
            assert_eq!(kind(held.as_bytes()), None, "{held}");
        }
        for huge in [
            "1e309",
            "-1E999999",
            "1e-999999",
            "[1.5,1e+400]",
            "0.1e-400",
            &digits(256),
            &format!("[1,{}]", digits(10_000)),
            &format!("{}e{}", digits(150), digits(150)),
            &format!("1e{}", digits(10_000)),
        ] {
            assert_eq!(
                kind(huge.as_bytes()),
                Some(ErrorKind::FhirMalformed),
                "{huge}"
            );
        }
    }

    #[test]
    fn a_sign_is_met_wherever_it_stands() {
        for length in 0..40_usize {
            for at in 0..length {
                for sign in 0..=u8::MAX {
                    let mut bytes = vec![b' '; length];
                    *bytes.get_mut(at).expect("inside") = sign;
                    let met = |is: bool| if is { at } else { length };
                    assert_eq!(plain(&bytes, &STRING), met(b"\"\\".contains(&sign)));
                    assert_eq!(plain(&bytes, &STRUCTURE), met(b"\"{}[]eE".contains(&sign)));
                }
            }
        }
    }
}
