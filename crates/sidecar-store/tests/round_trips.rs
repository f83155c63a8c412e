//! What was pushed says the same after it was exposed and pushed again, and once more, through each
//! pair of formats; of what a format cannot carry, nothing is left.

#![allow(clippy::unwrap_used, reason = "a test: it panics where it fails")]
#![allow(clippy::wildcard_enum_match_arm, reason = "most types are alike here")]

use proptest::prelude::*;
use sidecar_formats::open_metrics::{self, OpenMetricsEncoder};
use sidecar_formats::prom_text::{self, TextEncoder};
use sidecar_formats::protobuf::{self, ProtobufEncoder};
use sidecar_formats::{Page, Timestamps};
use sidecar_model::{
    Escaping, ExemplarParts, Exposition, FamilyExposition, FamilyHeader, MetricType,
    NativeHistogram, PointKind, Problem, SampleParts, Sink, Tick, is_absent,
};
use sidecar_store::{PushMeta, Settings, Store};
use std::collections::BTreeMap;

const NOW: Tick = Tick::from_millis(1_000_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

impl Format {
    fn write(self, exposition: Exposition) -> Vec<u8> {
        let escaping = Escaping::AllowUtf8;
        let mut page: Box<dyn Page> = match self {
            Format::Text => Box::new(TextEncoder::new().page(exposition, escaping)),
            Format::OpenMetrics => Box::new(OpenMetricsEncoder::new().page(exposition, escaping)),
            Format::Protobuf => Box::new(ProtobufEncoder::new().page(exposition, escaping)),
        };
        let mut out = vec![];
        while page.write_some(out.len() + 100, &mut out) {}
        assert_eq!(page.encoded().left_out, 0);
        out
    }

    /// What a store shows that was pushed this page.
    fn read(self, body: &[u8]) -> Exposition {
        let store = Store::new(Settings::default(), Tick::default());
        let outcome = store.push(&PushMeta::default(), NOW, |sink| match self {
            Format::Text => prom_text::decode(body, Timestamps::Reject, sink),
            Format::OpenMetrics => open_metrics::decode(body, Timestamps::Reject, sink),
            Format::Protobuf => protobuf::decode(body, Timestamps::Reject, sink),
        });
        assert!(outcome.unwrap().refused.is_empty());
        store.collect(NOW)
    }
}

#[derive(Clone, Debug)]
struct Family {
    name: String,
    help: String,
    metric_type: MetricType,
    points: BTreeMap<BTreeMap<String, String>, Numbers>,
}

#[derive(Clone, Debug)]
struct Numbers {
    any: f64,
    counts: [u16; 3],
    created: Option<u32>,
    exemplar: Option<(String, f64, Option<u32>)>,
    native: bool,
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let exemplar = ("[a-z\"\\\\\né]{0,4}", -1e9..0.5, prop::option::of(any::<u32>()));
    let created = prop::option::of(1..u32::MAX);
    (any::<f64>(), any::<[u16; 3]>(), created, prop::option::of(exemplar), any::<bool>()).prop_map(
        |(any, counts, created, exemplar, native)| Numbers {
            any,
            counts,
            created,
            exemplar,
            native,
        },
    )
}

fn families() -> impl Strategy<Value = Vec<Family>> {
    let types = prop::sample::select(vec![
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Unknown,
        MetricType::Info,
        MetricType::Histogram,
        MetricType::Summary,
    ]);
    // No two of these become one where characters are replaced: the store would refuse them.
    let label = prop::sample::select(vec!["a", "b.c", "dé", " e"]).prop_map(str::to_owned);
    let labels = prop::collection::btree_map(label, "[a-z\"\\\\\n\r,}é]{1,4}", 0..3);
    let points = prop::collection::btree_map(labels, numbers(), 1..4);
    let family = ("[a-c.é \"\\\\]{0,2}", "([a-z\"\\\\\né]{1,6})?", types, points);
    prop::collection::vec(family, 0..5).prop_map(|families| {
        let numbered = families.into_iter().enumerate();
        numbered
            .map(|(nth, (name, help, metric_type, points))| {
                // A text's ends are not kept in every format.
                let help = help.trim().to_owned();
                Family { name: format!("f{nth}{name}"), help, metric_type, points }
            })
            .collect()
    })
}

/// Tells the sink the families, as a decoder does.
fn tell(families: &[Family], sink: &mut impl Sink) -> Result<(), Problem> {
    for family in families {
        let Family { name, help, metric_type, points } = family;
        let header = FamilyHeader {
            name: name.into(),
            help: help.into(),
            metric_type: *metric_type,
            ..FamilyHeader::default()
        };
        sink.header(None, &header)?;
        for (labels, numbers) in points {
            tell_point(name, *metric_type, labels, numbers, sink)?;
        }
    }
    Ok(())
}

fn tell_point(
    name: &str,
    metric_type: MetricType,
    labels: &BTreeMap<String, String>,
    numbers: &Numbers,
    sink: &mut impl Sink,
) -> Result<(), Problem> {
    let parts = |suffix: &str, more: Option<(&'static str, &'static str)>| SampleParts {
        name: Some(format!("{name}{suffix}").into()),
        labels: labels
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .chain(more.map(|(name, value)| (name.into(), value.into())))
            .collect(),
    };
    let Numbers { any, counts, created, exemplar, native } = numbers;
    let [low, middle, high] = counts.map(f64::from);
    let count = low + middle + high;
    let mut sample = |suffix, more, value| sink.sample(None, &mut parts(suffix, more), value);
    match metric_type {
        MetricType::Counter => sample("_total", None, count)?,
        MetricType::Info => sample("_info", None, 1.0)?,
        MetricType::Histogram => {
            sample("_sum", None, count / 4.0)?;
            sample("_count", None, count)?;
            sample("_bucket", Some(("le", "+Inf")), count)?;
            sample("_bucket", Some(("le", "1")), low + middle)?;
            sample("_bucket", Some(("le", "0.5")), low)?;
        }
        MetricType::Summary => {
            // OpenMetrics has no summary with a quantile below zero.
            sample("", Some(("quantile", "0.5")), any.abs())?;
            sample("_sum", None, count / 4.0)?;
            sample("_count", None, count)?;
        }
        _ => sample("", None, *any)?,
    }
    if let (Some((text, value, seconds)), MetricType::Counter | MetricType::Histogram) =
        (exemplar, metric_type)
    {
        sink.exemplar(&ExemplarParts {
            labels: vec![("trace".into(), text.into())],
            value: *value,
            timestamp: seconds.map(f64::from),
        });
    }
    if let (Some(created), true) = (created, is_counted(metric_type)) {
        sink.sample(None, &mut parts("_created", None), f64::from(*created))?;
    }
    if *native && metric_type == MetricType::Histogram {
        let histogram = NativeHistogram {
            schema: 3,
            zero_threshold: 0.25,
            zero_count: low,
            count,
            sum: count / 4.0,
            positive: [(-2, middle), (7, high)].into_iter().filter(|(_, n)| *n > 0.0).collect(),
            ..NativeHistogram::default()
        };
        sink.native(&mut parts("", None), histogram)?;
    }
    Ok(())
}

const fn is_counted(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Counter | MetricType::Histogram | MetricType::Summary)
}

/// All that a family says, in a form that can be compared.
fn said(family: &FamilyExposition, through: &[Format]) -> Vec<String> {
    let FamilyExposition { layout, values, extras } = family;
    let metric_type = match layout.metric_type {
        MetricType::Info if through != [Format::OpenMetrics; 2] => MetricType::Gauge,
        other => other,
    };
    let suffix = match layout.metric_type {
        MetricType::Counter if layout.suffixed => "_total",
        MetricType::Info if layout.suffixed => "_info",
        _ => "",
    };
    let mut lines = vec![format!("{}{suffix} {metric_type:?} {:?}", layout.name, layout.help)];
    let numbers = values.iter().map(|value| format!("{:?}", value + 0.0));
    lines.push(numbers.collect::<Vec<_>>().join(" "));
    for point in &layout.points {
        let bounds: Vec<f64> = match &point.kind {
            PointKind::Scalar => vec![],
            PointKind::Histogram(bounds) | PointKind::Summary(bounds) => {
                bounds.iter().map(|bound| bound.value).collect()
            }
        };
        lines.push(format!("{:?} {bounds:?}", point.labels));
    }
    if !through.contains(&Format::Text) {
        lines.extend(extras.exemplars.iter().map(|exemplar| format!("{exemplar:?}")));
        let created = extras.created.iter().enumerate().filter(|(_, at)| !is_absent(**at));
        lines.extend(created.map(|created| format!("created {created:?}")));
    }
    if through == [Format::Protobuf; 2] {
        lines.extend(extras.natives.iter().map(|native| format!("{native:?}")));
    }
    lines
}

fn all_said(exposition: &Exposition, through: &[Format]) -> Vec<Vec<String>> {
    // By the printed name, which is not the order of families whose names have a suffix.
    let mut said: Vec<_> = exposition.families.iter().map(|f| said(f, through)).collect();
    said.sort();
    said
}

proptest! {
    #[test]
    fn each_pair_of_formats_says_the_same(families in families()) {
        let store = Store::new(Settings::default(), Tick::default());
        let outcome = store.push(&PushMeta::default(), NOW, |sink| tell(&families, sink)).unwrap();
        prop_assert!(outcome.refused.is_empty());
        let pushed = store.collect(NOW);
        prop_assert_eq!(pushed.families.len(), families.len());
        for first in FORMATS {
            let once = first.read(&first.write(pushed.clone()));
            for second in FORMATS {
                let twice = second.read(&second.write(once.clone()));
                let through = [first, second];
                prop_assert_eq!(all_said(&pushed, &through), all_said(&twice, &through), "{:?}", through);
                let has_extras = twice.families.iter().any(|f| {
                    !f.extras.exemplars.is_empty() || f.extras.created.iter().any(|at| !is_absent(*at))
                });
                prop_assert!(!has_extras || !through.contains(&Format::Text));
            }
        }
    }
}
