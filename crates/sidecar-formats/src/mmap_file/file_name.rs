//! What a file's name says: `<type>_<pid>.db`, for gauges `gauge_<mode>_<pid>.db`; of Ruby's client
//! `metric_<metric>___<pid>.bin`.

use sidecar_model::{Aggregation, MetricType};

/// What the values of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    Counter,
    Histogram,
    Summary,
    Gauge(GaugeMode),
    /// Of Ruby's client: the file's keys tell more, see [`super::Layout::metric_type`].
    Ruby,
}

/// How a gauge's values of several processes become one; in the `live` modes only those of live ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GaugeMode {
    All,
    LiveAll,
    Min,
    LiveMin,
    Max,
    LiveMax,
    Sum,
    LiveSum,
    MostRecent,
    LiveMostRecent,
}

impl GaugeMode {
    pub const ALL: [GaugeMode; 10] = [
        GaugeMode::All,
        GaugeMode::LiveAll,
        GaugeMode::Min,
        GaugeMode::LiveMin,
        GaugeMode::Max,
        GaugeMode::LiveMax,
        GaugeMode::Sum,
        GaugeMode::LiveSum,
        GaugeMode::MostRecent,
        GaugeMode::LiveMostRecent,
    ];

    /// As it stands in file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            GaugeMode::All => "all",
            GaugeMode::LiveAll => "liveall",
            GaugeMode::Min => "min",
            GaugeMode::LiveMin => "livemin",
            GaugeMode::Max => "max",
            GaugeMode::LiveMax => "livemax",
            GaugeMode::Sum => "sum",
            GaugeMode::LiveSum => "livesum",
            GaugeMode::MostRecent => "mostrecent",
            GaugeMode::LiveMostRecent => "livemostrecent",
        }
    }

    /// Whether a dead process's values do not count.
    pub const fn is_live(self) -> bool {
        match self {
            GaugeMode::LiveAll
            | GaugeMode::LiveMin
            | GaugeMode::LiveMax
            | GaugeMode::LiveSum
            | GaugeMode::LiveMostRecent => true,
            GaugeMode::All
            | GaugeMode::Min
            | GaugeMode::Max
            | GaugeMode::Sum
            | GaugeMode::MostRecent => false,
        }
    }

    /// Whether the value that was set last counts, of whichever process it is.
    pub const fn is_newest(self) -> bool {
        matches!(self, GaugeMode::MostRecent | GaugeMode::LiveMostRecent)
    }

    /// Whether each process's value is shown by itself, under the label `pid`.
    pub const fn has_pid(self) -> bool {
        matches!(self, GaugeMode::All | GaugeMode::LiveAll)
    }

    /// The function that merges the values; `None`: there is nothing to merge.
    pub const fn aggregation(self) -> Option<Aggregation> {
        match self {
            GaugeMode::Min | GaugeMode::LiveMin => Some(Aggregation::Min),
            GaugeMode::Max | GaugeMode::LiveMax => Some(Aggregation::Max),
            GaugeMode::Sum | GaugeMode::LiveSum => Some(Aggregation::Sum),
            GaugeMode::All
            | GaugeMode::LiveAll
            | GaugeMode::MostRecent
            | GaugeMode::LiveMostRecent => None,
        }
    }
}

impl FileKind {
    pub const fn metric_type(self) -> MetricType {
        match self {
            FileKind::Counter => MetricType::Counter,
            FileKind::Histogram => MetricType::Histogram,
            FileKind::Summary => MetricType::Summary,
            FileKind::Gauge(_) => MetricType::Gauge,
            FileKind::Ruby => MetricType::Unknown,
        }
    }

    /// Whether the values only rise while one process writes them, or may do so.
    pub const fn is_cumulative(self) -> bool {
        !matches!(self, FileKind::Gauge(_))
    }

    pub const fn is_live(self) -> bool {
        matches!(self, FileKind::Gauge(mode) if mode.is_live())
    }

    /// One byte for each kind, for raw headers.
    pub(super) fn byte(self) -> u8 {
        match self {
            FileKind::Counter => b'c',
            FileKind::Histogram => b'h',
            FileKind::Summary => b's',
            FileKind::Gauge(mode) => mode as u8,
            FileKind::Ruby => b'r',
        }
    }
}

/// A file name in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName<'a> {
    pub kind: FileKind,
    /// Whatever the client's `process_identifier` gave, with underscores and all. (The client's own
    /// collector cuts it at the first underscore, so that two workers may become one there.)
    pub pid: &'a str,
    /// Of Ruby's client; else empty.
    pub metric: &'a str,
}

impl<'a> FileName<'a> {
    /// `None`: not a name that a client gives to a file of values.
    pub fn parse(name: &'a str) -> Option<FileName<'a>> {
        if let Some(name) = name.strip_suffix(".bin") {
            return FileName::parse_ruby(name);
        }
        let (kind, rest) = name.strip_suffix(".db")?.split_once('_')?;
        let (kind, pid) = match kind {
            "counter" => (FileKind::Counter, rest),
            "histogram" => (FileKind::Histogram, rest),
            "summary" => (FileKind::Summary, rest),
            "gauge" => {
                let (mode, pid) = rest.split_once('_')?;
                let mode = GaugeMode::ALL.into_iter().find(|known| known.as_str() == mode)?;
                (FileKind::Gauge(mode), pid)
            }
            _ => return None,
        };
        (!pid.is_empty()).then_some(FileName { kind, pid, metric: "" })
    }

    fn parse_ruby(name: &'a str) -> Option<FileName<'a>> {
        let (metric, pid) = name.strip_prefix("metric_")?.rsplit_once("___")?;
        let is_one = !metric.is_empty() && !pid.is_empty();
        is_one.then_some(FileName { kind: FileKind::Ruby, pid, metric })
    }
}

#[cfg(test)]
mod tests {
    use super::{FileKind, FileName, GaugeMode};

    #[test]
    fn each_kind_has_its_name() {
        for (name, kind) in [
            ("counter_123.db", FileKind::Counter),
            ("histogram_123.db", FileKind::Histogram),
            ("summary_123.db", FileKind::Summary),
        ] {
            let expected = FileName { kind, pid: "123", metric: "" };
            assert_eq!(FileName::parse(name), Some(expected), "{name}");
        }
        for mode in GaugeMode::ALL {
            let name = format!("gauge_{}_123.db", mode.as_str());
            let kind = FileKind::Gauge(mode);
            let expected = FileName { kind, pid: "123", metric: "" };
            assert_eq!(FileName::parse(&name), Some(expected), "{name}");
            assert_eq!(mode.is_live(), mode.as_str().starts_with("live"));
        }
    }

    #[test]
    fn the_whole_rest_is_the_process() {
        for (name, pid) in [
            ("counter_web_1.db", "web_1"),
            ("gauge_all_web_1.db", "web_1"),
            ("gauge_all__.db", "_"),
            ("counter_1.db.db", "1.db"),
            ("counter_gauge_all_1.db", "gauge_all_1"),
        ] {
            assert_eq!(FileName::parse(name).map(|name| name.pid), Some(pid), "{name}");
        }
    }

    #[test]
    fn of_ruby_each_metric_has_its_file() {
        for (name, metric) in
            [("metric_a_total___7.bin", "a_total"), ("metric_a___b___7.bin", "a___b")]
        {
            let expected = FileName { kind: FileKind::Ruby, pid: "7", metric };
            assert_eq!(FileName::parse(name), Some(expected), "{name}");
        }
        for name in ["metric_a_7.bin", "metric____7.bin", "metric_a___.bin", "a___7.bin", ".bin"] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn other_files_are_none_of_ours() {
        for name in [
            "",
            ".db",
            "counter",
            "counter.db",
            "counter_.db",
            "counter_1",
            "counter_1.DB",
            "counter_1.db~",
            "Counter_1.db",
            "gauge_1.db",
            "gauge_all.db",
            "gauge_all_.db",
            "gauge_most_1.db",
            "gauge__1.db",
            "untyped_1.db",
            "counter_1.bin",
            "_counter_1.db",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn no_two_kinds_share_a_byte() {
        let mut kinds =
            vec![FileKind::Counter, FileKind::Histogram, FileKind::Summary, FileKind::Ruby];
        kinds.extend(GaugeMode::ALL.map(FileKind::Gauge));
        let mut bytes: Vec<u8> = kinds.iter().map(|kind| kind.byte()).collect();
        bytes.sort_unstable();
        bytes.dedup();
        assert_eq!(bytes.len(), kinds.len());
    }
}
