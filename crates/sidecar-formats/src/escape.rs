//! The only escaping of label values and help texts. (Names: `sidecar_model`.)

/// Appends a label value for a text format: `\\`, `\"` and `\n` are the escapes.
pub fn label_value(text: &str, out: &mut Vec<u8>) {
    write_escaped(text, |byte| matches!(byte, b'\\' | b'"' | b'\n'), out);
}

/// Appends a help text for text 0.0.4: `\\` and `\n` are the escapes.
pub fn help(text: &str, out: &mut Vec<u8>) {
    write_escaped(text, |byte| matches!(byte, b'\\' | b'\n'), out);
}

fn write_escaped(text: &str, special: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
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
