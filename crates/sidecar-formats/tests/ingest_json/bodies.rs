//! Random bodies: documents as writers make them, in every order and spelling, and mutations.

use proptest::prelude::*;

/// Blanks between tokens.
fn blank() -> impl Strategy<Value = String> {
    prop_oneof![12 => Just(String::new()), 1 => Just(" ".to_owned()), 1 => Just("\n\t".to_owned())]
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        30 => "[a-c]{1,2}",
        1 => Just(String::new()),
        1 => Just("__x".to_owned()),
        1 => Just(r#"\u0061\n\"é"#.to_owned()),
        1 => Just(r"\ud83d\ude00".to_owned()),
        1 => Just("}],{".to_owned()),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => (0..1000_u32).prop_map(|n| n.to_string()),
        8 => (-1e6..1e6_f64).prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        1 => any::<u64>().prop_map(|n| n.to_string()),
        1 => prop::sample::select(vec!["-0", "0.50", "1E3", "1e-400", "1e400", "01", "1.", "+1"])
            .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        30 => number(),
        2 => number().prop_map(|n| format!("\"{n}\"")),
        2 => prop::sample::select(vec![
            "NaN", "Infinity", "-Infinity", "null", "\"NaN\"", "\"+Inf\"", "\"-inf\"", "\"+nan\"",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["true", "\"\"", "[]", "{}", "\"x\"", "NaN2"])
            .prop_map(str::to_owned),
    ]
}

fn quoted() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("\"{text}\""))
}

/// A value that nobody looks at.
fn ignored() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![number(), quoted(), Just("null".to_owned()), Just("NaN".to_owned())];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..3);
        let object = prop::collection::vec((quoted(), inner), 0..3);
        prop_oneof![
            array.prop_map(|items| format!("[{}]", items.join(","))),
            object.prop_map(|members| join_object(&members, "")),
        ]
    })
}

fn join_object(members: &[(String, String)], blank: &str) -> String {
    let members: Vec<String> =
        members.iter().map(|(k, v)| format!("{k}{blank}:{blank}{v}{blank}")).collect();
    format!("{{{blank}{}}}", members.join(&format!(",{blank}")))
}

fn member(
    key: &'static str,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = (String, String)> {
    let key = format!("\"{key}\"");
    value.prop_map(move |value| (key.clone(), value))
}

fn labels() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        30 => quoted(), 4 => number(), 2 => Just("true".to_owned()), 1 => Just("null".to_owned()),
        1 => Just("NaN".to_owned()), 1 => Just("[1]".to_owned()),
    ];
    prop_oneof![
        30 => (prop::collection::vec((quoted(), value), 0..5), blank())
            .prop_map(|(members, blank)| join_object(&members, &blank)),
        1 => Just("null".to_owned()),
        1 => Just("7".to_owned()),
    ]
}

fn sample() -> impl Strategy<Value = String> {
    let members = |ignored: Vec<(String, String)>| {
        let member = |key: &str, value| (format!("\"{key}\""), value);
        (quoted(), labels(), value()).prop_map(move |(name, labels, value)| {
            let mut members = vec![member("name", name), member("labels", labels)];
            members.extend(ignored.clone());
            members.push(member("value", value));
            members
        })
    };
    let timestamp = ("\"timestamp\"".to_owned(), "[1]".to_owned());
    let shuffled = members(vec![timestamp]).prop_shuffle();
    let usual = (prop_oneof![3 => members(vec![]), 1 => shuffled], blank())
        .prop_map(|(members, blank)| join_object(&members, &blank));
    let odd = prop_oneof![
        member("name", quoted()),
        member("metricName", quoted()),
        member("labels", labels()),
        member("value", value()),
        member("v\\u0061lue", value()),
        member("timestamp", ignored()),
    ];
    let odd = (prop::collection::vec(odd, 0..5), blank())
        .prop_map(|(members, blank)| join_object(&members, &blank));
    prop_oneof![30 => usual, 2 => odd, 1 => ignored()]
}

fn samples() -> impl Strategy<Value = String> {
    prop_oneof![
        30 => (prop::collection::vec(sample(), 0..4), blank())
            .prop_map(|(samples, blank)| format!("[{blank}{}{blank}]", samples.join(","))),
        1 => Just("null".to_owned()),
        1 => ignored(),
    ]
}

fn family() -> impl Strategy<Value = String> {
    let types = prop::sample::select(vec!["counter", "gauge", "histogram", "untyped"]);
    let types = move || types.clone().prop_map(|word| format!("\"{word}\""));
    let usual =
        (quoted(), types(), samples(), blank()).prop_map(|(name, types, samples, blank)| {
            let member = |key: &str, value| (format!("\"{key}\""), value);
            join_object(
                &[member("name", name), member("type", types), member("values", samples)],
                &blank,
            )
        });
    let aggregators = vec!["\"sum\"", "\"average\"", "\"omit\"", "null", "\"odd\""];
    let odd = prop_oneof![
        2 => member("name", quoted()),
        2 => member("values", samples()),
        1 => member("type", types()),
        1 => member("help", quoted()),
        1 => member("unit", quoted()),
        1 => member("temporality", prop::sample::select(vec!["\"delta\"", "\"cumulative\"", "1"]).prop_map(str::to_owned)),
        1 => member("aggregator", prop::sample::select(aggregators).prop_map(str::to_owned)),
        1 => member("other", ignored()),
    ];
    let odd = (prop::collection::vec(odd, 0..6), blank())
        .prop_map(|(members, blank)| join_object(&members, &blank));
    prop_oneof![20 => usual, 4 => odd, 1 => ignored()]
}

/// A body, most often one that is taken in.
pub(crate) fn body() -> impl Strategy<Value = String> {
    (prop::collection::vec(family(), 0..4), blank())
        .prop_map(|(families, blank)| format!("{blank}[{}{blank}]{blank}", families.join(",")))
}

/// A change to a body.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// So many bytes are removed at a place, and others put there.
    Splice { at: prop::sample::Index, removed: usize, put: Vec<u8> },
    /// A member or element, with all behind it in the same object or array, goes.
    Cut { at: prop::sample::Index },
}

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let pieces = vec![
        "",
        " ",
        "}",
        "]",
        "{",
        "[",
        ",",
        ":",
        "\"",
        "\\",
        "1",
        "e",
        ".",
        "-",
        "NaN",
        "null",
        "\u{e9}",
        ",\"x\":1",
        ",\"aggregator\":\"max\"",
        ",\"type\":\"gauge\"",
        ",\"name\":\"z\"",
        "\"value\":2,",
        "{\"name\":\"a\",\"labels\":{},\"value\":1},",
    ];
    let put = prop_oneof![
        6 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    let removed = prop_oneof![3 => Just(0), 2 => Just(1), 1 => 0..9_usize];
    let edit = prop_oneof![
        2 => (any::<prop::sample::Index>(), removed, put)
            .prop_map(|(at, removed, put)| Edit::Splice { at, removed, put }),
        1 => any::<prop::sample::Index>().prop_map(|at| Edit::Cut { at }),
    ];
    prop::collection::vec(edit, 1..3)
}

pub(crate) fn edited(body: &str, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for edit in edits {
        match edit {
            Edit::Splice { at, removed, put } => {
                let at = at.index(bytes.len() + 1);
                let end = (at + removed).min(bytes.len());
                bytes.splice(at..end, put.iter().copied());
            }
            Edit::Cut { at } => cut(&mut bytes, at),
        }
    }
    bytes
}

/// From a comma to the bracket that closes what the comma stands in.
fn cut(bytes: &mut Vec<u8>, at: &prop::sample::Index) {
    let commas: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b',').collect();
    if commas.is_empty() {
        return;
    }
    let start = *at.get(&commas);
    let mut depth = 0;
    let end = (start..bytes.len()).find(|at| {
        depth += match bytes[*at] {
            b'{' | b'[' => 1,
            b'}' | b']' => -1,
            _ => 0,
        };
        depth < 0
    });
    bytes.drain(start..end.unwrap_or(bytes.len()));
}
