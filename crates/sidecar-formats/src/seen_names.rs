//! Whether a label's name may have come twice, at the cost of a few instructions.

/// A bit for each name so far, equal ones the same: as long as none comes twice, no name does.
#[derive(Debug, Default)]
pub(crate) struct SeenNames(u64);

impl SeenNames {
    /// Whether the name may have come before; notes it.
    #[inline]
    pub(crate) fn may_have(&mut self, name: &str) -> bool {
        let last = name.as_bytes().last().copied().unwrap_or(0);
        let bit = 1 << ((name.len() * 11 + usize::from(last)) & 63);
        let may = self.0 & bit != 0;
        self.0 |= bit;
        may
    }
}
