//! What the encoder prints is read back as what it was.

use crate::build::{Builder, exposition, family};
use crate::recorder::{Recorded, Recorder};
use proptest::prelude::*;
use sidecar_formats::Timestamps;
use sidecar_formats::prom_text::{TextEncoder, decode};
use sidecar_model::MetricType;

fn read_back(families: Vec<Builder>) -> Recorded {
    let mut body = vec![];
    TextEncoder::new().encode(&exposition(families), &mut body);
    let mut sink = Recorder::default();
    decode(&body, Timestamps::Reject, &mut sink).unwrap();
    sink.finish().0
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,3}", any::<String>()]
}

proptest! {
    #[test]
    fn labels_help_and_values_come_back(
        help in text(),
        samples in prop::collection::btree_map(text(), any::<f64>(), 1..4),
        kind in prop::sample::select(vec![MetricType::Counter, MetricType::Gauge, MetricType::Unknown]),
    ) {
        let mut builder = family(1, "name", kind).help(&help);
        for (label, value) in &samples {
            builder = builder.value(&[("a", label), ("z", "1")], *value);
        }
        let got = read_back(vec![builder]);
        let header = &got.families[0].header;
        prop_assert!(header.contains(&format!("metric_type: {kind:?}")), "{}", header);
        // The encoder leaves out what stands around a help text.
        prop_assert!(header.contains(&format!("help: {help:?}")) || help.trim() != help, "{}", header);
        prop_assert_eq!(got.families[0].samples.len(), samples.len());
        for (sample, (label, value)) in got.families[0].samples.iter().zip(&samples) {
            let expected = if label.is_empty() {
                vec![("z".to_owned(), "1".to_owned())]
            } else {
                vec![("a".to_owned(), label.clone()), ("z".to_owned(), "1".to_owned())]
            };
            prop_assert_eq!(&sample.labels, &expected);
            let read = f64::from_bits(sample.value);
            // A zero has no sign there.
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()) || read - value == 0.0);
        }
    }

    #[test]
    fn histograms_and_summaries_come_back_whole(counts in prop::collection::vec(0..1000_u32, 1..6)) {
        let texts: Vec<String> = (1..counts.len()).map(|n| n.to_string()).chain(["+Inf".to_owned()]).collect();
        let bounds: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut total = 0.0;
        let mut values: Vec<f64> = counts.iter().map(|n| { total += f64::from(*n); total }).collect();
        values.push(0.5);
        let got = read_back(vec![
            family(1, "h", MetricType::Histogram).bounds(&[("a", "b")], &bounds, &values),
            family(2, "s", MetricType::Summary).bounds(&[], &["0.5"], &[1.0, 2.0, 3.0]),
        ]);
        prop_assert_eq!(got.families.len(), 2);
        let buckets: Vec<f64> = got.families[0].samples.iter()
            .filter(|sample| sample.name.as_deref() == Some("h_bucket"))
            .map(|sample| f64::from_bits(sample.value)).collect();
        prop_assert_eq!(&buckets[..], &values[..counts.len()]);
        prop_assert_eq!(got.families[1].samples.len(), 3);
    }
}
