//! Durations as text, alike in flags, environment, file and `?ttl=`: `90s`, `1h30m`, `500ms`, or a
//! number of seconds. Resolution is the store's millisecond; what is finer is cut off.

use std::time::Duration;

/// Far above any use, far below where adding to a clock could overflow.
const MOST: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Longest first: parts must come in this order.
const UNITS: [(&str, u128); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const MAX_FRACTION_DIGITS: usize = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("not a duration: write 90s, 1h30m, 500ms or a number of seconds")]
    Malformed,
    #[error("longer than 3650 days")]
    TooLong,
}

/// Reads a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut next_unit = 0;
    let mut sum_ms: u128 = 0;
    loop {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after, |c| c.is_ascii_alphabetic());
        let unit_ms = if unit.is_empty() {
            // A bare number is seconds, and then it is the whole text.
            if number.len() != text.len() {
                return Err(DurationError::Malformed);
            }
            1_000
        } else {
            let found = UNITS.iter().position(|(name, _)| *name == unit);
            let index = found.filter(|i| *i >= next_unit).ok_or(DurationError::Malformed)?;
            next_unit = index + 1;
            UNITS.get(index).ok_or(DurationError::Malformed)?.1
        };
        sum_ms = sum_ms.saturating_add(scaled(number, unit_ms)?);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let sum_ms = u64::try_from(sum_ms).map_err(|_| DurationError::TooLong)?;
    Some(Duration::from_millis(sum_ms)).filter(|d| *d <= MOST).ok_or(DurationError::TooLong)
}

/// The text that [`parse`] reads back, in the units a person would choose.
pub(super) fn render(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    if rest == 0 {
        return "0s".to_owned();
    }
    if rest < 120_000 && rest.is_multiple_of(1_000) {
        return format!("{}s", rest / 1_000);
    }
    let mut text = String::new();
    // Days are read but not written: 24h is how people say it.
    for (name, unit_ms) in UNITS.into_iter().skip(1) {
        let count = rest / unit_ms;
        rest %= unit_ms;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
    }
    text
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `number` (digits, perhaps with a fraction) times `unit_ms`, in whole milliseconds.
fn scaled(number: &str, unit_ms: u128) -> Result<u128, DurationError> {
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return Err(DurationError::Malformed),
        Some(parts) => parts,
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return Err(DurationError::Malformed);
    }
    if whole.len() > 18 {
        return Err(DurationError::TooLong);
    }
    if fraction.len() > MAX_FRACTION_DIGITS {
        return Err(DurationError::Malformed);
    }
    let digits: u128 =
        format!("{whole}{fraction:0<9}").parse().map_err(|_| DurationError::Malformed)?;
    Ok(digits * unit_ms / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::{DurationError, parse, render};
    use std::time::Duration;

    #[test]
    fn durations_are_read_in_every_documented_form() {
        for (text, ms) in [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("60", 60_000),
            ("0.5", 500),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("1m500ms", 60_500),
            ("2d", 172_800_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0", 0),
            ("0s", 0),
            ("0.0009", 0),
            ("1.123456789s", 1_123),
            ("3650d", 315_360_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "-1",
            "+1",
            "1 s",
            "1x",
            "1S",
            "1m1h",
            "1h1h",
            "1h30",
            "30 ",
            "1e3",
            ".5",
            "5.",
            "1..2",
            "1.2.3",
            ".",
            "inf",
            "NaN",
            "1.0123456789",
            "1s\n",
            "٣s",
        ] {
            assert_eq!(parse(text), Err(DurationError::Malformed), "{text:?}");
        }
        for text in ["3651d", "99999999999", "9999999999999999999", "999999999999999999d"] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text}");
        }
    }

    #[test]
    fn a_written_duration_is_read_back() {
        for (ms, text) in [
            (0, "0s"),
            (60_000, "60s"),
            (90_000, "90s"),
            (120_000, "2m"),
            (150_000, "2m30s"),
            (3_600_000, "1h"),
            (86_400_000, "24h"),
            (1_500, "1s500ms"),
        ] {
            assert_eq!(render(Duration::from_millis(ms)), text);
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)));
        }
    }
}
