//! What holds for every exposition.

use crate::build::{Builder, exposition, family};
use crate::checker::check;
use proptest::prelude::*;
use sidecar_formats::Page;
use sidecar_formats::open_metrics::OpenMetricsEncoder;
use sidecar_formats::prom_text::TextEncoder;
use sidecar_model::{ABSENT, Escaping, Exposition, MetricType};
use std::collections::{BTreeMap, BTreeSet};

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => any::<f64>(),
        4 => (0..5_u32).prop_map(f64::from),
        1 => Just(ABSENT),
        1 => Just(0.5)
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ab_]{1,2}",
        2 => "[a._0:é\"\\\\ ]{1,3}",
        1 => prop::sample::select(vec!["le", "quantile", "__name__", "a_created", "a_sum", "a_bucket"])
            .prop_map(str::to_owned),
        1 => ".{1,3}"
    ]
}

fn metric_type() -> impl Strategy<Value = MetricType> {
    prop::sample::select(vec![
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::Summary,
        MetricType::Unknown,
        MetricType::Info,
        MetricType::StateSet,
        MetricType::GaugeHistogram,
    ])
}

type Labels = BTreeMap<String, String>;
/// Points: labels, values, whether the values are put in order.
type Points = Vec<(Labels, Vec<f64>, bool)>;
/// Name, type, suffixed, help, unit, points, exemplars.
type Parts = (String, MetricType, bool, String, String, Points, Vec<(u32, Labels, f64)>);

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map(name(), ".{1,3}", 0..3)
}

fn one_family() -> impl Strategy<Value = Parts> {
    let point = (labels(), prop::collection::vec(value(), 4), any::<bool>());
    let exemplar = (0..12_u32, labels(), value());
    (
        name(),
        metric_type(),
        any::<bool>(),
        ".{0,5}",
        "[ab.]{0,1}",
        prop::collection::vec(point, 0..5),
        prop::collection::vec(exemplar, 0..3),
    )
}

fn built(id: u64, of: &Parts) -> Builder {
    let (name, metric_type, suffixed, help, unit, points, exemplars) = of;
    let mut builder = family(id, name, *metric_type).help(help).unit(unit);
    if *suffixed {
        builder = builder.suffixed();
    }
    let points: BTreeMap<Labels, (Vec<f64>, bool)> = points
        .iter()
        .map(|(labels, values, sorted)| {
            let mut labels = labels.clone();
            if *metric_type == MetricType::StateSet && *sorted {
                labels.insert(name.clone(), "state".to_owned());
            }
            (labels, (values.clone(), *sorted))
        })
        .collect();
    builder = builder.created(&vec![1.5; points.len()]);
    for (labels, (mut values, sorted)) in points {
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        if sorted {
            values[..3].sort_by(f64::total_cmp);
        }
        builder = match metric_type {
            MetricType::Histogram if sorted => {
                builder.bounds(&labels, &["-1", "1.0", "inf"], &values)
            }
            MetricType::Histogram | MetricType::GaugeHistogram => {
                builder.bounds(&labels, &["0.1", "1", "inf"], &values)
            }
            MetricType::Summary => builder.bounds(&labels, &["0.5", "1"], &values),
            MetricType::Counter
            | MetricType::Gauge
            | MetricType::Unknown
            | MetricType::Info
            | MetricType::StateSet => builder.value(&labels, values[0]),
        };
    }
    let exemplars: BTreeMap<u32, _> = exemplars.iter().map(|(n, l, v)| (*n, (l, v))).collect();
    for (index, (labels, value)) in exemplars {
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        builder = builder.exemplar(index, &labels, *value, Some(*value));
    }
    builder
}

fn any_exposition() -> impl Strategy<Value = Exposition> {
    prop::collection::vec(one_family(), 0..6).prop_map(|families| {
        let families: BTreeMap<String, _> =
            families.into_iter().map(|family| (family.0.clone(), family)).collect();
        let built = families.values().enumerate().map(|(id, family)| built(id as u64, family));
        exposition(built.collect())
    })
}

fn escaping() -> impl Strategy<Value = Escaping> {
    prop::sample::select(vec![
        Escaping::Underscores,
        Escaping::Dots,
        Escaping::Values,
        Escaping::AllowUtf8,
    ])
}

fn written(page: &mut impl Page, enough: usize) -> Vec<u8> {
    let mut joined = vec![];
    let mut piece = vec![];
    while page.write_some(enough, &mut piece) {
        assert!(piece.len() >= enough);
        joined.append(&mut piece);
    }
    joined.append(&mut piece);
    joined
}

/// A page's lines up to their values, but those of created times.
fn series(page: &[u8], is_open_metrics: bool) -> BTreeSet<String> {
    let page = String::from_utf8(page.to_vec()).unwrap();
    let lines = page.split_terminator('\n').filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let line = if is_open_metrics { line.split(" # {").next().unwrap() } else { line };
            line.rsplit_once(' ').unwrap().0.to_owned()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_pushed_the_page_is_valid(
        exposition in any_exposition(), escaping in escaping(),
    ) {
        let page = written(&mut OpenMetricsEncoder::new().page(exposition, escaping), usize::MAX);
        prop_assert_eq!(check(&page).err(), None);
    }

    #[test]
    fn a_page_in_pieces_is_the_same_page(
        exposition in any_exposition(), escaping in escaping(), enough in 1..200_usize,
    ) {
        let mut encoder = OpenMetricsEncoder::new();
        let whole = written(&mut encoder.page(exposition.clone(), escaping), usize::MAX);
        let pieces = written(&mut encoder.page(exposition.clone(), escaping), enough);
        prop_assert_eq!(&pieces, &whole);
        encoder.page(exposition.clone(), Escaping::Dots);
        prop_assert_eq!(written(&mut encoder.page(exposition, escaping), enough), whole);
    }

    #[test]
    fn the_format_renames_and_loses_no_gauge_or_counter(
        mut exposition in any_exposition(), escaping in escaping(),
    ) {
        exposition.families.retain(|family| !family.layout.metric_type.is_composite());
        for family in &mut exposition.families {
            family.extras = sidecar_model::Extras::default();
        }
        let mut open_metrics = OpenMetricsEncoder::new().page(exposition.clone(), escaping);
        let mut text = TextEncoder::new().page(exposition, escaping);
        let (open_metrics, text) =
            (written(&mut open_metrics, usize::MAX), written(&mut text, usize::MAX));
        prop_assert_eq!(series(&open_metrics, true), series(&text, false));
    }
}
