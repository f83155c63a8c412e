//! One family without its numbers: head, and a prefix for each line.

use super::labels::LabelWriter;
use super::names::Names;
use super::{Dialect, Style};
use crate::escape;
use crate::number;
use sidecar_model::{
    ABSENT, Bound, FamilyLayout, MetricType, Point, PointKind, is_absent, is_plain_metric_name,
};
use std::sync::Arc;

/// A layout's text.
#[derive(Debug)]
pub(crate) struct Rendered {
    head: Vec<u8>,
    untyped_heads: Vec<Vec<u8>>,
    metric_type: MetricType,
    /// The lines up to their values, one after the other.
    text: Vec<u8>,
    /// The length of each line's prefix; 0: the line is left out.
    lines: Vec<u32>,
    /// `None`: each point is one line with one value.
    points: Option<Vec<PointLines>>,
    /// Where the points are in the layout when that is not their order here.
    order: Option<Vec<u32>>,
    leads: Leads,
    claimed: Vec<String>,
    reserved: Vec<String>,
    escaped: bool,
    /// A bound or quantile that the type does not allow.
    odd_bounds: bool,
    left_out: usize,
}

/// How many lines a point has, and whose values they show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PointLines {
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

    pub(crate) fn lines(self) -> usize {
        match self {
            PointLines::Scalar => 1,
            PointLines::Histogram(count) | PointLines::Summary(count) => count + 2,
        }
    }

    pub(crate) fn values(self) -> usize {
        match self {
            PointLines::Scalar => 1,
            PointLines::Histogram(count) => count + 1,
            PointLines::Summary(count) => count + 2,
        }
    }

    /// This point's values among the family's, of which it begins at `first`.
    pub(crate) fn values_of(self, values: &[f64], first: usize) -> &[f64] {
        values.get(first..first.saturating_add(self.values())).unwrap_or_default()
    }

    /// Whether the point is there at all, given its values.
    pub(crate) fn is_there(self, values: &[f64]) -> bool {
        match self {
            PointLines::Scalar | PointLines::Summary(_) => values.iter().any(|v| !is_absent(*v)),
            PointLines::Histogram(buckets) => {
                buckets > 0 && values.first().is_some_and(|v| !is_absent(*v))
            }
        }
    }

    /// The value in the point's `nth` line, given its values.
    pub(crate) fn value_of_line(self, values: &[f64], nth: usize) -> f64 {
        let index = match self {
            PointLines::Histogram(buckets) if nth > buckets => buckets.saturating_sub(1),
            PointLines::Scalar | PointLines::Histogram(_) | PointLines::Summary(_) => nth,
        };
        values.get(index).copied().unwrap_or(ABSENT)
    }
}

/// What lines begin with, by kind: the name, or brace and quoted name.
#[derive(Debug)]
struct Leads {
    sample: Vec<u8>,
    bucket: Vec<u8>,
    sum: Vec<u8>,
    count: Vec<u8>,
    created: Vec<u8>,
    /// The brace is open.
    quoted: bool,
}

impl Leads {
    fn of(names: &Names) -> Leads {
        let quoted = !is_plain_metric_name(&names.sample);
        let lead = |name: &str, suffix: &str| {
            let mut lead = Vec::new();
            if quoted {
                lead.extend_from_slice(b"{\"");
                escape::label_value(name, &mut lead);
                lead.extend_from_slice(suffix.as_bytes());
                lead.push(b'"');
            } else {
                lead.extend_from_slice(name.as_bytes());
                lead.extend_from_slice(suffix.as_bytes());
            }
            lead
        };
        let [bucket, sum, count] = names.suffixes;
        Leads {
            sample: lead(&names.sample, ""),
            bucket: lead(&names.sample, bucket),
            sum: lead(&names.sample, sum),
            count: lead(&names.sample, count),
            created: lead(&names.base, "_created"),
            quoted,
        }
    }
}

impl Rendered {
    pub(super) fn new(layout: &FamilyLayout, style: Style) -> Rendered {
        let names = Names::of(layout, style);
        let untyped_heads = match style.dialect {
            Dialect::Prometheus => vec![],
            Dialect::OpenMetrics => names.untyped_heads(layout),
        };
        let reserved = match style.dialect {
            Dialect::Prometheus => vec![],
            Dialect::OpenMetrics => names.reserved(),
        };
        let order = match (style.dialect, names.metric_type) {
            (Dialect::OpenMetrics, MetricType::StateSet) => Some(stateset_order(layout)),
            _ => None,
        };
        let mut lines = Lines::new(layout, Leads::of(&names), style);
        match &order {
            None => (0..layout.points.len()).for_each(|index| lines.point(layout, index)),
            Some(order) => order.iter().for_each(|index| lines.point(layout, *index as usize)),
        }
        lines.fit();
        let composite = layout.points.iter().any(|p| !matches!(p.kind, PointKind::Scalar));
        Rendered {
            head: names.head(layout, style.dialect),
            untyped_heads,
            metric_type: names.metric_type,
            text: lines.text,
            lines: lines.lengths,
            points: composite
                .then(|| layout.points.iter().map(|p| PointLines::of(&p.kind)).collect()),
            order,
            leads: lines.leads,
            claimed: names.claimed(),
            reserved,
            escaped: !is_plain_metric_name(&layout.name),
            odd_bounds: lines.odd_bounds,
            left_out: lines.left_out,
        }
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The head of the lines of one kind when the family is printed without its type.
    pub(crate) fn untyped_head(&self, kind: usize) -> Option<&[u8]> {
        self.untyped_heads.get(kind).map(Vec::as_slice)
    }

    pub(crate) fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn lines(&self) -> &[u32] {
        &self.lines
    }

    pub(crate) fn point_lines(&self) -> Option<&[PointLines]> {
        self.points.as_deref()
    }

    pub(crate) fn order(&self) -> Option<&[u32]> {
        self.order.as_deref()
    }

    /// The lines of a point that begins with line `first`.
    pub(crate) fn lines_of(&self, first: usize, point: PointLines) -> &[u32] {
        self.lines.get(first..first.saturating_add(point.lines())).unwrap_or_default()
    }

    /// What the line of a point's created time begins with, and what of its `last` line's prefix
    /// follows.
    pub(crate) fn created_prefix<'a>(&'a self, last: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let lead = if self.points.is_none() { &self.leads.sample } else { &self.leads.count };
        Some((&self.leads.created, last.strip_prefix(lead.as_slice())?))
    }

    pub(super) fn claimed(&self) -> &[String] {
        &self.claimed
    }

    pub(super) fn reserved(&self) -> &[String] {
        &self.reserved
    }

    pub(super) fn is_escaped(&self) -> bool {
        self.escaped
    }

    pub(crate) fn has_odd_bounds(&self) -> bool {
        self.odd_bounds
    }

    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn points(&self) -> usize {
        self.points.as_ref().map_or(self.lines.len(), Vec::len)
    }

    /// Whether a line would be printed with these values.
    pub(crate) fn has_any(&self, values: &[f64]) -> bool {
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
}

/// OpenMetrics wants the states of one set together: by the other labels first.
fn stateset_order(layout: &FamilyLayout) -> Vec<u32> {
    let set_of = |point: &Point| point.labels.without(|name| name == &*layout.name);
    let mut order: Vec<_> = (0_u32..).zip(layout.points.iter().map(set_of)).collect();
    order.sort_by(|a, b| a.1.cmp(&b.1));
    order.into_iter().map(|(index, _)| index).collect()
}

/// The lines being rendered.
struct Lines<'a> {
    leads: Leads,
    style: Style,
    text: Vec<u8>,
    lengths: Vec<u32>,
    writer: LabelWriter<'a>,
    bounds: BoundTexts,
    left_out: usize,
    odd_bounds: bool,
    /// Scratch: a point's labels.
    labels: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(layout: &FamilyLayout, leads: Leads, style: Style) -> Lines<'a> {
        // A label takes as many bytes in its set as on a line. Two braces and a blank come to it.
        let line = leads.count.len() + 3;
        let (mut count, mut bytes) = (0, 0);
        for point in &layout.points {
            let lines = PointLines::of(&point.kind).lines();
            let bounds = if lines > 1 { lines * 16 } else { 0 };
            count += lines;
            bytes += lines * (line + point.labels.as_bytes().len()) + bounds;
        }
        Lines {
            leads,
            style,
            text: Vec::with_capacity(bytes),
            lengths: Vec::with_capacity(count),
            writer: LabelWriter::new(style.escaping),
            bounds: BoundTexts::default(),
            left_out: 0,
            odd_bounds: false,
            labels: Vec::new(),
        }
    }

    /// Gives memory back where much was reserved for nothing.
    fn fit(&mut self) {
        if self.text.capacity() - self.text.len() > self.text.len() / 4 {
            self.text.shrink_to_fit();
        }
    }

    fn point(&mut self, layout: &'a FamilyLayout, index: usize) {
        let Some(point) = layout.points.get(index) else { return };
        if !self.writer.write(layout, index, point, &mut self.labels) {
            self.left_out += 1;
            let lines = PointLines::of(&point.kind).lines();
            self.lengths.extend(std::iter::repeat_n(0, lines));
            return;
        }
        let Lines { leads, text, lengths, labels, bounds: texts, .. } = self;
        let mut line = |lead: &[u8], bound: &[u8]| {
            let start = text.len();
            write_line(lead, leads.quoted, labels, bound, text);
            // A line of 4 GiB cannot be; if it were, it would be left out.
            lengths.push(u32::try_from(text.len() - start).unwrap_or_else(|_| {
                text.truncate(start);
                0
            }));
        };
        match &point.kind {
            PointKind::Scalar => return line(&leads.sample, b""),
            PointKind::Histogram(bounds) => {
                texts.load("le", bounds, self.style.dialect);
                texts.iter().for_each(|bound| line(&leads.bucket, bound));
            }
            PointKind::Summary(quantiles) => {
                texts.load("quantile", quantiles, self.style.dialect);
                texts.iter().for_each(|quantile| line(&leads.sample, quantile));
                self.odd_bounds |= quantiles.iter().any(|q| !(0.0..=1.0).contains(&q.value));
            }
        }
        line(&leads.sum, b"");
        line(&leads.count, b"");
    }
}

fn write_line(lead: &[u8], quoted: bool, labels: &[u8], bound: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(lead);
    let mut open = quoted;
    for part in [labels, bound] {
        if !part.is_empty() {
            out.push(if open { b',' } else { b'{' });
            out.extend_from_slice(part);
            open = true;
        }
    }
    out.extend_from_slice(if open { b"} " } else { b" " });
}

/// The bounds of the last point as labels: points mostly share them.
#[derive(Default)]
struct BoundTexts {
    bounds: Option<Arc<[Bound]>>,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl BoundTexts {
    fn load(&mut self, label: &str, bounds: &Arc<[Bound]>, dialect: Dialect) {
        if self.bounds.as_ref().is_some_and(|last| Arc::ptr_eq(last, bounds)) {
            return;
        }
        self.text.clear();
        self.ends.clear();
        for bound in bounds.iter() {
            self.text.extend_from_slice(label.as_bytes());
            self.text.extend_from_slice(b"=\"");
            match dialect {
                Dialect::OpenMetrics => number::write_float(bound.value, &mut self.text),
                Dialect::Prometheus if bound.value == f64::INFINITY => {
                    self.text.extend_from_slice(b"+Inf");
                }
                Dialect::Prometheus => escape::label_value(&bound.text, &mut self.text),
            }
            self.text.push(b'"');
            self.ends.push(self.text.len());
        }
        self.bounds = Some(Arc::clone(bounds));
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, to)| self.text.get(from..*to).unwrap_or_default())
    }
}
