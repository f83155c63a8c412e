//! Whose the staged things are, found once when the body is decoded: a body may name as many
//! writers as it has samples.

use super::{ParsedSample, Stager};
use crate::by_writer::ByWriter;
use crate::exemplars::Staged;

#[derive(Debug)]
pub(super) struct Shares {
    samples: ByWriter,
    natives: ByWriter,
    exemplars: ByWriter,
}

impl Stager<'_> {
    fn shares(&self) -> &Shares {
        self.shares.get_or_init(|| {
            let writer_of = |staged: &Staged| match staged {
                Staged::Known(_) => 0,
                Staged::Parsed(at) => self.parsed.get(*at).map_or(0, |sample| sample.writer),
            };
            Shares {
                samples: ByWriter::new(self.parsed.iter().map(|sample| sample.writer)),
                natives: ByWriter::new(self.natives.iter().map(|native| native.writer)),
                exemplars: ByWriter::new(
                    self.exemplars.iter().map(|(staged, _)| writer_of(staged)),
                ),
            }
        })
    }

    /// The parsed samples of one writer, with their index.
    pub(crate) fn parsed_of(&self, writer: u32) -> impl Iterator<Item = (usize, &ParsedSample)> {
        let samples = self.shares().samples.of(writer);
        samples.iter().filter_map(|at| Some((*at as usize, self.parsed.get(*at as usize)?)))
    }

    pub(crate) fn count_parsed_of(&self, writer: u32) -> usize {
        self.shares().samples.of(writer).len()
    }

    pub(crate) fn has_parsed_of(&self, writer: u32) -> bool {
        self.shares().samples.has(writer)
    }

    /// Where a parsed sample stands among those of its writer.
    pub(crate) fn rank(&self, parsed: usize) -> usize {
        self.shares().samples.rank(parsed)
    }

    pub(crate) fn natives_of(&self, writer: u32) -> &[u32] {
        self.shares().natives.of(writer)
    }

    pub(crate) fn exemplars_of(&self, writer: u32) -> &[u32] {
        self.shares().exemplars.of(writer)
    }
}
