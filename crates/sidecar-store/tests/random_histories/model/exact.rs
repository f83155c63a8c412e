//! Sums without rounding, for numbers between 2^-80 and 2^40.

use std::ops::{Add, AddAssign, Neg};

const FRACTION_BITS: i32 = 80;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exact(i128);

impl Exact {
    pub(crate) fn of(value: f64) -> Exact {
        let scaled = value * 2.0_f64.powi(FRACTION_BITS);
        assert!(scaled.abs() < 2.0_f64.powi(126), "{value} is too large for the model");
        Exact(scaled as i128)
    }

    /// Rounded once, to the nearest float.
    pub(crate) fn value(self) -> f64 {
        self.0 as f64 / 2.0_f64.powi(FRACTION_BITS)
    }
}

impl Add for Exact {
    type Output = Exact;
    fn add(self, other: Exact) -> Exact {
        Exact(self.0 + other.0)
    }
}

impl AddAssign for Exact {
    fn add_assign(&mut self, other: Exact) {
        self.0 += other.0;
    }
}

impl Neg for Exact {
    type Output = Exact;
    fn neg(self) -> Exact {
        Exact(-self.0)
    }
}
