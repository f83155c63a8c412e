//! What the files of a worker are called: by the client, and by compaction, which renames them so that
//! neither the client's collector nor a new process of the same pid meets them.
//!
//! `counter_7.db.18ab.folding`: of the worker of pid 7 that began at 18ab. So a half-done compaction is
//! known by its names, and the worker keeps its id.

use sidecar_formats::mmap_file::{FileKind, FileName};
use std::borrow::Cow;

const ENDING: &str = ".folding";

/// A file name in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub kind: FileKind,
    pub pid: &'a str,
    /// Of a renamed one, when its worker began.
    pub began: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// `None`: not a file of a worker.
    pub(super) fn parse(name: &'a str) -> Option<Named<'a>> {
        let (name, began) = match name.strip_suffix(ENDING) {
            Some(name) => {
                let (name, began) = name.rsplit_once('.')?;
                (name, Some(is_birth(began).then_some(began)?))
            }
            None => (name, None),
        };
        let FileName { kind, pid, .. } = FileName::parse(name)?;
        Some(Named { kind, pid, began })
    }
}

impl Named<'_> {
    /// What its worker is found by.
    pub(super) fn key(&self) -> Cow<'_, str> {
        match self.began {
            Some(began) => format!("{}/{began}", self.pid).into(),
            None => self.pid.into(),
        }
    }
}

/// What a worker's file is called while it is folded.
pub(super) fn name_of(name: &str, began: &str) -> String {
    format!("{name}.{began}{ENDING}")
}

/// When a worker's files began, and not which they are: a number that comes again could not be told
/// from the one that it was.
pub(super) fn is_birth(began: &str) -> bool {
    !began.is_empty() && began.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::{Named, is_birth, name_of};
    use sidecar_formats::mmap_file::FileKind;

    #[test]
    fn a_renamed_file_is_of_the_same_worker() {
        for (name, pid) in [("counter_7.db", "7"), ("counter_web.1_2.db", "web.1_2")] {
            let named = Named { kind: FileKind::Counter, pid, began: None };
            assert_eq!(Named::parse(name), Some(named));
            let renamed = name_of(name, "18ab");
            assert_eq!(Named::parse(&renamed), Some(Named { began: Some("18ab"), ..named }));
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "",
            ".folding",
            "counter_7.db.folding",
            "counter_7.db..folding",
            "counter_7.db.i77.folding",
            "counter_7.db.18AB.folding",
            "counter_7.db.18ab.folding.folding",
            "counter_7.18ab.folding",
            "monasca_sidecar_kept.json",
            "monasca_alive_7.lock",
        ] {
            assert_eq!(Named::parse(name), None, "{name}");
        }
        assert!(!is_birth("i18"));
    }
}
