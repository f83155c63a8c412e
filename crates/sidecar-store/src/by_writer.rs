//! What of a body is whose: the samples of each writer, without a look at those of all others.

use crate::maps::Map;

/// Indices in order, by writer.
#[derive(Debug, Default)]
pub(crate) struct ByWriter {
    order: Vec<u32>,
    /// Where each index stands among those of its writer.
    ranks: Vec<u32>,
    ranges: Map<u32, (usize, usize)>,
}

impl ByWriter {
    /// `writers`: of each index.
    pub(crate) fn new(writers: impl Iterator<Item = u32>) -> ByWriter {
        let writers: Vec<u32> = writers.collect();
        let mut order: Vec<u32> = (0..u32::try_from(writers.len()).unwrap_or(u32::MAX)).collect();
        order.sort_by_key(|at| writers[*at as usize]);
        let mut ranks = vec![0; writers.len()];
        let mut ranges = Map::default();
        let mut from = 0;
        for of_one in order.chunk_by(|a, b| writers[*a as usize] == writers[*b as usize]) {
            for (rank, at) in of_one.iter().enumerate() {
                ranks[*at as usize] = u32::try_from(rank).unwrap_or(u32::MAX);
            }
            ranges.insert(writers[of_one[0] as usize], (from, from + of_one.len()));
            from += of_one.len();
        }
        ByWriter { order, ranks, ranges }
    }

    pub(crate) fn of(&self, writer: u32) -> &[u32] {
        let range = self.ranges.get(&writer).copied();
        range.and_then(|(from, to)| self.order.get(from..to)).unwrap_or_default()
    }

    pub(crate) fn has(&self, writer: u32) -> bool {
        self.ranges.contains_key(&writer)
    }

    pub(crate) fn rank(&self, at: usize) -> usize {
        self.ranks.get(at).map_or(usize::MAX, |rank| *rank as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::ByWriter;

    #[test]
    fn each_writer_has_its_own_in_order() {
        let by_writer = ByWriter::new([7, 0, 7, u32::MAX, 0].into_iter());
        assert_eq!(by_writer.of(0), [1, 4]);
        assert_eq!(by_writer.of(7), [0, 2]);
        assert_eq!(by_writer.of(u32::MAX), [3]);
        assert_eq!(by_writer.of(1), [0; 0]);
        assert_eq!((by_writer.rank(4), by_writer.rank(0)), (1, 0));
        assert!(by_writer.has(7) && !by_writer.has(1));
    }
}
