//! A sink that keeps what it is told as a store keeps one instance: the newest value of each series.
//! It remembers raw bytes and their order over pushes, and checks nothing but a limit.

use sidecar_model::{
    ExemplarParts, FamilyHeader, Mark, NativeHistogram, Problem, ProblemKind, SampleParts, Sink,
};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The family's meaning, the sample's name, its labels.
pub(crate) type Series = (String, String, Vec<(String, String)>);

#[derive(Clone, Debug)]
struct Step {
    header: Vec<u8>,
    raw: Vec<u8>,
    series: Series,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    steps: Vec<Step>,
    /// Where the next sample is expected; `None`: no sample came yet in this push.
    cursor: Option<usize>,
    header: (Vec<u8>, String),
    pub(crate) values: BTreeMap<Series, u64>,
    /// Series in the order in which this push told of them.
    pub(crate) order: Vec<Series>,
    /// Samples of this push that were followed, were left out, had to be parsed.
    pub(crate) followed: usize,
    pub(crate) skipped: usize,
    pub(crate) parsed: usize,
}

/// A bound, so that refusals of samples are seen too.
pub(crate) const MAX_VALUE_BYTES: usize = 100;

impl State {
    /// The next push begins.
    pub(crate) fn again(mut self) -> State {
        (self.cursor, self.header) = (None, Default::default());
        self.order.clear();
        (self.followed, self.skipped, self.parsed) = (0, 0, 0);
        self
    }

    fn expected(&self) -> Option<&Step> {
        self.steps.get(self.cursor?)
    }

    fn take(&mut self, series: Series, value: f64) {
        self.values.insert(series.clone(), value.to_bits());
        self.order.push(series);
    }

    pub(crate) fn rendered(&self) -> String {
        let mut out = String::new();
        let mut header = "";
        for series in &self.order {
            let (of, name, labels) = series;
            if of != header {
                writeln!(out, "{of}").unwrap();
                header = of;
            }
            let value = f64::from_bits(self.values[series]);
            let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
            writeln!(out, "  {name} {{{}}} {value:?}", labels.join(", ")).unwrap();
        }
        out
    }
}

impl Sink for State {
    fn next_header_len(&self) -> usize {
        let header = self.expected().map(|step| &step.header);
        header.filter(|header| **header != self.header.0).map_or(0, Vec::len)
    }

    fn follow_header(&mut self, raw: &[u8]) -> bool {
        let Some(step) = self.expected().filter(|step| step.header == raw) else { return false };
        self.header = (step.header.clone(), step.series.0.clone());
        true
    }

    fn header(&mut self, raw: Option<&[u8]>, header: &FamilyHeader<'_>) -> Result<(), Problem> {
        if header.name.is_empty() {
            return Err(Problem { kind: ProblemKind::EmptyName, label: None });
        }
        let FamilyHeader { name, metric_type, help, aggregation, .. } = header;
        let asked = aggregation.map(|aggregation| format!(" {aggregation}")).unwrap_or_default();
        self.header = (raw.unwrap().to_vec(), format!("{metric_type} {name}{asked} {help:?}"));
        Ok(())
    }

    fn next_sample_len(&self) -> usize {
        let step = self.expected().filter(|step| step.header == self.header.0);
        step.map_or(0, |step| step.raw.len())
    }

    fn is_next_sample(&self, raw: &[u8]) -> bool {
        self.expected().is_some_and(|step| step.header == self.header.0 && step.raw == raw)
    }

    fn value(&mut self, value: f64) {
        let series = self.expected().unwrap().series.clone();
        self.take(series, value);
        self.cursor = self.cursor.map(|at| at + 1);
        self.followed += 1;
    }

    fn skip(&mut self, raw_len: usize) -> bool {
        let skipped = self.expected().is_some_and(|step| step.raw.len() == raw_len);
        self.cursor = self.cursor.map(|at| at + usize::from(skipped));
        self.skipped += usize::from(skipped);
        skipped
    }

    fn sample(
        &mut self,
        raw: Option<&[u8]>,
        sample: &mut SampleParts<'_>,
        value: f64,
    ) -> Result<(), Problem> {
        let too_long = |(_, value): &(_, std::borrow::Cow<'_, str>)| value.len() > MAX_VALUE_BYTES;
        if let Some(label) = sample.labels.iter().position(too_long) {
            return Err(Problem { kind: ProblemKind::LabelValueTooLong, label: Some(label) });
        }
        let raw = raw.unwrap();
        let found = |step: &Step| step.header == self.header.0 && step.raw == raw;
        let at = self.steps.iter().position(found).unwrap_or_else(|| {
            let labels = sample.labels.drain(..).map(|(n, v)| (n.into(), v.into())).collect();
            let series = (self.header.1.clone(), sample.name.take().unwrap().into(), labels);
            // Behind what came before it.
            let at = self.cursor.unwrap_or(self.steps.len()).min(self.steps.len());
            self.steps
                .insert(at, Step { header: self.header.0.clone(), raw: raw.to_vec(), series });
            at
        });
        self.take(self.steps[at].series.clone(), value);
        self.cursor = Some(at + 1);
        self.parsed += 1;
        Ok(())
    }

    fn exemplar(&mut self, _: &ExemplarParts<'_>) {}

    fn native(&mut self, _: &mut SampleParts<'_>, _: NativeHistogram) -> Result<(), Problem> {
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { known: self.followed, parsed: self.parsed, headers: 0 }
    }

    fn rewind(&mut self, _: Mark) {}
}
