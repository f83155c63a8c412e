//! The three rights, and sets of them.

use std::fmt;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Push = 1,
    Scrape = 2,
    Admin = 4,
}

/// A set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Right {
    pub(crate) const ALL: [Right; 3] = [Right::Push, Right::Scrape, Right::Admin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Right::Push => "push",
            Right::Scrape => "scrape",
            Right::Admin => "admin",
        }
    }
}

impl Rights {
    pub(crate) const NONE: Rights = Rights(0);
    pub(crate) const ALL: Rights =
        Rights(Right::Push as u8 | Right::Scrape as u8 | Right::Admin as u8);

    pub(crate) fn has(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }

    pub(crate) fn and(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    pub(crate) fn with(self, right: Right) -> Rights {
        Rights(self.0 | right as u8)
    }
}

impl fmt::Display for Rights {
    /// As in the file: `push,scrape`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Right::ALL.into_iter().filter(|right| self.has(*right)).map(Right::name).collect();
        out.write_str(&if names.is_empty() { "none".to_owned() } else { names.join(",") })
    }
}

/// The right of this name.
pub(super) fn right(text: &str) -> Result<Right, String> {
    Right::ALL
        .into_iter()
        .find(|right| right.name() == text)
        .ok_or_else(|| format!("{text:?}: use push, scrape or admin"))
}

#[cfg(test)]
mod tests {
    use super::{Right, Rights, right};

    #[test]
    fn a_set_has_what_was_put_into_it() {
        assert_eq!(Rights::ALL.to_string(), "push,scrape,admin");
        assert_eq!(Rights::NONE.to_string(), "none");
        let set = Rights::NONE.with(Right::Scrape);
        assert_eq!(Right::ALL.map(|right| set.has(right)), [false, true, false]);
        assert_eq!(right("scrape"), Ok(Right::Scrape));
        assert!(right("Push").is_err() && right("").is_err());
    }
}
