//! What every decoder says of a body that it refuses.

/// Why a body is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct DecodeError {
    /// Stable code for answers, logs and metrics.
    pub code: &'static str,
    /// The place in the format's own terms: `[3].values[0].labels.c`, `line 3`; empty: the body as
    /// a whole.
    pub at: String,
    /// With line and column where the format has lines, both from 1, the column in characters.
    pub message: String,
}

/// Line and column of `offset`, both from 1, the column in characters.
pub(crate) fn line_and_column(body: &[u8], offset: usize) -> (usize, usize) {
    let before = body.get(..offset).unwrap_or(body);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before
        .iter()
        .rev()
        .take_while(|byte| **byte != b'\n')
        .filter(|byte| **byte & 0xc0 != 0x80)
        .count();
    (line, column + 1)
}
