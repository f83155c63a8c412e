//! A store with a clock, fed with lines of text and read as a page.

use crate::body::{Push, PushedFamily, PushedSample, Way};
use sidecar_formats::prom_text::TextEncoder;
use sidecar_model::{MetricType, Tick};
use sidecar_store::{Outcome, Settings, Standing, Store};

pub(crate) struct Daemon {
    store: Store,
    now: u64,
}

impl Daemon {
    pub(crate) fn new() -> Daemon {
        Daemon::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Daemon {
        Daemon { store: Store::new(settings, Tick::default()), now: 1_000_000 }
    }

    pub(crate) fn push(&mut self, id: &str, lines: &str) -> Outcome {
        self.send(Push { families: families(id, lines), ..Push::default() })
    }

    pub(crate) fn deltas(&mut self, id: &str, lines: &str) -> Outcome {
        let mut families = families(id, lines);
        families.iter_mut().for_each(|family| family.delta = true);
        self.send(Push { families, ..Push::default() })
    }

    pub(crate) fn numbered(
        &mut self,
        id: &str,
        (epoch, n, acked): (&str, u64, u64),
        lines: &str,
    ) -> Outcome {
        let sequence = Some((epoch.to_owned(), n, acked));
        self.send(Push { sequence, families: families(id, lines), ..Push::default() })
    }

    pub(crate) fn final_push(
        &mut self,
        id: &str,
        (epoch, n, acked): (&str, u64, u64),
        lines: &str,
    ) -> Outcome {
        let sequence = Some((epoch.to_owned(), n, acked));
        let families = families(id, lines);
        self.send(Push { sequence, families, is_final: true, ..Push::default() })
    }

    pub(crate) fn with_unit(&mut self, id: &str, unit: &str, lines: &str) -> Outcome {
        let mut families = families(id, lines);
        families.iter_mut().for_each(|family| unit.clone_into(&mut family.unit));
        self.send(Push { families, ..Push::default() })
    }

    pub(crate) fn with_ttl(&mut self, id: &str, seconds: u64, lines: &str) -> Outcome {
        let ttl_ms = Some(seconds * 1_000);
        self.send(Push { ttl_ms, families: families(id, lines), ..Push::default() })
    }

    #[expect(clippy::needless_pass_by_value, reason = "made for this call")]
    fn send(&mut self, push: Push) -> Outcome {
        let way = if self.now.is_multiple_of(2_000) { Way::Remembered } else { Way::Forgotten };
        push.send(&self.store, self.tick(), way).unwrap()
    }

    pub(crate) fn depart(&mut self, id: &str) {
        assert!(self.store.depart(id, self.tick()).unwrap(), "{id} is not there");
    }

    pub(crate) fn erase(&mut self, id: &str) {
        assert!(self.store.erase(id, self.tick()).unwrap(), "{id} is not there");
    }

    pub(crate) fn reload(&mut self, settings: Settings) {
        self.store.reload(settings, self.tick()).unwrap();
    }

    /// Second by second, with the upkeep that belongs to each.
    pub(crate) fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1_000;
            while self.store.upkeep(self.tick()) {}
        }
    }

    pub(crate) fn standing(&self, id: &str) -> Option<Standing> {
        self.store.standing(id)
    }

    pub(crate) fn is_shared(&self, id: &str) -> bool {
        let instances = self.store.instances(self.tick());
        instances.iter().any(|instance| instance.id == id && instance.shared)
    }

    pub(crate) fn has_mixed_bounds(&self, family: &str) -> bool {
        self.store.families(self.tick()).iter().any(|view| view.name == family && view.mixed_bounds)
    }

    /// The samples of the page, without comments.
    pub(crate) fn page(&self) -> String {
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.store.collect(self.tick()), &mut page);
        let page = String::from_utf8(page).unwrap();
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        samples.join("\n")
    }

    pub(crate) fn shows(&self, expected: &str) {
        assert_eq!(self.page(), expected);
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }
}

/// `name{label="value"} number` on each line.
fn families(id: &str, lines: &str) -> Vec<PushedFamily> {
    let mut families: Vec<PushedFamily> = Vec::new();
    for line in lines.lines() {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        let mut labels: Vec<(String, String)> = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        if !id.is_empty() {
            labels.push(("_id".to_owned(), id.to_owned()));
        }
        let (family, metric_type) = family_of(name, &labels);
        let sample = PushedSample { name: name.to_owned(), labels, value: value.parse().unwrap() };
        match families.iter_mut().find(|f| f.name == family && f.metric_type == metric_type) {
            Some(open) => open.samples.push(sample),
            None => families.push(PushedFamily {
                name: family,
                metric_type,
                samples: vec![sample],
                ..PushedFamily::default()
            }),
        }
    }
    families
}

fn family_of(name: &str, labels: &[(String, String)]) -> (String, MetricType) {
    let said = labels.iter().any(|(name, value)| name == "kind" && value == "gauge");
    let base = name.split(['_']).next().unwrap_or(name);
    match base {
        "latency" if !said => (base.to_owned(), MetricType::Histogram),
        "rpc" => (base.to_owned(), MetricType::Summary),
        _ if name.ends_with("_created") => {
            (name.replace("_created", "_total"), MetricType::Counter)
        }
        _ if name.ends_with("_total") => (name.to_owned(), MetricType::Counter),
        _ if name.ends_with("_info") => (name.to_owned(), MetricType::Info),
        _ => (name.to_owned(), MetricType::Gauge),
    }
}
