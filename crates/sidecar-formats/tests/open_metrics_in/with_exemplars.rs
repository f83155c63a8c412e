//! A recorder that writes exemplars down too.

use crate::recorder::{Recorded, Recorder};
use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem, SampleParts, Sink,
};

#[derive(Debug, Default)]
pub(crate) struct WithExemplars {
    pub(crate) inner: Recorder,
    /// With the number of samples before it.
    pub(crate) exemplars: Vec<(usize, String)>,
    samples: usize,
}

impl WithExemplars {
    /// What it was told; and the same sink, empty, that remembers it.
    pub(crate) fn finish(self) -> ((Recorded, Vec<(usize, String)>), WithExemplars) {
        let (got, inner) = self.inner.finish();
        ((got, self.exemplars), WithExemplars { inner, ..WithExemplars::default() })
    }

    pub(crate) fn rendered(&self) -> String {
        let lines = self.exemplars.iter().map(|(at, text)| format!("behind sample {at}: {text}\n"));
        self.inner.rendered() + &lines.collect::<String>()
    }
}

impl Sink for WithExemplars {
    fn most_labels(&self) -> usize {
        self.inner.most_labels()
    }

    fn pause(&self) -> fn() {
        self.inner.pause()
    }

    fn next_header_len(&self) -> usize {
        self.inner.next_header_len()
    }

    fn follow_header(&mut self, raw: &[u8]) -> bool {
        self.inner.follow_header(raw)
    }

    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        self.inner.header(raw, header)
    }

    fn next_sample_len(&self) -> usize {
        self.inner.next_sample_len()
    }

    fn is_next_sample(&self, raw: &[u8]) -> bool {
        self.inner.is_next_sample(raw)
    }

    fn value(&mut self, value: f64) {
        self.samples += 1;
        self.inner.value(value);
    }

    fn skip(&mut self, raw_len: usize) -> bool {
        self.inner.skip(raw_len)
    }

    fn sample(
        &mut self,
        raw: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        self.samples += 1;
        self.inner.sample(raw, sample, value)
    }

    fn exemplar(&mut self, exemplar: &ExemplarParts<'_>) {
        self.exemplars.push((self.samples, format!("{exemplar:?}")));
    }

    fn native(
        &mut self,
        sample: &mut SampleParts<'_>,
        histogram: NativeHistogram,
    ) -> Result<(), Problem> {
        self.inner.native(sample, histogram)
    }

    fn mark(&self) -> Mark {
        self.inner.mark()
    }

    fn rewind(&mut self, mark: Mark) {
        self.inner.rewind(mark);
    }
}
