//! Random changes to bodies made of lines.

use proptest::prelude::*;

/// So many bytes, or lines, are removed at a place, and others put there.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    at: prop::sample::Index,
    removed: usize,
    whole_lines: bool,
    put: Vec<u8>,
}

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let pieces = vec![
        "",
        " ",
        "\n",
        "\r\n",
        "{",
        "}",
        ",",
        "\"",
        "\\",
        "#",
        "1",
        "_",
        "a",
        "é",
        "# TYPE a counter\n",
        "# HELP a x\n",
        "a 1\n",
        "a_count 1\n",
        "b{a=\"x\"} 2\n",
    ];
    let put = prop_oneof![
        6 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    let edit = (any::<prop::sample::Index>(), 0..3_usize, any::<bool>(), put)
        .prop_map(|(at, removed, whole_lines, put)| Edit { at, removed, whole_lines, put });
    prop::collection::vec(edit, 1..3)
}

pub(crate) fn edited(body: &str, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for Edit { at, removed, whole_lines, put } in edits {
        if *whole_lines {
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let at = at.index(lines.len() + 1);
            let end = (at + removed).min(lines.len());
            lines.splice(at..end, [put.as_slice()]);
            bytes = lines.concat();
        } else {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, put.iter().copied());
        }
    }
    bytes
}
