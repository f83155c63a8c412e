//! A push as a value: its body as JSON, and both ways into the store (decoded from bytes, so that the
//! shape memory works, or offered sample by sample with nothing to remember).

use sidecar_formats::ingest_json;
use sidecar_model::{Aggregation, FamilyHeader, MetricType, SampleParts, Sink, Temporality, Tick};
use sidecar_store::{GroupKey, Outcome, PushMeta, PushTimes, Replaces, Sequence, Store};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(crate) struct Push {
    /// Epoch, n, acked.
    pub(crate) sequence: Option<(String, u64, u64)>,
    pub(crate) is_final: bool,
    pub(crate) strict: bool,
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) group: Option<PushedGroup>,
    pub(crate) families: Vec<PushedFamily>,
}

/// The path, method and time of a push in the manner of the Pushgateway.
#[derive(Clone, Debug)]
pub(crate) struct PushedGroup {
    /// Sorted by name.
    pub(crate) key: Vec<(String, String)>,
    pub(crate) replaces: Replaces,
    /// All of the body is deltas.
    pub(crate) delta: bool,
    pub(crate) at: f64,
    /// Only the time of a push that was refused.
    pub(crate) failed: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PushedFamily {
    pub(crate) name: String,
    pub(crate) metric_type: MetricType,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) delta: bool,
    pub(crate) samples: Vec<PushedSample>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PushedSample {
    pub(crate) name: String,
    /// With `_id`, `_aggregate`, `le`, `quantile`.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// How a push comes to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Remembered,
    Forgotten,
}

impl Push {
    pub(crate) fn send(&self, store: &Store, now: Tick, way: Way) -> Result<Outcome, String> {
        let sequence = self.sequence.as_ref().map(|(epoch, n, acked)| Sequence {
            epoch,
            n: *n,
            acked: *acked,
        });
        let group = self.group.as_ref();
        let key = group.map(|group| GroupKey::new(group.key.iter().cloned()));
        let times = |group: &PushedGroup| match group.failed {
            false => PushTimes::Done(group.at),
            true => PushTimes::Failed(group.at),
        };
        let meta = PushMeta {
            writer: None,
            group: key.as_ref(),
            replaces: group.map_or(Replaces::Nothing, |group| group.replaces),
            times: group.filter(|group| !group.delta).map(times),
            key: None,
            temporality: group.filter(|group| group.delta).map(|_| Temporality::Delta),
            sequence,
            is_final: self.is_final,
            strict: self.strict,
            ttl: self.ttl_ms.map(Duration::from_millis),
            room: None,
            pace: None,
        };
        match way {
            Way::Remembered => {
                let json = self.json();
                store
                    .push(&meta, now, |sink| ingest_json::decode(json.as_bytes(), sink))
                    .map_err(|error| error.code.to_owned())
            }
            Way::Forgotten => store
                .push(&meta, now, |sink| self.offer(sink))
                .map_err(|problem| problem.kind.code().to_owned()),
        }
    }

    fn offer(&self, sink: &mut impl Sink) -> Result<(), sidecar_model::Problem> {
        for family in &self.families {
            sink.header(None, &family.header())?;
            for sample in &family.samples {
                let mut parts = SampleParts {
                    name: Some(Cow::Borrowed(&sample.name)),
                    labels: sample
                        .labels
                        .iter()
                        .map(|(n, v)| (Cow::Borrowed(n.as_str()), Cow::Borrowed(v.as_str())))
                        .collect(),
                };
                sink.sample(None, &mut parts, sample.value)?;
            }
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> String {
        let mut out = String::from("[");
        for (index, family) in self.families.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            family.json(&mut out);
        }
        out.push(']');
        out
    }
}

impl PushedFamily {
    fn header(&self) -> FamilyHeader<'_> {
        FamilyHeader {
            name: Cow::Borrowed(&self.name),
            metric_type: self.metric_type,
            help: Cow::Borrowed(&self.help),
            unit: Cow::Borrowed(&self.unit),
            temporality: if self.delta { Temporality::Delta } else { Temporality::Cumulative },
            aggregation: None::<Aggregation>,
        }
    }

    fn json(&self, out: &mut String) {
        let temporality = if self.delta { "delta" } else { "cumulative" };
        write!(
            out,
            "{{\"name\":\"{}\",\"type\":\"{}\",\"help\":\"{}\",\"unit\":\"{}\",\
             \"temporality\":\"{temporality}\",\"values\":[",
            self.name, self.metric_type, self.help, self.unit
        )
        .unwrap();
        for (index, sample) in self.samples.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write!(out, "{{\"name\":\"{}\",\"labels\":{{", sample.name).unwrap();
            for (at, (name, value)) in sample.labels.iter().enumerate() {
                let comma = if at > 0 { "," } else { "" };
                write!(out, "{comma}\"{name}\":\"{value}\"").unwrap();
            }
            write!(out, "}},\"value\":{}}}", number(sample.value)).unwrap();
        }
        out.push_str("]}");
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        (if value > 0.0 { "Infinity" } else { "-Infinity" }).to_owned()
    } else {
        format!("{value:?}")
    }
}
