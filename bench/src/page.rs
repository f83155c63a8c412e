//! What the client keeps of an answer's body.
//!
//! Bodies are counted as they stream by and mostly thrown away: a client that gathered a 25 MB page would
//! stall its own pushes and blame the server for it.

/// How much of a body is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The first bytes, for an error message.
    Excerpt,
    /// The first bytes, and count the series lines.
    Series,
    /// Everything, and count the series lines.
    Whole,
}

const EXCERPT_BYTES: usize = 200;

/// A body, seen once from front to back.
#[derive(Clone, Debug)]
pub struct Page {
    keep: Keep,
    kept: Vec<u8>,
    bytes: u64,
    series: u64,
    at_line_start: bool,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        Self { keep, kept: Vec::new(), bytes: 0, series: 0, at_line_start: true }
    }

    /// Forgets the last body.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
        self.series = 0;
        self.at_line_start = true;
    }

    /// Takes the next part of the body.
    pub fn take(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        let room = match self.keep {
            Keep::Whole => part.len(),
            Keep::Excerpt | Keep::Series => EXCERPT_BYTES.saturating_sub(self.kept.len()),
        };
        self.kept.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
        if self.keep != Keep::Excerpt {
            self.count_series(part);
        }
    }

    /// The body's length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lines that are neither empty nor comments.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.series
    }

    /// What was kept.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    fn count_series(&mut self, part: &[u8]) {
        let mut rest = part;
        while let Some(first) = rest.first() {
            if self.at_line_start && !matches!(first, b'#' | b'\n') {
                self.series += 1;
            }
            match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    self.at_line_start = true;
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                None => {
                    self.at_line_start = false;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_counted_wherever_the_parts_are_cut() {
        let text = b"# HELP a b\n# TYPE a gauge\na 1\nb{x=\"#\"} 2\n\n# EOF\nc 3\n";
        for cut in 0..text.len() {
            let mut page = Page::new(Keep::Series);
            page.take(&text[..cut]);
            page.take(&text[cut..]);
            assert_eq!((page.series(), page.bytes()), (3, text.len() as u64), "cut at {cut}");
        }
    }

    #[test]
    fn only_a_whole_page_is_kept_whole() {
        let mut excerpt = Page::new(Keep::Excerpt);
        let mut whole = Page::new(Keep::Whole);
        for page in [&mut excerpt, &mut whole] {
            page.take(&[b'x'; 150]);
            page.take(&[b'x'; 150]);
        }
        assert_eq!((excerpt.kept().len(), whole.kept().len()), (200, 300));
    }
}
