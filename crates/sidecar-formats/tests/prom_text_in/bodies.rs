//! Random bodies: lines as writers make them.

use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![10 => "[ab](_total|_count|_bucket|_sum|_created)?", 1 => Just("{\"a.b\"}".to_owned())]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => (0..1000_u32).prop_map(|n| n.to_string()),
        8 => (-1e6..1e6_f64).prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        2 => prop::sample::select(vec!["NaN", "+Inf", "-inf", "1e400", "0x1", "x", "", "5."])
            .prop_map(str::to_owned),
    ]
}

fn labels() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        20 => "[a-c]=\"[xy]{0,2}\"",
        1 => Just("le=\"0.5\"".to_owned()),
        1 => Just("\"l.x\"=\"\\\\ \\n é\"".to_owned()),
        1 => Just("__x=\"\"".to_owned()),
    ];
    prop_oneof![
        3 => Just(String::new()),
        8 => prop::collection::vec(label, 0..3).prop_map(|labels| format!("{{{}}}", labels.join(","))),
        1 => Just("{ a = \"b\" , }".to_owned()),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let types = "(counter|gauge|histogram|summary|untyped|info)";
    prop_oneof![
        16 => (name(), labels(), number()).prop_map(|(n, l, v)| format!("{n}{l} {v}")),
        1 => (name(), labels(), number()).prop_map(|(n, l, v)| format!("{n}{l}  {v} 12")),
        6 => (name(), types).prop_map(|(n, t)| format!("# TYPE {n} {t}")),
        5 => (name(), "[a-c]{0,2}").prop_map(|(n, h)| format!("# HELP {n} {h}")),
        1 => prop::sample::select(vec!["", " ", "# x", "#", "# HELP", "# EOF", "# TYPE a", "\r"])
            .prop_map(str::to_owned),
    ]
}

/// Lines in any order, and families in good order.
pub(crate) fn body() -> impl Strategy<Value = String> {
    let family =
        (0..20_u32, "(counter|gauge|histogram)", prop::collection::vec((labels(), number()), 0..4))
            .prop_map(|(n, kind, samples)| {
                let suffix = if kind == "histogram" { "_bucket" } else { "" };
                let mut out = format!("# HELP f{n} text\n# TYPE f{n} {kind}\n");
                for (labels, value) in samples {
                    out += &format!("f{n}{suffix}{labels} {value}\n");
                }
                out
            });
    let lines = prop::collection::vec(line(), 0..4).prop_map(|lines| lines.join("\n") + "\n");
    prop::collection::vec(prop_oneof![family, lines], 0..5).prop_map(|parts| parts.concat())
}
