//! What holds for every exposition.

use crate::build::{Builder, exposition, family};
use crate::checker::check;
use proptest::prelude::*;
use sidecar_formats::Page;
use sidecar_formats::prom_text::TextEncoder;
use sidecar_model::{ABSENT, Escaping, Exposition, MetricType};
use std::collections::BTreeMap;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![4 => any::<f64>(), 2 => (0..100_u32).prop_map(f64::from), 1 => Just(ABSENT)]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ab_]{1,2}", 2 => "[a._0:é]{1,3}", 1 => Just("le".to_owned()), 1 => ".{0,3}"]
}

fn metric_type() -> impl Strategy<Value = MetricType> {
    prop::sample::select(vec![
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::Summary,
        MetricType::Unknown,
        MetricType::Info,
    ])
}

type Labels = BTreeMap<String, String>;
/// Name, type, suffixed, help, points.
type Parts = (String, MetricType, bool, String, Vec<(Labels, Vec<f64>)>);

fn one_family() -> impl Strategy<Value = Parts> {
    let labels =
        prop::collection::btree_map(name().prop_filter("name", |n| !n.is_empty()), ".{1,3}", 0..3);
    let point = (labels, prop::collection::vec(value(), 4));
    (name(), metric_type(), any::<bool>(), ".{0,5}", prop::collection::vec(point, 0..5))
}

fn built(id: u64, of: &Parts) -> Builder {
    let (name, metric_type, suffixed, help, points) = of;
    let mut builder = family(id, name, *metric_type).help(help);
    if *suffixed {
        builder = builder.suffixed();
    }
    let points: BTreeMap<&Labels, &Vec<f64>> = points.iter().map(|(l, v)| (l, v)).collect();
    for (labels, values) in points {
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        builder = match metric_type {
            MetricType::Histogram => builder.bounds(&labels, &["0.1", "1.0", "inf"], values),
            MetricType::Summary => builder.bounds(&labels, &["0.5", "0.9"], values),
            MetricType::Counter
            | MetricType::Gauge
            | MetricType::Unknown
            | MetricType::Info
            | MetricType::StateSet
            | MetricType::GaugeHistogram => builder.value(&labels, values[0]),
        };
    }
    builder
}

fn any_exposition() -> impl Strategy<Value = Exposition> {
    prop::collection::vec(one_family(), 0..5).prop_map(|families| {
        // Names are unique, as in a store, and in order.
        let families: BTreeMap<String, _> =
            families.into_iter().map(|family| (family.0.clone(), family)).collect();
        let built = families.values().enumerate().map(|(id, family)| built(id as u64, family));
        exposition(built.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_pushed_the_page_is_valid(exposition in any_exposition()) {
        let mut out = vec![];
        TextEncoder::new().encode(&exposition, &mut out);
        prop_assert_eq!(check(&out).err(), None);
    }

    #[test]
    fn a_page_in_pieces_is_the_same_page(exposition in any_exposition(), enough in 1..200_usize) {
        let mut whole = vec![];
        let mut encoder = TextEncoder::new();
        let encoded = encoder.encode(&exposition, &mut whole);
        let mut page = encoder.page(exposition, Escaping::Underscores);
        prop_assert_eq!(page.encoded(), encoded);
        let mut joined = vec![];
        let mut piece = vec![];
        while page.write_some(enough, &mut piece) {
            prop_assert!(piece.len() >= enough);
            joined.append(&mut piece);
        }
        joined.append(&mut piece);
        prop_assert_eq!(joined, whole);
    }

    #[test]
    fn what_was_rendered_before_does_not_show(
        mut first in any_exposition(), second in any_exposition(), keep in any::<bool>(),
    ) {
        // Layouts of the second exposition have other ids, but for those they share.
        let mut next: Vec<_> = second.families;
        for family in &mut next {
            std::sync::Arc::make_mut(&mut family.layout).id += 100;
        }
        let mut encoder = TextEncoder::new();
        encoder.encode(&first, &mut vec![]);
        if keep {
            first.families.truncate(2);
            next.append(&mut first.families);
        }
        let second = Exposition { families: next };
        let (mut reused, mut fresh) = (vec![], vec![]);
        let again = encoder.encode(&second, &mut reused);
        let anew = TextEncoder::new().encode(&second, &mut fresh);
        prop_assert_eq!(again, anew);
        prop_assert_eq!(reused, fresh);
    }
}
