//! Time windows as aggregation functions: `mean5m`, `sum1h`, `max30s`.

use std::fmt;
use std::time::Duration;

/// The longest window, in seconds: a day.
pub const MAX_WINDOW_SECONDS: u32 = 24 * 3600;

/// A function of what was pushed within the last while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    function: WindowFunction,
    /// 1 to [`MAX_WINDOW_SECONDS`].
    seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowFunction {
    Mean,
    Sum,
    Min,
    Max,
}

const UNITS: [(char, u32); 3] = [('h', 3600), ('m', 60), ('s', 1)];

impl Window {
    /// `<function><N><s|m|h>`; `None`: the text is no window, or one of nothing or of more than a
    /// day.
    pub fn parse(text: &str) -> Option<Window> {
        let (function, span) = [
            ("mean", WindowFunction::Mean),
            ("avg", WindowFunction::Mean),
            ("sum", WindowFunction::Sum),
            ("min", WindowFunction::Min),
            ("max", WindowFunction::Max),
        ]
        .into_iter()
        .find_map(|(name, function)| Some((function, text.strip_prefix(name)?)))?;
        let (digits, unit) =
            UNITS.into_iter().find_map(|(name, unit)| Some((span.strip_suffix(name)?, unit)))?;
        // A number that begins with a plus sign parses too.
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<u32>().ok()?.checked_mul(unit)?;
        (1..=MAX_WINDOW_SECONDS).contains(&seconds).then_some(Window { function, seconds })
    }

    pub const fn function(self) -> WindowFunction {
        self.function
    }

    pub const fn length(self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }
}

impl fmt::Display for Window {
    /// In the longest unit of which the window is a whole number.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = match self.function {
            WindowFunction::Mean => "mean",
            WindowFunction::Sum => "sum",
            WindowFunction::Min => "min",
            WindowFunction::Max => "max",
        };
        let whole = UNITS.into_iter().find(|(_, unit)| self.seconds.is_multiple_of(*unit));
        let (name, unit) = whole.unwrap_or(('s', 1));
        write!(out, "{function}{}{name}", self.seconds / unit)
    }
}
