//! A sum carried as two floats, so that moving a share between live and departed, in any order,
//! does not change the rounded result (docs/adr/0002).

use crate::{ABSENT, is_absent};

/// A sum `high + low`, with `high` the sum rounded to the nearest float.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    high: f64,
    low: f64,
}

impl Total {
    pub const ZERO: Total = Total { high: 0.0, low: 0.0 };
    pub const ABSENT: Total = Total::from_value(ABSENT);

    pub const fn from_value(value: f64) -> Total {
        Total { high: value, low: 0.0 }
    }

    /// Adds one float (Knuth's two-sum; exact while the terms span less than 106 bits).
    #[inline]
    pub fn add(&mut self, value: f64) {
        let (sum, error) = two_sum(self.high, value);
        if sum.is_infinite() {
            (self.high, self.low) = (sum, 0.0);
            return;
        }
        (self.high, self.low) = fast_two_sum(sum, error + self.low);
    }

    /// Adds another sum.
    #[inline]
    pub fn add_total(&mut self, other: Total) {
        let (high, high_error) = two_sum(self.high, other.high);
        if high.is_infinite() {
            (self.high, self.low) = (high, 0.0);
            return;
        }
        let (low, low_error) = two_sum(self.low, other.low);
        let (high, rest) = fast_two_sum(high, high_error + low);
        (self.high, self.low) = fast_two_sum(high, rest + low_error);
    }

    /// Adds one float to what may be [`ABSENT`] so far.
    #[inline]
    pub fn join(&mut self, value: f64) {
        if is_absent(self.high) {
            *self = Total::from_value(value);
        } else {
            self.add(value);
        }
    }

    /// Adds another sum; either may be [`ABSENT`].
    pub fn join_total(&mut self, other: Total) {
        if is_absent(self.high) {
            *self = other;
        } else if !other.is_absent() {
            self.add_total(other);
        }
    }

    /// Nothing was added.
    pub const fn is_absent(self) -> bool {
        is_absent(self.high)
    }

    pub fn subtract(&mut self, value: f64) {
        self.add(-value);
    }

    /// The sum rounded to one float.
    #[inline]
    pub const fn value(self) -> f64 {
        self.high
    }

    pub fn is_zero(self) -> bool {
        self == Total::ZERO
    }

    /// What [`Total::parts`] gave.
    pub const fn from_parts(high: f64, low: f64) -> Total {
        Total { high, low }
    }

    /// The two floats, for a snapshot.
    pub const fn parts(self) -> (f64, f64) {
        (self.high, self.low)
    }
}

#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let a_part = sum - b_part;
    (sum, (a - a_part) + (b - b_part))
}

/// Requires `|a| >= |b|` or `a == 0`.
#[inline]
fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the results are exact")]
mod tests {
    use super::Total;

    #[test]
    fn order_of_adding_does_not_change_the_sum() {
        let values: Vec<f64> =
            (1..400).map(|n| f64::from(n) * 0.1 + 1.0e9 / f64::from(n)).collect();
        let mut forward = Total::ZERO;
        let mut backward = Total::ZERO;
        values.iter().for_each(|v| forward.add(*v));
        values.iter().rev().for_each(|v| backward.add(*v));
        assert_eq!(forward.value().to_bits(), backward.value().to_bits());
    }

    #[test]
    fn a_share_that_leaves_and_returns_leaves_no_trace() {
        let mut total = Total::from_value(0.1);
        total.add(0.2);
        let before = total;
        total.add(1.0e15 + 0.7);
        total.subtract(1.0e15 + 0.7);
        assert_eq!(total.value().to_bits(), before.value().to_bits());
    }

    #[test]
    fn integers_are_exact_to_2_to_the_53() {
        let mut total = Total::ZERO;
        for _ in 0..1000 {
            total.add(9_007_199_254_740.0);
        }
        assert_eq!(total.value(), 9_007_199_254_740_000.0);
    }
}
