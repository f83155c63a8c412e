//! The own metrics as model families, for the text encoder.

use super::{BOUNDS_US, ByCode, Durations, Telemetry, process};
use crate::admission::MemoryUse;
use crate::clock::Clock;
use crate::journal::{JournalState, Restored};
use sidecar_model::{
    Bound, Exposition, Extras, FamilyExposition, FamilyLayout, LabelSet, MetricType, Point,
    PointKind,
};
use sidecar_store::Stats;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything that is counted, in name order.
pub(crate) fn page(
    telemetry: &Telemetry,
    clock: &Clock,
    stats: &Stats,
    body_memory_bytes: usize,
    memory: MemoryUse,
) -> Exposition {
    let mut page = Page::default();
    page.traffic(telemetry, body_memory_bytes);
    page.state(stats);
    page.events(stats);
    page.process(clock);
    page.memory(memory);
    let mut families = page.families;
    families.sort_by(|a, b| a.layout.name.cmp(&b.layout.name));
    Exposition { families }
}

/// What is kept on disk.
pub(crate) fn journal_page(
    telemetry: &Telemetry,
    journal: &JournalState,
    restored: &Restored,
) -> Vec<FamilyExposition> {
    let mut page = Page::default();
    let positions =
        [("last", journal.last), ("synced", journal.synced), ("written", journal.written)];
    page.add(
        ("journal_position", "Number of the last record taken, written and synced."),
        MetricType::Gauge,
        positions.iter().map(|(of, p)| (labels(&[("of", of)]), float(p.0))).collect(),
    );
    page.gauge(
        "journal_bytes",
        "Journal on disk, with reserved space.",
        float(journal.bytes_on_disk),
    );
    page.counter("journal_written_bytes", "Bytes of records taken.", journal.taken_bytes);
    page.counter("journal_syncs", "Syncs of the journal.", journal.syncs);
    page.counter("journal_refused", "Records refused for lack of space.", journal.refused);
    let takes = journal.full.is_none() && journal.broken.is_none();
    page.gauge("journal_takes_records", "1 while pushes can be kept.", float(u64::from(takes)));
    page.codes("snapshots", "Snapshots by what became of them.", &telemetry.snapshots);
    page.gauge("snapshot_bytes", "The last snapshot.", float(telemetry.snapshot_bytes.get()));
    page.durations("snapshot_duration_seconds", "Copy and write.", &telemetry.snapshot_time);
    page.gauge("restore_seconds", "What the start took to restore the state.", restored.seconds);
    page.gauge("restored_records", "Records replayed at the start.", float(restored.replayed));
    let left_out = restored.left_out.len() as u64;
    page.gauge("restore_left_out", "What the start could not use, see /-/ready.", float(left_out));
    page.families
}

/// Of the directories of Python's multiprocess mode, where there are some.
pub(crate) fn multiproc_page(telemetry: &Telemetry) -> Vec<FamilyExposition> {
    let mut page = Page::default();
    let counts = &telemetry.multiproc;
    page.gauge("multiproc_workers", "Workers with files.", float(counts.workers.get()));
    page.gauge("multiproc_files", "Files of workers.", float(counts.files.get()));
    page.gauge(
        "multiproc_faulty_files",
        "Files that took no part in the last read.",
        float(counts.faulty_files.get()),
    );
    page.gauge(
        "multiproc_dead_workers",
        "Workers that are dead for certain and have files.",
        float(counts.dead.get()),
    );
    page.gauge(
        "multiproc_unknown_workers",
        "Workers of whom it cannot be told whether they live.",
        float(counts.unknown.get()),
    );
    page.counter(
        "multiproc_folded_workers",
        "Dead workers whose files were folded and deleted.",
        counts.folded.get(),
    );
    page.codes("multiproc_faults", "Files left out, at each read.", &counts.faults);
    page.counter("multiproc_read_bytes", "Bytes of files read.", counts.read_bytes.get());
    page.durations("multiproc_read_duration_seconds", "Read and push.", &counts.read_time);
    page.families
}

#[derive(Default)]
struct Page {
    families: Vec<FamilyExposition>,
}

impl Page {
    fn traffic(&mut self, telemetry: &Telemetry, body_memory_bytes: usize) {
        let connections = &telemetry.connections;
        self.gauge("connections", "Open connections.", float(connections.open.get()));
        self.counter("connections_accepted", "Connections accepted.", connections.accepted.get());
        self.counter(
            "connections_refused",
            "Connections beyond the limit, closed at once.",
            connections.refused.get(),
        );
        self.counter(
            "connections_expired",
            "Connections closed for slowness or idleness.",
            connections.expired.get(),
        );
        self.counter(
            "tls_handshake_failures",
            "Connections whose TLS handshake failed.",
            connections.handshake_failures.get(),
        );
        self.counter(
            "accept_failures",
            "Connections that could not be accepted.",
            connections.accept_failures.get(),
        );
        let pushes =
            [("/v1/ingest", &telemetry.json_pushes), ("/metrics", &telemetry.group_pushes)];
        let points = pushes.into_iter().flat_map(|(path, pushes)| {
            let mut counts = pushes.other.sorted();
            counts.push(("ok", pushes.done.get()));
            counts
                .into_iter()
                .map(move |(code, count)| (labels(&[("path", path), ("code", code)]), float(count)))
        });
        let (name, help) = ("pushes", "Pushes by what became of them.");
        self.add((name, help), MetricType::Counter, points.collect());
        self.counter("samples", "Samples taken in.", telemetry.samples.get());
        self.codes("refusals", "Refused requests and families.", &telemetry.refusals);
        self.codes("scrapes", "Scrapes by what became of them.", &telemetry.scrapes);
        self.counter("scrape_bytes", "Bytes of pages made.", telemetry.scrape_bytes.get());
        self.codes("reloads", "Reloads of the configuration.", &telemetry.reloads);
        self.counter("panics", "Panics that were caught.", telemetry.panics.get());
        self.gauge(
            "body_memory_bytes",
            "Memory of request bodies being read or applied.",
            float(body_memory_bytes as u64),
        );
        self.durations("push_duration_seconds", "Decode and apply.", &telemetry.push_time);
        self.durations("scrape_duration_seconds", "Collect and encode.", &telemetry.scrape_time);
    }

    fn state(&mut self, stats: &Stats) {
        let instances = [("departed", stats.departed_instances), ("live", stats.live_instances)];
        self.add(
            ("instances", "Instances that are remembered with their values."),
            MetricType::Gauge,
            instances.iter().map(|(state, n)| (labels(&[("state", state)]), float(*n))).collect(),
        );
        for (name, help, level) in [
            ("groups", "Groups without an id.", stats.groups),
            ("forgotten_ids", "Ids remembered without values.", stats.forgotten_ids),
            ("families", "Families.", stats.families),
            ("series", "Merged series.", stats.merged_series),
            ("contributions", "Contributions of all instances.", stats.contributions),
            ("departed_totals", "Series with a departed total.", stats.departed_totals),
            ("idempotency_keys", "Idempotency keys remembered.", stats.idempotency_keys),
        ] {
            self.gauge(name, help, float(level));
        }
    }

    fn events(&mut self, stats: &Stats) {
        for (name, help, count) in [
            ("resets", "Restarts of counters and histograms seen.", stats.resets),
            ("resumes", "Departed instances that came back.", stats.resumes),
            ("departures", "Instances that departed.", stats.departures),
            ("decayed", "Gauge contributions that decayed.", stats.decayed),
            (
                "aggregation_conflicts",
                "Samples that named another function than their family has.",
                stats.aggregation_conflicts,
            ),
            ("shared_ids", "Instances found to be two processes.", stats.shared_ids),
            ("late_pushes", "Pushes repeated or overtaken.", stats.late_pushes),
            ("duplicate_samples", "Samples twice in one body.", stats.duplicate_samples),
            ("non_finite_sums", "Sums left out: not finite.", stats.non_finite_sums),
            ("early_folds", "Departed instances folded early.", stats.early_folds),
            ("early_forgotten_ids", "Ids forgotten early.", stats.early_forgotten),
            (
                "relieved_series",
                "Merged series that nobody wrote any more and that went because memory was short.",
                stats.relieved,
            ),
        ] {
            self.counter(name, help, count);
        }
    }

    fn process(&mut self, clock: &Clock) {
        let process = process::read();
        self.add(
            ("build_info", "Version of the program; always 1."),
            MetricType::Gauge,
            vec![(labels(&[("version", VERSION)]), 1.0)],
        );
        self.gauge("start_time_seconds", "Start, in Unix seconds.", clock.started_at_seconds());
        self.gauge("resident_memory_bytes", "Resident memory.", process.resident_bytes);
        self.gauge("virtual_memory_bytes", "Virtual memory.", process.virtual_bytes);
        self.gauge("threads", "Threads of the process.", process.threads);
        self.add(
            ("cpu_seconds", "Processor time."),
            MetricType::Counter,
            vec![(LabelSet::empty(), process.cpu_seconds)],
        );
    }

    fn memory(&mut self, memory: MemoryUse) {
        if let Some(limit) = memory.limit_bytes {
            self.gauge("memory_limit_bytes", "What the process may have.", float(limit as u64));
        }
        self.gauge(
            "memory_short",
            "1 while nothing new is taken for want of memory.",
            float(u64::from(memory.is_short)),
        );
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.add((name, help), MetricType::Gauge, vec![(LabelSet::empty(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) {
        self.add((name, help), MetricType::Counter, vec![(LabelSet::empty(), float(count))]);
    }

    fn codes(&mut self, name: &str, help: &str, codes: &ByCode) {
        self.by_code(name, help, &[], codes.sorted());
    }

    fn by_code(
        &mut self,
        name: &str,
        help: &str,
        fixed: &[(&str, &str)],
        counts: Vec<(&'static str, u64)>,
    ) {
        let points = counts.into_iter().map(|(code, count)| {
            let mut pairs = fixed.to_vec();
            pairs.push(("code", code));
            (labels(&pairs), float(count))
        });
        self.add((name, help), MetricType::Counter, points.collect());
    }

    fn add(
        &mut self,
        (name, help): (&str, &str),
        metric_type: MetricType,
        mut points: Vec<(LabelSet, f64)>,
    ) {
        points.sort_by(|a, b| a.0.cmp(&b.0));
        let values = points.iter().map(|(_, value)| *value).collect();
        let points =
            points.into_iter().map(|(labels, _)| Point { labels, kind: PointKind::Scalar });
        self.family(name, help, metric_type, points.collect(), values);
    }

    fn durations(&mut self, name: &str, help: &str, durations: &Durations) {
        let mut bounds: Vec<Bound> =
            BOUNDS_US.iter().map(|us| bound(float(*us) / 1_000_000.0)).collect();
        bounds.push(Bound { value: f64::INFINITY, text: "+Inf".into() });
        let mut so_far = 0;
        let mut values: Vec<f64> = durations
            .buckets
            .iter()
            .map(|bucket| {
                so_far += bucket.load(Relaxed);
                float(so_far)
            })
            .collect();
        values.push(float(durations.sum_ns.load(Relaxed)) / 1e9);
        let kind = PointKind::Histogram(bounds.into());
        let points = vec![Point { labels: LabelSet::empty(), kind }];
        self.family(name, help, MetricType::Histogram, points, values);
    }

    fn family(
        &mut self,
        name: &str,
        help: &str,
        metric_type: MetricType,
        points: Vec<Point>,
        values: Vec<f64>,
    ) {
        let layout = FamilyLayout {
            id: self.families.len() as u64,
            name: format!("monasca_sidecar_{name}").into(),
            metric_type,
            suffixed: metric_type == MetricType::Counter,
            help: help.into(),
            unit: "".into(),
            points,
        };
        self.families.push(FamilyExposition {
            layout: Arc::new(layout),
            values,
            extras: Extras::default(),
        });
    }
}

fn bound(value: f64) -> Bound {
    Bound { value, text: value.to_string().into() }
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::new(pairs.to_vec()).unwrap_or_else(|_| LabelSet::empty())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::admission::MemoryUse;
    use crate::clock::Clock;
    use crate::telemetry::Telemetry;
    use sidecar_store::Stats;

    #[test]
    fn families_are_in_name_order_and_each_point_has_its_values() {
        let telemetry = Telemetry::default();
        telemetry.refusals.add("type_conflict", 2);
        let page = page(&telemetry, &Clock::new(), &Stats::default(), 0, MemoryUse::default());
        assert!(page.families.is_sorted_by(|a, b| a.layout.name < b.layout.name));
        for family in &page.families {
            let expected: usize = family.layout.points.iter().map(|point| point.len()).sum();
            assert_eq!(family.values.len(), expected, "{}", family.layout.name);
        }
    }
}
