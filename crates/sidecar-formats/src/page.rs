//! What every encoder makes of an exposition.

/// One exposition on its way out, in one format.
pub trait Page: Send {
    /// Appends until `out` has `enough` bytes, or a little more; whether there is more to come.
    fn write_some(&mut self, enough: usize, out: &mut Vec<u8>) -> bool;

    fn encoded(&self) -> Encoded;
}

/// What could not be printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Label sets that the format's names would make equal to another's, and those of whole
    /// families of which this is true.
    pub left_out: usize,
}
