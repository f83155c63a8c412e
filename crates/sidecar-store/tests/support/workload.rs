//! Bodies as a fleet of gunicorn workers pushes them: the benchmark's workloads W1 and W3
//! (bench/src/workload.rs), to be pushed in process.

use sidecar_formats::ingest_json;
use sidecar_model::Tick;
use sidecar_store::{PushMeta, Store};
use std::fmt::Write as _;

const FUNCTIONS: [&str; 4] = ["sum", "min", "max", "mean"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

/// One push: the series `series` of an instance, ten or more to a family, all counters at `counter`.
pub(crate) fn body(
    instance: usize,
    series_per_family: usize,
    series: std::ops::Range<usize>,
    counter: u64,
) -> Vec<u8> {
    let mut out = String::from("[");
    let mut open = None;
    for n in series {
        let (family, at) = (n / series_per_family, n % series_per_family);
        let function = FUNCTIONS[family % 4];
        let (kind, suffix) = if function == "sum" { ("counter", "_total") } else { ("gauge", "") };
        let name = format!("app_bench_family_{family:03}{suffix}");
        if open != Some(family) {
            out.push_str(if open.is_some() { "]}," } else { "" });
            write!(
                out,
                r#"{{"name":"{name}","type":"{kind}","help":"Benchmark family number {family}.","values":["#
            )
            .unwrap_or_default();
            open = Some(family);
        } else {
            out.push(',');
        }
        let method = METHODS[at % 5];
        let code = if at % 7 == 3 { "500" } else { "200" };
        let value =
            if function == "sum" { counter.to_string() } else { format!("{n}.{}", counter % 97) };
        write!(
            out,
            r#"{{"name":"{name}","labels":{{"_id":"web-{instance:04}.pod-1b54a3","_aggregate":"{function}","method":"{method}","route":"/api/v1/resource/{at}","code":"{code}"}},"value":{value}}}"#
        )
        .unwrap_or_default();
    }
    out.push_str("]}]");
    out.into_bytes()
}

/// Decodes and applies one body; all of it must be taken.
pub(crate) fn push(store: &Store, body: &[u8]) {
    let outcome = store.push(&PushMeta::default(), Tick::from_millis(1_000), |sink| {
        ingest_json::decode(body, sink)
    });
    assert!(outcome.is_ok_and(|o| o.refused.is_empty() && o.samples > 0), "the push is taken");
}
