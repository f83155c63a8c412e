//! The only escaping of label values and help texts. (Names: `sidecar_model`.)

/// Appends a label value or a quoted name for a text format: `\\`, `\"` and `\n` are the escapes.
pub fn label_value(text: &str, out: &mut Vec<u8>) {
    label_bytes(text.as_bytes(), out);
}

/// [`label_value`] of UTF-8 bytes.
#[inline]
pub(crate) fn label_bytes(text: &[u8], out: &mut Vec<u8>) {
    write_escaped(text, |byte| (byte == b'\\') | (byte == b'"') | (byte == b'\n'), out);
}

/// Appends a help text for text 0.0.4: `\\` and `\n` are the escapes.
pub fn help(text: &str, out: &mut Vec<u8>) {
    write_escaped(text.as_bytes(), |byte| (byte == b'\\') | (byte == b'\n'), out);
}

/// Appends a help text for OpenMetrics, where it is escaped as a label value is.
pub fn help_and_quotes(text: &str, out: &mut Vec<u8>) {
    label_value(text, out);
}

#[inline]
fn write_escaped(text: &[u8], special: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    // Without an early end the search runs over many bytes at a time; a hit is rare.
    if !text.iter().fold(false, |found, byte| found | special(*byte)) {
        out.extend_from_slice(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| special(*byte)) {
        let Some((plain, [byte, behind @ ..])) = rest.split_at_checked(at) else { break };
        out.extend_from_slice(plain);
        out.extend_from_slice(&[b'\\', if *byte == b'\n' { b'n' } else { *byte }]);
        rest = behind;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::{help, label_value};

    fn escaped(text: &str, escape: fn(&str, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn label_values_escape_backslash_quote_and_line_feed() {
        assert_eq!(escaped("a\\b\"c\nd\té", label_value), "a\\\\b\\\"c\\nd\té");
        assert_eq!(escaped("", label_value), "");
        assert_eq!(escaped("\n\n", label_value), "\\n\\n");
    }

    #[test]
    fn help_leaves_quotes_alone() {
        assert_eq!(escaped("say \"x\"\\\n", help), "say \"x\"\\\\\\n");
    }
}
