//! Random bodies: families as writers make them, and single lines between them.

use proptest::prelude::*;

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => (0..1000_u32).prop_map(|n| n.to_string()),
        8 => (0.0..1e6_f64).prop_map(|n| n.to_string()),
        1 => prop::sample::select(vec!["NaN", "+Inf", "-1", "1e400", "x", ""]).prop_map(str::to_owned),
    ]
}

fn labels() -> impl Strategy<Value = Vec<String>> {
    let label = prop_oneof![
        20 => "[a-c]=\"[xy]{0,2}\"",
        1 => Just("\"l.x\"=\"\\\\ \\n é\"".to_owned()),
    ];
    prop::collection::vec(label, 0..3)
}

fn braces(labels: &[String]) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

fn exemplar() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        2 => "[a-z]{1,3}".prop_map(|id| format!(" # {{id=\"{id}\"}} 0.5 1.5")),
        1 => Just(" 12.5".to_owned()),
    ]
}

/// One metric of a family of this type.
fn metric(name: String, kind: &'static str) -> impl Strategy<Value = String> {
    (labels(), number(), 0..50_u32, exemplar()).prop_map(move |(labels, value, count, exemplar)| {
        let all = braces(&labels);
        let with = |own: &str| {
            let mut labels = labels.clone();
            labels.push(own.to_owned());
            braces(&labels)
        };
        match kind {
            "counter" => format!("{name}_total{all} {value}{exemplar}\n"),
            "histogram" => format!(
                "{name}_bucket{} 0\n{name}_bucket{} {count}{exemplar}\n{name}_count{all} {count}\n{name}_sum{all} {value}\n",
                with("le=\"1.0\""), with("le=\"+Inf\""),
            ),
            "summary" => format!("{name}{} {value}\n{name}_count{all} {count}\n", with("quantile=\"0.5\"")),
            "info" => format!("{name}_info{all} 1\n"),
            _ => format!("{name}{all} {value}\n"),
        }
    })
}

fn family() -> impl Strategy<Value = String> {
    let kinds = vec!["counter", "gauge", "histogram", "summary", "info", "unknown"];
    (0..30_u32, prop::sample::select(kinds)).prop_flat_map(|(n, kind)| {
        let name = format!("f{n}");
        let head = format!("# TYPE {name} {kind}\n# HELP {name} text\n");
        prop::collection::vec(metric(name, kind), 0..4)
            .prop_map(move |metrics| head.clone() + &metrics.concat())
    })
}

pub(crate) fn body() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => ("[ab](_total|_sum)?", labels(), number())
            .prop_map(|(name, labels, value)| format!("{name}{} {value}\n", braces(&labels))),
        1 => prop::sample::select(vec!["\n", "# x\n", "# TYPE a gauge\n", "# UNIT b_s s\n", "# EOF\n"])
            .prop_map(str::to_owned),
    ];
    let parts = prop::collection::vec(prop_oneof![6 => family(), 1 => line], 0..5);
    parts.prop_map(|parts| parts.concat() + "# EOF\n")
}
