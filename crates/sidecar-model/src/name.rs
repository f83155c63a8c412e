//! Names as the formats without UTF-8 can carry them. The one place that knows which characters
//! are legal there, and the schemes that replace the others. Where the document of the schemes and
//! the reference implementation differ, this follows the implementation: every peer runs it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Most hexadecimal digits that a character has.
const LONGEST_CODE: usize = 6;

/// How names are printed that a plain name cannot be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// `_` for each character that is not allowed, or not there. Cannot be undone.
    #[default]
    Underscores,
    /// `_dot_` for a dot, `__` for an underscore and for any other such character.
    Dots,
    /// `U__`, then the character's number in hexadecimal between underscores, `__` for `_`.
    Values,
    /// As they are.
    AllowUtf8,
}

impl Escaping {
    /// As in the header's parameter `escaping`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
            Escaping::AllowUtf8 => "allow-utf-8",
        }
    }
}

impl fmt::Display for Escaping {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no escaping scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown escaping scheme: use one of underscores dots values allow-utf-8")]
pub struct UnknownEscaping;

impl FromStr for Escaping {
    type Err = UnknownEscaping;

    fn from_str(text: &str) -> Result<Self, UnknownEscaping> {
        Ok(match text {
            "underscores" => Escaping::Underscores,
            "dots" => Escaping::Dots,
            "values" => Escaping::Values,
            "allow-utf-8" => Escaping::AllowUtf8,
            _ => return Err(UnknownEscaping),
        })
    }
}

/// The metric name as a page with this scheme has it. A plain name stays as it is, also where the
/// scheme could double its underscores: that is what Prometheus's own library does with a page.
pub fn escape_metric_name(name: &str, scheme: Escaping) -> Cow<'_, str> {
    escape(name, scheme, metric_char)
}

/// [`escape_metric_name`] of a label name, where a colon is no plain character.
pub fn escape_label_name(name: &str, scheme: Escaping) -> Cow<'_, str> {
    escape(name, scheme, label_char)
}

/// The name that was escaped so, where the scheme can be undone; a text that no name escapes to
/// stays as it is.
pub fn unescape_name(name: &str, scheme: Escaping) -> Cow<'_, str> {
    match scheme {
        Escaping::Underscores | Escaping::AllowUtf8 => Cow::Borrowed(name),
        Escaping::Dots if !name.contains('_') => Cow::Borrowed(name),
        Escaping::Dots => Cow::Owned(name.replace("_dot_", ".").replace("__", "_")),
        Escaping::Values => match name.strip_prefix("U__").and_then(from_values) {
            Some(name) => Cow::Owned(name),
            None => Cow::Borrowed(name),
        },
    }
}

/// Whether every format can carry this metric name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_plain_metric_name(name: &str) -> bool {
    is_plain(name, metric_char)
}

/// Whether every format can carry this label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_plain_label_name(name: &str) -> bool {
    is_plain(name, label_char)
}

/// [`is_plain_label_name`] of UTF-8 bytes.
#[inline]
pub(crate) fn is_plain_label_bytes(name: &[u8]) -> bool {
    let leads_plainly = name.first().is_some_and(|byte| !byte.is_ascii_digit());
    leads_plainly && name.iter().all(|byte| label_char(*byte))
}

/// The metric name under the scheme `underscores`: `_` for each character that is not allowed, or
/// not there.
pub fn plain_metric_name(name: &str) -> Cow<'_, str> {
    underscores(name, metric_char)
}

/// The label name under the scheme `underscores`.
pub fn plain_label_name(name: &str) -> Cow<'_, str> {
    underscores(name, label_char)
}

const fn metric_char(byte: u8) -> bool {
    byte == b':' || label_char(byte)
}

const fn label_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[inline]
fn is_plain(name: &str, allowed: fn(u8) -> bool) -> bool {
    let first = name.as_bytes().first();
    first.is_some_and(|byte| !byte.is_ascii_digit()) && name.bytes().all(allowed)
}

fn escape(name: &str, scheme: Escaping, allowed: fn(u8) -> bool) -> Cow<'_, str> {
    if scheme == Escaping::AllowUtf8 || name.is_empty() || is_plain(name, allowed) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(match scheme {
        Escaping::Underscores => replace(name, allowed, |char, out| match char {
            Ok(plain) => out.push(plain),
            Err(_) => out.push('_'),
        }),
        Escaping::Dots => to_dots(name, allowed),
        Escaping::Values => to_values(name, allowed),
        Escaping::AllowUtf8 => name.to_owned(),
    })
}

fn underscores(name: &str, allowed: fn(u8) -> bool) -> Cow<'_, str> {
    escape(name, Escaping::Underscores, allowed)
}

fn to_dots(name: &str, allowed: fn(u8) -> bool) -> String {
    replace(name, allowed, |char, out| match char {
        Ok('_') => out.push_str("__"),
        Ok(plain) => out.push(plain),
        Err('.') => out.push_str("_dot_"),
        Err(_) => out.push_str("__"),
    })
}

fn to_values(name: &str, allowed: fn(u8) -> bool) -> String {
    let escaped = replace(name, allowed, |char, out| match char {
        Ok('_') => out.push_str("__"),
        Ok(plain) => out.push(plain),
        // Writing to a text cannot fail.
        Err(other) => write!(out, "_{:x}_", u32::from(other)).unwrap_or_default(),
    });
    format!("U__{escaped}")
}

/// Puts the name together anew: `Ok` is a character that is allowed where it is.
fn replace(
    name: &str,
    allowed: fn(u8) -> bool,
    put: impl Fn(Result<char, char>, &mut String),
) -> String {
    let mut out = String::with_capacity(name.len() + name.len() / 2);
    for (at, char) in name.char_indices() {
        let stays = u8::try_from(char).is_ok_and(allowed) && !(at == 0 && char.is_ascii_digit());
        put(if stays { Ok(char) } else { Err(char) }, &mut out);
    }
    out
}

/// What stands behind `U__`, undone; `None`: no name escapes to this.
fn from_values(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('_') {
        name.push_str(plain);
        let (code, behind) = escape.split_once('_')?;
        rest = behind;
        if code.is_empty() {
            name.push('_');
        } else if code.len() <= LONGEST_CODE && code.bytes().all(|b| b.is_ascii_hexdigit()) {
            name.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        } else {
            return None;
        }
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::{
        Escaping, escape_label_name, escape_metric_name, is_plain_metric_name, metric_char,
        plain_label_name, plain_metric_name, to_dots, unescape_name,
    };

    /// Name; under `underscores`; under `dots`; that undone; under `values`.
    const ESCAPED: [[&str; 5]; 8] = [
        ["", "", "", "", ""],
        [
            "no:escaping_required",
            "no:escaping_required",
            "no:escaping__required",
            "no:escaping_required",
            "no:escaping_required",
        ],
        [
            "mysystem.prod.west.cpu.load",
            "mysystem_prod_west_cpu_load",
            "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
            "mysystem.prod.west.cpu.load",
            "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
        ],
        [
            "mysystem.prod.west.cpu.load_total",
            "mysystem_prod_west_cpu_load_total",
            "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
            "mysystem.prod.west.cpu.load_total",
            "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
        ],
        [
            "http.status:sum",
            "http_status:sum",
            "http_dot_status:sum",
            "http.status:sum",
            "U__http_2e_status:sum",
        ],
        [
            "label with 😱",
            "label_with__",
            "label__with____",
            "label_with__",
            "U__label_20_with_20__1f631_",
        ],
        ["花火", "__", "____", "__", "U___82b1__706b_"],
        [
            "label with \u{100}",
            "label_with__",
            "label__with____",
            "label_with__",
            "U__label_20_with_20__100_",
        ],
    ];

    #[test]
    fn names_are_escaped_and_unescaped_as_the_reference_implementation_does() {
        for [name, underscores, dots, undone, values] in ESCAPED {
            assert_eq!(escape_metric_name(name, Escaping::Underscores), underscores);
            assert_eq!(unescape_name(underscores, Escaping::Underscores), underscores);
            assert_eq!(to_dots(name, metric_char), dots);
            assert_eq!(unescape_name(dots, Escaping::Dots), undone);
            assert_eq!(escape_metric_name(name, Escaping::Values), values);
            assert_eq!(unescape_name(values, Escaping::Values), name);
            assert_eq!(escape_metric_name(name, Escaping::AllowUtf8), name);
        }
    }

    #[test]
    fn what_no_name_escapes_to_stays_as_it_is() {
        for (text, name) in [
            ("", ""),
            ("U__no:unescapingrequired", "no:unescapingrequired"),
            ("U__capitals_2E_ok", "capitals.ok"),
            ("U__underscores__doubled__", "underscores_doubled_"),
            ("U__underscores_doubled_", "U__underscores_doubled_"),
            ("U__underscores__doubled_", "U__underscores__doubled_"),
            (
                "U__my__hack_2e_attempt_872348732fabdabbab_",
                "U__my__hack_2e_attempt_872348732fabdabbab_",
            ),
            ("U__my__hack_2e", "U__my__hack_2e"),
            ("U__bad__utf_2eg_", "U__bad__utf_2eg_"),
            ("U__bad__utf_D900_", "U__bad__utf_D900_"),
            ("U___+2e_", "U___+2e_"),
            ("U_x", "U_x"),
        ] {
            assert_eq!(unescape_name(text, Escaping::Values), name);
        }
    }

    #[test]
    fn a_page_keeps_plain_names_under_every_scheme() {
        for scheme in [Escaping::Underscores, Escaping::Dots, Escaping::Values, Escaping::AllowUtf8]
        {
            assert_eq!(escape_metric_name("a_b:c", scheme), "a_b:c");
            assert_eq!(escape_label_name("a_b", scheme), "a_b");
            assert_eq!(scheme.as_str().parse(), Ok(scheme));
        }
        assert!("Dots".parse::<Escaping>().is_err());
    }

    #[test]
    fn a_leading_digit_and_a_labels_colon_are_no_plain_characters() {
        assert_eq!(escape_metric_name("0x", Escaping::Values), "U___30_x");
        assert_eq!(escape_metric_name("0x", Escaping::Dots), "__x");
        assert_eq!(escape_label_name("a:b", Escaping::Values), "U__a_3a_b");
        assert_eq!(escape_label_name("a:b", Escaping::Dots), "a__b");
    }

    #[test]
    fn names_get_an_underscore_for_each_other_character() {
        for (name, expected) in [
            ("http.status:sum", "http_status:sum"),
            ("0name", "_name"),
            ("a0", "a0"),
            ("Björn x", "Bj_rn_x"),
            ("日本", "__"),
        ] {
            assert_eq!(plain_metric_name(name), expected);
        }
        assert_eq!(plain_label_name("a:b"), "a_b");
        assert!(is_plain_metric_name("a:b_1"));
        assert!(!is_plain_metric_name(""));
        assert!(!is_plain_metric_name("1a"));
    }
}
