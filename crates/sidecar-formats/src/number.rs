//! The only number text: how a value is printed and which texts are numbers.
//!
//! Out: as Prometheus's own writer lays numbers out (Go's `FormatFloat(v, 'g', -1, 64)`): the
//! shortest digits that read back as the same float, with an exponent below 1e-4 and from 1e6 on.
//! In: decimal only; Rust's own parser takes a signed NaN and turns 1e400 into infinity, Go's
//! refuses both, and so does this.

use std::io::Write as _;

/// From here on the text has an exponent.
const EXPONENT_FROM: f64 = 1e6;
/// Below this the text has an exponent.
const EXPONENT_BELOW: f64 = 1e-4;
/// Integers below this are exact floats, and so their digits are the shortest ones.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
/// The same as an integer.
const EXACT_MANTISSA: u64 = 1 << 53;
/// Decimal digits that always fit 64 bits.
const U64_DIGITS: usize = 19;

/// Powers of ten that are exact floats.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Appends the text of `value`.
#[inline]
pub fn write_value(value: f64, out: &mut Vec<u8>) {
    if let Some(whole) = as_integer(value) {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(whole).as_bytes();
        if value.abs() < EXPONENT_FROM {
            out.extend_from_slice(text);
        } else {
            write_large_integer(text, out);
        }
    } else if value.is_finite() {
        write_fraction(value, out);
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

/// Appends the text of `value` as OpenMetrics has it: a float shows that it is one.
#[inline]
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    match as_integer(value) {
        Some(whole) if value.abs() < EXPONENT_FROM => {
            out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
            out.extend_from_slice(b".0");
        }
        Some(_) | None => write_value(value, out),
    }
}

/// Appends a count as OpenMetrics has it: digits alone.
#[inline]
pub fn write_count(value: f64, out: &mut Vec<u8>) {
    match as_integer(value) {
        Some(whole) => out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes()),
        None => write_decimal(value, out),
    }
}

/// Appends a finite value without an exponent: some readers of times take none.
pub fn write_decimal(value: f64, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    write!(out, "{value}").unwrap_or_default();
}

/// The value as an integer when it is one and is exact.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates and is checked by its inverse"
)]
#[expect(clippy::cast_precision_loss, reason = "below 2^53 there is none")]
fn as_integer(value: f64) -> Option<i64> {
    let whole = value as i64;
    (value.abs() < EXACT_BELOW && whole as f64 - value == 0.0).then_some(whole)
}

/// `text`: an integer of at least 7 digits, perhaps with a sign.
fn write_large_integer(text: &[u8], out: &mut Vec<u8>) {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.len() != text.len() {
        out.push(b'-');
    }
    write_scientific(digits, &[], digits.len().saturating_sub(1), b'+', out);
}

/// A finite value that is no exact integer.
fn write_fraction(value: f64, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let magnitude = value.abs();
    if (EXPONENT_BELOW..EXPONENT_FROM).contains(&magnitude) {
        out.extend_from_slice(text);
        return;
    }
    let text = match text.strip_prefix(b"-") {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => text,
    };
    match text.iter().position(|b| *b == b'e') {
        Some(at) => write_exponent_anew(text, at, out),
        None if magnitude < 1.0 => write_small(text, out),
        None => write_large(text, out),
    }
}

/// `1.5e-7` as `1.5e-07`: the exponent gets its sign and two digits.
fn write_exponent_anew(text: &[u8], at: usize, out: &mut Vec<u8>) {
    let (digits, exponent) = text.split_at_checked(at).unwrap_or((text, &[]));
    let exponent = exponent.strip_prefix(b"e").unwrap_or(exponent);
    let (sign, exponent) = match exponent.split_first() {
        Some((b'-', rest)) => (b'-', rest),
        Some((b'+', rest)) => (b'+', rest),
        Some(_) | None => (b'+', exponent),
    };
    out.extend_from_slice(digits);
    out.extend_from_slice(&[b'e', sign]);
    if exponent.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(exponent);
}

/// `0.00001234` as `1.234e-05`.
fn write_small(text: &[u8], out: &mut Vec<u8>) {
    let fraction = text.strip_prefix(b"0.").unwrap_or(text);
    let zeros = fraction.iter().take_while(|b| **b == b'0').count();
    let digits = fraction.get(zeros..).unwrap_or_default();
    write_scientific(digits, &[], zeros.saturating_add(1), b'-', out);
}

/// `1234567.5` as `1.2345675e+06`.
fn write_large(text: &[u8], out: &mut Vec<u8>) {
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let (whole, fraction) = text.split_at_checked(point).unwrap_or((text, &[]));
    let fraction = fraction.strip_prefix(b".").unwrap_or(fraction);
    write_scientific(whole, fraction, whole.len().saturating_sub(1), b'+', out);
}

/// The digits `whole` then `fraction`, a point behind the first, no zeros at the end.
fn write_scientific(whole: &[u8], fraction: &[u8], exponent: usize, sign: u8, out: &mut Vec<u8>) {
    let Some((first, whole)) = whole.split_first() else { return };
    out.extend_from_slice(&[*first, b'.']);
    out.extend_from_slice(whole);
    out.extend_from_slice(fraction);
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
    out.extend_from_slice(&[b'e', sign]);
    if exponent < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

/// The number that the whole of `text` is: decimal, or infinity, or NaN (in any letter case, NaN
/// without a sign). `None`: no number, or too large for a float.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    if let Some((value, len)) = plain_decimal(text)
        && len == text.len()
    {
        return Some(value);
    }
    if text.iter().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return finite(text);
    }
    let (negative, word) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        Some(_) | None => (false, text),
    };
    if word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    text.eq_ignore_ascii_case(b"nan").then_some(f64::NAN)
}

fn finite(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// The JSON number that `bytes` begin with, and its length. `None`: none, or too large for a
/// float.
#[inline]
pub(crate) fn json_number(bytes: &[u8]) -> Option<(f64, usize)> {
    match plain_decimal(bytes) {
        Some(found) => Some(found),
        None => long_json_number(bytes),
    }
}

fn long_json_number(bytes: &[u8]) -> Option<(f64, usize)> {
    let len = json_number_len(bytes)?;
    Some((finite(bytes.get(..len)?)?, len))
}

/// The length of the JSON number that `bytes` begin with, whatever its size.
pub(crate) fn json_number_len(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let rest = bytes.get(sign..)?;
    let whole = count_digits(rest);
    if whole == 0 || (whole > 1 && rest.first() == Some(&b'0')) {
        return None;
    }
    let mut rest = rest.get(whole..)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = fraction.get(at_least_one(count_digits(fraction))?..)?;
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let digits = match exponent.split_first() {
            Some((b'+' | b'-', digits)) => digits,
            Some(_) | None => exponent,
        };
        rest = digits.get(at_least_one(count_digits(digits))?..)?;
    }
    bytes.len().checked_sub(rest.len())
}

fn count_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn at_least_one(count: usize) -> Option<usize> {
    (count > 0).then_some(count)
}

/// The plain decimal that `bytes` begin with, when it is short enough that one division of two
/// exact floats gives the right value; also a JSON number. `None` says nothing about the bytes.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "at most 2^53: there is none")]
fn plain_decimal(bytes: &[u8]) -> Option<(f64, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut mantissa = 0;
    let mut at = read_digits(bytes, start, &mut mantissa);
    let whole = at - start;
    if whole == 0 || (whole > 1 && bytes.get(start) == Some(&b'0')) {
        return None;
    }
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        let point = at + 1;
        at = read_digits(bytes, point, &mut mantissa);
        fraction = at - point;
        if fraction == 0 {
            return None;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E'))
        || whole + fraction > U64_DIGITS
        || mantissa > EXACT_MANTISSA
    {
        return None;
    }
    let mut value = mantissa as f64;
    if fraction > 0 {
        value /= POWERS.get(fraction)?;
    }
    Some((if negative { -value } else { value }, at))
}

/// Reads digits from `at` on into `value` (which wraps around when there are too many) and gives
/// the place behind them.
#[inline]
fn read_digits(bytes: &[u8], mut at: usize, value: &mut u64) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk) ^ 0x3030_3030_3030_3030;
        // A byte above 9 shows its top bit; a carry can only disturb bytes behind the first such.
        let other = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
        if other == 0 {
            *value = value.wrapping_mul(100_000_000).wrapping_add(eight_digits(word));
            at += 8;
            continue;
        }
        let bits = other.trailing_zeros() & 0x38;
        if bits > 0 {
            let scale = INTEGER_POWERS.get(bits as usize / 8).copied().unwrap_or(1);
            let digits = eight_digits(word << (64 - bits));
            *value = value.wrapping_mul(scale).wrapping_add(digits);
        }
        return at + bits as usize / 8;
    }
    while let Some(byte) = bytes.get(at)
        && byte.is_ascii_digit()
    {
        *value = value.wrapping_mul(10).wrapping_add(u64::from(byte & 15));
        at += 1;
    }
    at
}

const INTEGER_POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Eight digits, one a byte, the first in the lowest.
#[inline]
const fn eight_digits(word: u64) -> u64 {
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::{json_number, json_number_len, parse_f64, write_value};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_laid_out_as_prometheus_does() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (-1e6, "-1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (-1_234_567.5, "-1.2345675e+06"),
            (100_000.5, "100000.5"),
            (999_999.999, "999999.999"),
            (1_000_000_000_123.0, "1.000000000123e+12"),
            (12_345_678_900.0, "1.23456789e+10"),
            (9_007_199_254_740_991.0, "9.007199254740991e+15"),
            (9_007_199_254_740_992.0, "9.007199254740992e+15"),
            (9_007_199_254_740_994.0, "9.007199254740994e+15"),
            (1e15, "1e+15"),
            (1e16, "1e+16"),
            (1e17, "1e+17"),
            (1e21, "1e+21"),
            (1e22, "1e+22"),
            (1.5e100, "1.5e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (0.0001, "0.0001"),
            (0.000_123, "0.000123"),
            (0.000_099_9, "9.99e-05"),
            (1e-5, "1e-05"),
            (-1.234e-5, "-1.234e-05"),
            (1e-7, "1e-07"),
            (0.1, "0.1"),
            (0.3, "0.3"),
            (2.5, "2.5"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn only_decimal_numbers_infinity_and_plain_nan_are_read() {
        for (text, expected) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-1.50", -1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("007", 7.0),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("12345678901234567890", 12_345_678_901_234_567_890.0),
            ("0.12345678901234567", 0.123_456_789_012_345_67),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("5e-324", 5e-324),
            ("1e-400", 0.0),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(
                parse_f64(text.as_bytes()).map(f64::to_bits),
                Some(expected.to_bits()),
                "{text}"
            );
        }
        for text in ["nan", "NaN", "NAN"] {
            assert!(parse_f64(text.as_bytes()).unwrap().is_nan());
        }
        for text in [
            "", " 1", "1 ", "+nan", "-NaN", "1e400", "-1e400", "0x10", "0b1", "1_000", ".", "-",
            "e5", "1e", "--1", "1,5", "infin", "\u{661}",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn json_numbers_end_where_the_grammar_ends_them() {
        for (text, len) in
            [("0}", 1), ("-0.50,", 5), ("1e+5]", 4), ("12345678}", 8), ("1.5E3x", 5), ("10 ", 2)]
        {
            assert_eq!(json_number_len(text.as_bytes()), Some(len), "{text}");
            assert_eq!(json_number(text.as_bytes()).map(|n| n.1), Some(len), "{text}");
        }
        for text in ["", "-", "+1", "01", "00", ".5", "1.", "1.}", "1e", "1e+", "x", "-x"] {
            assert_eq!(json_number(text.as_bytes()), None, "{text}");
            assert_eq!(json_number_len(text.as_bytes()), None, "{text}");
        }
        assert_eq!(json_number(b"1e400"), None);
        assert_eq!(json_number_len(b"1e400"), Some(5));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let read = parse_f64(text(value).as_bytes()).unwrap();
            prop_assert!(read.to_bits() == bits || (value.is_nan() && read.is_nan()) || value == 0.0);
        }

        #[test]
        fn short_decimals_read_as_std_reads_them(
            whole in any::<u64>(), fraction in any::<u32>(), shift in 0..60_u32, zeros in 0..12_usize,
        ) {
            let text = format!("{}.{:0zeros$}{fraction}", whole >> shift, 0);
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(expected.to_bits()));
            let with_more = format!("{text}}}]}},");
            prop_assert_eq!(json_number(with_more.as_bytes()), Some((expected, text.len())));
        }

        #[test]
        fn the_exponent_stands_exactly_outside_the_plain_range(
            mantissa in -1e3..1e3_f64, exponent in -12..12_i32,
        ) {
            let value = mantissa * 10_f64.powi(exponent);
            let plain = value == 0.0 || (1e-4..1e6).contains(&value.abs());
            prop_assert_eq!(!text(value).contains('e'), plain);
        }
    }
}
