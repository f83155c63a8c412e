//! Expositions in few words.
#![allow(dead_code, reason = "each of the tests that share this needs a part of it")]

use sidecar_model::{
    Bound, Exemplar, Exposition, Extras, FamilyExposition, FamilyLayout, LabelSet, MetricType,
    Point, PointKind,
};
use std::sync::Arc;

pub(crate) fn family(id: u64, name: &str, metric_type: MetricType) -> Builder {
    Builder {
        layout: FamilyLayout {
            id,
            name: name.into(),
            metric_type,
            suffixed: false,
            help: "".into(),
            unit: "".into(),
            points: vec![],
        },
        values: vec![],
        extras: Extras::default(),
    }
}

pub(crate) struct Builder {
    layout: FamilyLayout,
    values: Vec<f64>,
    extras: Extras,
}

impl Builder {
    pub(crate) fn suffixed(mut self) -> Builder {
        self.layout.suffixed = true;
        self
    }

    pub(crate) fn help(mut self, help: &str) -> Builder {
        self.layout.help = help.into();
        self
    }

    pub(crate) fn unit(mut self, unit: &str) -> Builder {
        self.layout.unit = unit.into();
        self
    }

    /// Of the points so far and to come.
    pub(crate) fn created(mut self, created: &[f64]) -> Builder {
        self.extras.created = created.to_vec();
        self
    }

    pub(crate) fn exemplar(
        mut self,
        value_index: u32,
        labels: &[(&str, &str)],
        value: f64,
        timestamp: Option<f64>,
    ) -> Builder {
        let labels = LabelSet::new(labels.to_vec()).unwrap();
        let exemplar = Exemplar { labels, value, timestamp };
        self.extras.exemplars.push((value_index, Arc::new(exemplar)));
        self
    }

    pub(crate) fn value(self, labels: &[(&str, &str)], value: f64) -> Builder {
        self.point(labels, PointKind::Scalar, &[value])
    }

    /// Buckets and sum, or quantiles, sum and count.
    pub(crate) fn bounds(
        self,
        labels: &[(&str, &str)],
        bounds: &[&str],
        values: &[f64],
    ) -> Builder {
        let bounds: Arc<[Bound]> = bounds
            .iter()
            .map(|text| Bound { value: text.parse().unwrap(), text: (*text).into() })
            .collect();
        let kind = if self.layout.metric_type == MetricType::Summary {
            PointKind::Summary(bounds)
        } else {
            PointKind::Histogram(bounds)
        };
        self.point(labels, kind, values)
    }

    fn point(mut self, labels: &[(&str, &str)], kind: PointKind, values: &[f64]) -> Builder {
        let point = Point { labels: LabelSet::new(labels.to_vec()).unwrap(), kind };
        assert_eq!(point.len(), values.len());
        self.layout.points.push(point);
        self.values.extend(values);
        self
    }

    pub(crate) fn build(self) -> FamilyExposition {
        FamilyExposition { layout: Arc::new(self.layout), values: self.values, extras: self.extras }
    }
}

pub(crate) fn exposition(families: Vec<Builder>) -> Exposition {
    Exposition { families: families.into_iter().map(Builder::build).collect() }
}
