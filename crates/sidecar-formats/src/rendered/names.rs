//! The names that a family prints and the ones that it keeps from others, its types' spelling, and
//! its head.

use super::{Dialect, Style};
use crate::escape;
use crate::renaming::{sample_name, type_suffix};
use sidecar_model::{Escaping, FamilyLayout, MetricType, escape_metric_name, is_plain_metric_name};

/// A family's names on a page.
#[derive(Debug)]
pub(super) struct Names {
    /// Of the samples without a suffix of their own; that of text 0.0.4's head.
    pub(super) sample: String,
    /// In OpenMetrics's head.
    pub(super) base: String,
    pub(super) metric_type: MetricType,
    /// What the samples of composite families have behind the name, buckets, sum and count.
    pub(super) suffixes: [&'static str; 3],
}

impl Names {
    pub(super) fn of(layout: &FamilyLayout, style: Style) -> Names {
        let sample = escape_metric_name(&sample_name(layout), style.escaping).into_owned();
        let suffix = type_suffix(layout);
        let stripped = sample.strip_suffix(suffix).filter(|base| !base.is_empty());
        let base = stripped.unwrap_or(&sample).to_owned();
        let metric_type = open_metrics_type(layout, stripped.is_some(), style.escaping);
        let is_gauge = layout.metric_type == MetricType::GaugeHistogram;
        let suffixes = match style.dialect {
            Dialect::OpenMetrics if is_gauge => ["_bucket", "_gsum", "_gcount"],
            Dialect::OpenMetrics | Dialect::Prometheus => ["_bucket", "_sum", "_count"],
        };
        Names { sample, base, metric_type, suffixes }
    }

    /// The names of the family's lines, by kind of line; none when it has no name.
    pub(super) fn lines(&self) -> Vec<String> {
        let [bucket, sum, count] = self.suffixes;
        let suffixes: &[&str] = match self.metric_type {
            MetricType::Histogram | MetricType::GaugeHistogram => &[bucket, sum, count],
            MetricType::Summary => &["", sum, count],
            MetricType::Counter
            | MetricType::Gauge
            | MetricType::Info
            | MetricType::StateSet
            | MetricType::Unknown => &[""],
        };
        let suffixes = if self.sample.is_empty() { &[] } else { suffixes };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.sample)).collect()
    }

    /// Names that no other family of the page may print: those of the lines, and the family's own.
    pub(super) fn claimed(&self) -> Vec<String> {
        let mut names = self.lines();
        if !names.is_empty() && self.metric_type.is_composite() && !names.contains(&self.sample) {
            names.push(self.sample.clone());
        }
        names
    }

    /// Names that OpenMetrics gives to a family of this type besides.
    pub(super) fn reserved(&self) -> Vec<String> {
        match self.metric_type {
            MetricType::Counter => vec![self.base.clone(), format!("{}_created", self.base)],
            MetricType::Info => vec![self.base.clone()],
            MetricType::Histogram | MetricType::Summary => vec![format!("{}_created", self.base)],
            MetricType::Gauge
            | MetricType::StateSet
            | MetricType::Unknown
            | MetricType::GaugeHistogram => vec![],
        }
    }

    pub(super) fn head(&self, layout: &FamilyLayout, dialect: Dialect) -> Vec<u8> {
        match dialect {
            Dialect::Prometheus => self.prometheus_head(layout),
            Dialect::OpenMetrics => self.open_metrics_head(layout),
        }
    }

    fn prometheus_head(&self, layout: &FamilyLayout) -> Vec<u8> {
        let mut head = Vec::new();
        if !layout.help.is_empty() {
            write_line_start("# HELP ", &self.sample, &mut head);
            escape::help(&layout.help, &mut head);
            head.push(b'\n');
        }
        write_line_start("# TYPE ", &self.sample, &mut head);
        head.extend_from_slice(match layout.metric_type {
            MetricType::Counter => b"counter\n",
            MetricType::Gauge | MetricType::Info | MetricType::StateSet => b"gauge\n",
            MetricType::Histogram | MetricType::GaugeHistogram => b"histogram\n",
            MetricType::Summary => b"summary\n",
            MetricType::Unknown => b"untyped\n",
        });
        head
    }

    fn open_metrics_head(&self, layout: &FamilyLayout) -> Vec<u8> {
        let mut head = Vec::new();
        write_type(&self.base, self.metric_type, &mut head);
        if self.has_unit(layout) {
            write_line_start("# UNIT ", &self.base, &mut head);
            head.extend_from_slice(layout.unit.as_bytes());
            head.push(b'\n');
        }
        if !layout.help.is_empty() {
            write_line_start("# HELP ", &self.base, &mut head);
            escape::help_and_quotes(&layout.help, &mut head);
            head.push(b'\n');
        }
        head
    }

    /// The heads of the lines' names when each is a family of its own without a type.
    pub(super) fn untyped_heads(&self, layout: &FamilyLayout) -> Vec<Vec<u8>> {
        let heads = self.lines().into_iter().map(|name| {
            let mut head = Vec::new();
            write_type(&name, MetricType::Unknown, &mut head);
            if !layout.help.is_empty() {
                write_line_start("# HELP ", &name, &mut head);
                escape::help_and_quotes(&layout.help, &mut head);
                head.push(b'\n');
            }
            head
        });
        heads.collect()
    }

    /// Whether the unit may be said: where it is not the name's end it would be wrong.
    fn has_unit(&self, layout: &FamilyLayout) -> bool {
        let allowed = !layout.unit.is_empty()
            && !matches!(self.metric_type, MetricType::Info | MetricType::StateSet);
        let ends = self.base.strip_suffix(&*layout.unit).is_some_and(|rest| rest.ends_with('_'));
        allowed && ends && is_plain_metric_name(&format!("_{}", layout.unit))
    }
}

/// What OpenMetrics can call it, whether its samples have the type's suffix or not: without it a
/// counter or info is none there, and a name never depends on the format.
fn open_metrics_type(layout: &FamilyLayout, suffixed: bool, escaping: Escaping) -> MetricType {
    let is_one = match layout.metric_type {
        MetricType::Counter | MetricType::Info => layout.suffixed && suffixed,
        // A stateset's label is found by the name that the family is printed with.
        MetricType::StateSet => is_stateset(layout, escaping),
        MetricType::Gauge
        | MetricType::Histogram
        | MetricType::Summary
        | MetricType::Unknown
        | MetricType::GaugeHistogram => true,
    };
    if is_one { layout.metric_type } else { MetricType::Unknown }
}

fn is_stateset(layout: &FamilyLayout, escaping: Escaping) -> bool {
    let stays = sidecar_model::is_plain_label_name(&layout.name) || escaping == Escaping::AllowUtf8;
    stays
        && &*layout.name != "__name__"
        && layout.points.iter().all(|point| point.labels.get(&layout.name).is_some())
}

fn write_type(name: &str, metric_type: MetricType, out: &mut Vec<u8>) {
    write_line_start("# TYPE ", name, out);
    out.extend_from_slice(metric_type.as_str().as_bytes());
    out.push(b'\n');
}

fn write_line_start(start: &str, name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(start.as_bytes());
    if is_plain_metric_name(name) {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.push(b'"');
        escape::label_value(name, out);
        out.push(b'"');
    }
    out.push(b' ');
}

/// Whether the family's own name or that of one of its samples is among `wanted`, as it was pushed
/// or as this scheme prints it.
pub fn prints_one_of(layout: &FamilyLayout, escaping: Escaping, wanted: &[String]) -> bool {
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
    [escaping, Escaping::AllowUtf8].into_iter().any(|escaping| {
        [Dialect::Prometheus, Dialect::OpenMetrics].into_iter().any(|dialect| {
            let names = Names::of(layout, Style { dialect, escaping });
            is_wanted(&names.base)
                || is_wanted(&names.sample)
                || names.lines().iter().chain(&names.reserved()).any(|name| is_wanted(name))
        })
    })
}
