//! What the kernel says of this process.

/// Of `/proc/self/stat`: the kernel reports in hundredths of a second everywhere.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub resident_bytes: f64,
    pub virtual_bytes: f64,
    pub cpu_seconds: f64,
    pub threads: f64,
}

/// Zeros where the kernel does not say.
pub(super) fn read() -> Process {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in brackets and may hold anything.
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(1).map(number).collect())
        .unwrap_or_default();
    let at = |index: usize| fields.get(index).copied().unwrap_or_default();
    let page_bytes = rustix::param::page_size();
    Process {
        cpu_seconds: (at(10) + at(11)) / TICKS_PER_SECOND,
        threads: at(16),
        virtual_bytes: at(19),
        resident_bytes: at(20) * u32::try_from(page_bytes).map_or(4096.0, f64::from),
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}
