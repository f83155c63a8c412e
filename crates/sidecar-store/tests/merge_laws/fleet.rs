//! A store to which a fleet of writers pushes, in one order or another, and what it exposes then.

use crate::contribution::{Contribution, Pushed, Stage, Value};
use sidecar_model::{
    FamilyExposition, LabelSet, MetricType, NativeHistogram, PointKind, Temporality, Tick,
    is_absent,
};
use sidecar_store::{PushMeta, Settings, Store};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a writer gives what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Live,
    /// In two pushes.
    Grown,
    /// Then the process begins anew.
    Restarted,
    /// Then it leaves; its values are remembered.
    Departed,
    /// Then it leaves, and only its share of the departed total is left.
    Folded,
    /// Without a state of its own.
    Delta,
    /// Of several in a fleet the first has no id; the others do.
    Anonymous,
}

/// By labels and part: `sum`, `count`, a bound as a number.
pub(crate) type Numbers = BTreeMap<(String, String), f64>;

pub(crate) struct Fleet {
    store: Store,
    metric_type: MetricType,
    now: Tick,
}

const RESUME_WINDOW: Duration = Duration::from_secs(10);

impl Fleet {
    pub(crate) fn new(metric_type: MetricType, settings: Settings) -> Fleet {
        let now = Tick::from_millis(1_000_000);
        let fleet = Fleet { store: Store::new(patient(settings), now), metric_type, now };
        // Somebody holds the family while others leave.
        let value = match metric_type {
            MetricType::Counter => Value::Counter(0),
            MetricType::Summary => Value::Summary { sum: None, count: 0 },
            MetricType::Info => Value::Info,
            MetricType::StateSet => Value::States([false; 3]),
            _ => Value::Classic(crate::contribution::Classic::default()),
        };
        fleet.push("holder", &Contribution { series: HOLDER, value }, Stage::All, None, None);
        fleet
    }

    pub(crate) fn reload(&self, settings: Settings) {
        self.store.reload(patient(settings), self.now).unwrap();
    }

    fn push(
        &self,
        id: &str,
        contribution: &Contribution,
        stage: Stage,
        extras: Option<f64>,
        temporality: Option<Temporality>,
    ) {
        let metric_type = self.metric_type;
        let pushed = Pushed { metric_type, id, contribution, stage, extras };
        let meta = PushMeta { temporality, ..PushMeta::default() };
        let outcome = self.store.push(&meta, self.now, |sink| pushed.offer(sink)).unwrap();
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    }

    /// `nth` names the writer and dates its exemplars.
    pub(crate) fn give(
        &mut self,
        nth: usize,
        way: Way,
        contribution: &Contribution,
        extras: Option<f64>,
    ) {
        let id = if way == Way::Anonymous { String::new() } else { format!("w{nth}") };
        let push = |stage| self.push(&id, contribution, stage, extras, None);
        match way {
            Way::Live | Way::Anonymous => push(Stage::All),
            Way::Grown => {
                push(Stage::Half);
                push(Stage::All);
            }
            Way::Restarted => {
                push(Stage::All);
                push(Stage::Nothing);
            }
            Way::Departed => {
                push(Stage::All);
                assert!(self.store.depart(&id, self.now).unwrap());
            }
            Way::Folded => {
                push(Stage::All);
                assert!(self.store.depart(&id, self.now).unwrap());
                self.now = self.now.after(RESUME_WINDOW);
                while self.store.upkeep(self.now) {}
            }
            Way::Delta => {
                let delta = Some(Temporality::Delta);
                self.push(&id, contribution, Stage::All, None, delta);
            }
        }
    }

    fn family(&self) -> FamilyExposition {
        let mut families = self.store.collect(self.now).families;
        assert_eq!(families.len(), 1);
        families.pop().unwrap()
    }

    pub(crate) fn numbers(&self) -> Numbers {
        let family = self.family();
        let mut numbers = Numbers::new();
        let mut rest = family.values.as_slice();
        for point in &family.layout.points {
            let (values, behind) = rest.split_at(point.len());
            rest = behind;
            let parts: Vec<String> = match &point.kind {
                PointKind::Scalar => vec!["value".to_owned()],
                PointKind::Histogram(bounds) => {
                    assert!(values[..bounds.len()].is_sorted(), "buckets fall: {values:?}");
                    bounds.iter().map(|b| b.value.to_string()).chain(["sum".to_owned()]).collect()
                }
                PointKind::Summary(_) => vec!["sum".to_owned(), "count".to_owned()],
            };
            if point.labels.get("l") == Some(&HOLDER.to_string()) {
                continue;
            }
            let shown = parts.into_iter().zip(values).filter(|(_, value)| !is_absent(**value));
            let labels = format!("{:?}", point.labels);
            numbers.extend(shown.map(|(part, value)| ((labels.clone(), part), *value)));
        }
        numbers
    }

    /// Of a histogram.
    pub(crate) fn bounds(&self, series: u8) -> Vec<f64> {
        let family = self.family();
        let is_of = |labels: &LabelSet| labels.get("l") == Some(&series.to_string());
        match &family.layout.points.iter().find(|point| is_of(&point.labels)).unwrap().kind {
            PointKind::Histogram(bounds) => bounds.iter().map(|bound| bound.value).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// By series.
    pub(crate) fn natives(&self) -> BTreeMap<u8, NativeHistogram> {
        let family = self.family();
        let natives = family.extras.natives.iter();
        let by_series = natives.map(|(at, native)| {
            let labels = &family.layout.points[*at as usize].labels;
            (labels.get("l").unwrap().parse().unwrap(), NativeHistogram::clone(native))
        });
        by_series.filter(|(series, _)| *series != HOLDER).collect()
    }

    /// By series.
    pub(crate) fn created(&self) -> BTreeMap<u8, f64> {
        let family = self.family();
        let points = family.layout.points.iter().zip(&family.extras.created);
        let dated = points.filter(|(_, created)| !is_absent(**created));
        dated.map(|(point, at)| (point.labels.get("l").unwrap().parse().unwrap(), *at)).collect()
    }

    /// The exemplar's value by series and the part's number.
    pub(crate) fn exemplars(&self) -> BTreeMap<(u8, usize), f64> {
        let family = self.family();
        let mut exemplars = BTreeMap::new();
        let mut first = 0;
        for point in &family.layout.points {
            let series: u8 = point.labels.get("l").unwrap().parse().unwrap();
            for (at, exemplar) in &family.extras.exemplars {
                let at = *at as usize;
                if (first..first + point.len()).contains(&at) {
                    exemplars.insert((series, at - first), exemplar.value);
                }
            }
            first += point.len();
        }
        exemplars
    }
}

/// Nobody leaves by silence, and nothing is forgotten.
fn patient(settings: Settings) -> Settings {
    let long = Duration::from_secs(1_000_000);
    Settings { decay: long, resume_window: RESUME_WINDOW, retain: long, ..settings }
}

/// The series that keeps the family exposed.
const HOLDER: u8 = 9;
