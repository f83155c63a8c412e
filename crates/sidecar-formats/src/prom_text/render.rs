//! What a family's layout looks like in text 0.0.4, without the numbers: head, and a prefix for
//! each line. Also how the names of the format are kept apart when characters that it cannot carry
//! become underscores.

use crate::escape;
use hashbrown::HashSet;
use sidecar_model::{
    ABSENT, Bound, FamilyLayout, LabelSet, MetricType, Point, PointKind, is_absent,
};

/// A layout's text.
#[derive(Debug)]
pub(super) struct Rendered {
    /// `# HELP` and `# TYPE`.
    head: Vec<u8>,
    /// The lines up to their values, one after the other.
    text: Vec<u8>,
    /// The length of each line's prefix; 0: the line is left out.
    lines: Vec<u32>,
    /// `None`: each point is one line with one value.
    points: Option<Vec<PointLines>>,
    /// Names that the family prints; none when it has no name.
    names: Vec<String>,
    escaped: bool,
    left_out: usize,
    /// Scratch: a point's labels.
    labels: Vec<u8>,
}

/// How many lines a point has, and whose values they show.
#[derive(Clone, Copy, Debug)]
pub(super) enum PointLines {
    Scalar,
    /// So many buckets, then sum, then count; the count is the last bucket.
    Histogram(usize),
    /// So many quantiles, then sum, then count.
    Summary(usize),
}

impl PointLines {
    fn of(kind: &PointKind) -> PointLines {
        match kind {
            PointKind::Scalar => PointLines::Scalar,
            PointKind::Histogram(bounds) => PointLines::Histogram(bounds.len()),
            PointKind::Summary(quantiles) => PointLines::Summary(quantiles.len()),
        }
    }

    fn lines(self) -> usize {
        match self {
            PointLines::Scalar => 1,
            PointLines::Histogram(count) | PointLines::Summary(count) => count + 2,
        }
    }

    pub(super) fn values(self) -> usize {
        match self {
            PointLines::Scalar => 1,
            PointLines::Histogram(count) => count + 1,
            PointLines::Summary(count) => count + 2,
        }
    }

    /// This point's values among the family's, of which it begins at `first`.
    pub(super) fn values_of(self, values: &[f64], first: usize) -> &[f64] {
        values.get(first..first.saturating_add(self.values())).unwrap_or_default()
    }

    /// Whether the point is there at all, given its values.
    pub(super) fn is_there(self, values: &[f64]) -> bool {
        match self {
            PointLines::Scalar | PointLines::Summary(_) => values.iter().any(|v| !is_absent(*v)),
            PointLines::Histogram(buckets) => {
                buckets > 0 && values.first().is_some_and(|v| !is_absent(*v))
            }
        }
    }

    /// The value in the point's `nth` line, given its values.
    pub(super) fn value_of_line(self, values: &[f64], nth: usize) -> f64 {
        let index = match self {
            PointLines::Histogram(buckets) if nth > buckets => buckets.saturating_sub(1),
            PointLines::Scalar | PointLines::Histogram(_) | PointLines::Summary(_) => nth,
        };
        values.get(index).copied().unwrap_or(ABSENT)
    }
}

impl Rendered {
    pub(super) fn new(layout: &FamilyLayout) -> Rendered {
        let name = sidecar_model::plain_metric_name(&printed_name(layout)).into_owned();
        let composite = layout.points.iter().any(|p| !matches!(p.kind, PointKind::Scalar));
        let mut rendered = Rendered {
            head: head(&name, layout),
            text: Vec::new(),
            lines: Vec::with_capacity(layout.points.len()),
            points: composite
                .then(|| layout.points.iter().map(|p| PointLines::of(&p.kind)).collect()),
            names: names(&name, layout.metric_type),
            escaped: !sidecar_model::is_plain_metric_name(&layout.name),
            left_out: 0,
            labels: Vec::new(),
        };
        let collide = Collisions::of(layout);
        for (index, point) in layout.points.iter().enumerate() {
            rendered.point(&name, point, collide.hides(index));
        }
        rendered.labels = Vec::new();
        rendered.text.shrink_to_fit();
        rendered.lines.shrink_to_fit();
        rendered
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn lines(&self) -> &[u32] {
        &self.lines
    }

    pub(super) fn point_lines(&self) -> Option<&[PointLines]> {
        self.points.as_deref()
    }

    /// The lines of a point that begins with line `first`.
    pub(super) fn lines_of(&self, first: usize, point: PointLines) -> &[u32] {
        self.lines.get(first..first.saturating_add(point.lines())).unwrap_or_default()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn is_escaped(&self) -> bool {
        self.escaped
    }

    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn points(&self) -> usize {
        self.points.as_ref().map_or(self.lines.len(), Vec::len)
    }

    /// Whether a line would be printed with these values.
    pub(super) fn has_any(&self, values: &[f64]) -> bool {
        let Some(points) = &self.points else {
            return self.lines.iter().zip(values).any(|(len, v)| *len > 0 && !is_absent(*v));
        };
        let (mut line, mut value) = (0, 0);
        points.iter().any(|point| {
            let shown = self.lines_of(line, *point).iter().any(|len| *len > 0);
            let there = point.is_there(point.values_of(values, value));
            line += point.lines();
            value += point.values();
            shown && there
        })
    }

    fn point(&mut self, name: &str, point: &Point, hidden: bool) {
        let lines = PointLines::of(&point.kind).lines();
        if hidden {
            self.left_out += 1;
            self.lines.extend(std::iter::repeat_n(0, lines));
            return;
        }
        let mut labels = std::mem::take(&mut self.labels);
        labels.clear();
        write_labels(point, &mut labels);
        match &point.kind {
            PointKind::Scalar => self.line(name, "", &labels, None),
            PointKind::Histogram(bounds) => {
                for bound in bounds.iter() {
                    self.line(name, "_bucket", &labels, Some(("le", bound)));
                }
                self.line(name, "_sum", &labels, None);
                self.line(name, "_count", &labels, None);
            }
            PointKind::Summary(quantiles) => {
                for quantile in quantiles.iter() {
                    self.line(name, "", &labels, Some(("quantile", quantile)));
                }
                self.line(name, "_sum", &labels, None);
                self.line(name, "_count", &labels, None);
            }
        }
        self.labels = labels;
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[u8], bound: Option<(&str, &Bound)>) {
        let start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(suffix.as_bytes());
        if !labels.is_empty() || bound.is_some() {
            self.text.push(b'{');
            self.text.extend_from_slice(labels);
            if let Some((label, bound)) = bound {
                if !labels.is_empty() {
                    self.text.push(b',');
                }
                write_label(label, bound_text(bound), &mut self.text);
            }
            self.text.push(b'}');
        }
        self.text.push(b' ');
        // A line of 4 GiB cannot be; if it were, it would be left out.
        match u32::try_from(self.text.len() - start) {
            Ok(len) => self.lines.push(len),
            Err(_) => {
                self.text.truncate(start);
                self.lines.push(0);
            }
        }
    }
}

/// The name of the family in this format, which is also its samples' where they have no suffix of
/// their own.
fn printed_name(layout: &FamilyLayout) -> String {
    let suffix = match layout.metric_type {
        MetricType::Counter if layout.suffixed => "_total",
        MetricType::Info if layout.suffixed => "_info",
        MetricType::Counter
        | MetricType::Info
        | MetricType::Gauge
        | MetricType::Histogram
        | MetricType::Summary
        | MetricType::Unknown
        | MetricType::StateSet
        | MetricType::GaugeHistogram => "",
    };
    format!("{}{suffix}", layout.name)
}

const fn type_name(metric_type: MetricType) -> &'static str {
    match metric_type {
        MetricType::Counter => "counter",
        MetricType::Gauge | MetricType::Info | MetricType::StateSet => "gauge",
        MetricType::Histogram | MetricType::GaugeHistogram => "histogram",
        MetricType::Summary => "summary",
        MetricType::Unknown => "untyped",
    }
}

fn head(name: &str, layout: &FamilyLayout) -> Vec<u8> {
    let mut head = Vec::new();
    if !layout.help.is_empty() {
        head.extend_from_slice(format!("# HELP {name} ").as_bytes());
        escape::help(&layout.help, &mut head);
        head.push(b'\n');
    }
    head.extend_from_slice(format!("# TYPE {name} {}\n", type_name(layout.metric_type)).as_bytes());
    head
}

fn names(name: &str, metric_type: MetricType) -> Vec<String> {
    let suffixes: &[&str] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => &["", "_bucket", "_sum", "_count"],
        MetricType::Summary => &["", "_sum", "_count"],
        MetricType::Counter
        | MetricType::Gauge
        | MetricType::Info
        | MetricType::StateSet
        | MetricType::Unknown => &[""],
    };
    let suffixes = if name.is_empty() { &[] } else { suffixes };
    suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
}

fn bound_text(bound: &Bound) -> &str {
    if bound.value == f64::INFINITY { "+Inf" } else { &bound.text }
}

/// Appends `a="b",c="d"` with the names that this format can carry.
fn write_labels(point: &Point, out: &mut Vec<u8>) {
    let mut write = |name: &str, value: &str| {
        if !out.is_empty() {
            out.push(b',');
        }
        write_label(name, value, out);
    };
    if is_plain(point) {
        point.labels.iter().for_each(|(name, value)| write(name, value));
    } else {
        plain_labels(point).iter().for_each(|(name, value)| write(name, value));
    }
}

fn write_label(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape::label_value(value, out);
    out.push(b'"');
}

/// The label that the point's lines have besides its own, and the one that stands for the name.
fn reserved(kind: &PointKind) -> [&'static str; 2] {
    match kind {
        PointKind::Scalar => ["__name__", "__name__"],
        PointKind::Histogram(_) => ["__name__", "le"],
        PointKind::Summary(_) => ["__name__", "quantile"],
    }
}

fn is_plain(point: &Point) -> bool {
    let reserved = reserved(&point.kind);
    point
        .labels
        .iter()
        .all(|(name, _)| sidecar_model::is_plain_label_name(name) && !reserved.contains(&name))
}

/// The labels under plain names, in the order of these; a name that is taken gets underscores until
/// it is free, and one that was plain before keeps its own.
fn plain_labels(point: &Point) -> Vec<(String, String)> {
    let reserved = reserved(&point.kind);
    let mut taken: Vec<(String, String)> = Vec::new();
    let (plain, other): (Vec<_>, Vec<_>) = point.labels.iter().partition(|(name, _)| {
        sidecar_model::is_plain_label_name(name) && !reserved.contains(name)
    });
    for (name, value) in plain.into_iter().chain(other) {
        let mut name = sidecar_model::plain_label_name(name).into_owned();
        while reserved.contains(&name.as_str()) || taken.iter().any(|(other, _)| *other == name) {
            name.push('_');
        }
        taken.push((name, value.to_owned()));
    }
    taken.sort();
    taken
}

/// Points that plain names make equal to another.
struct Collisions(HashSet<usize, foldhash::fast::RandomState>);

impl Collisions {
    fn of(layout: &FamilyLayout) -> Collisions {
        let mut hidden = HashSet::default();
        let odd: Vec<usize> = layout
            .points
            .iter()
            .enumerate()
            .filter(|(_, point)| !is_plain(point))
            .map(|(index, _)| index)
            .collect();
        if odd.is_empty() {
            return Collisions(hidden);
        }
        // Only points with names that change can come to equal another: plain ones go first.
        let mut seen: HashSet<LabelSet, foldhash::fast::RandomState> =
            layout.points.iter().filter(|p| is_plain(p)).map(|p| p.labels.clone()).collect();
        for index in odd {
            let Some(point) = layout.points.get(index) else { continue };
            let free = LabelSet::new(plain_labels(point)).is_ok_and(|labels| seen.insert(labels));
            if !free {
                hidden.insert(index);
            }
        }
        Collisions(hidden)
    }

    fn hides(&self, index: usize) -> bool {
        !self.0.is_empty() && self.0.contains(&index)
    }
}
