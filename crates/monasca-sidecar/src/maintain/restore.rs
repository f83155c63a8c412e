//! The store at the start: empty, or as the data directory says that it was.

use crate::clock::Clock;
use crate::config::{Config, DataSettings};
use crate::journal::{
    Cut, LeftOut, LocalJournal, OpenError, OsDisk, Recovery, Replayed, Report, Restored,
};
use sidecar_model::Tick;
use sidecar_store::{Corrupt, Journal, JournalFull, Position, Settings, Store};
use std::cell::Cell;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Why there is no state to begin with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("cannot use the data directory")]
    Directory(#[from] OpenError),
    #[error("cannot begin the journal")]
    Begin(#[source] io::Error),
    #[error("the data directory has no space for the journal")]
    NoSpace(#[from] JournalFull),
    #[error(
        "a bug: panicked while restoring the state, at record {}; the data directory is as it was",
        at.0
    )]
    Bug { at: Position },
}

impl RestoreError {
    /// Nothing is wrong with the state.
    pub(crate) const fn is_bug(&self) -> bool {
        matches!(self, RestoreError::Bug { .. })
    }
}

/// Does again what a record says.
type Replay = fn(&Store, Position, &[u8]) -> Result<(), Corrupt>;

/// What the process begins with.
#[derive(Debug)]
pub(crate) struct Begun {
    pub store: Store,
    pub clock: Clock,
    pub journal: Option<Arc<LocalJournal>>,
    pub restored: Restored,
}

/// Empty without a data directory.
pub(crate) fn begin(config: &Config) -> Result<Begun, RestoreError> {
    let clock = Clock::new();
    let Some(directory) = &config.data.directory else {
        let store = Store::new(config.store.clone(), clock.now());
        return Ok(Begun { store, clock, journal: None, restored: Restored::default() });
    };
    let (store, replayed) = read(directory, config, clock.now(), Store::replay)?;
    let mut restored = told(&replayed.report);
    let journal = replayed.start(settings(&config.data)).map_err(RestoreError::Begin)?;
    let journal = Arc::new(journal);
    let clock = clock.going_on_from(store.latest());
    begin_recording(&store, &journal, &config.store, clock.now())?;
    restored.seconds = clock.elapsed().as_secs_f64();
    log(&restored);
    Ok(Begun { store, clock, journal: Some(journal), restored })
}

/// Reads the directory. A panic ends the start before anything is changed: the next version of the
/// program may read what this one does not.
fn read(
    directory: &Path,
    config: &Config,
    now: Tick,
    replay: Replay,
) -> Result<(Store, Replayed), RestoreError> {
    let at = Cell::new(Position::default());
    let run = || {
        let mut recovery = Recovery::open(directory, Arc::new(OsDisk))?;
        let store = recovery.restore(read_snapshot)?;
        let store = store.unwrap_or_else(|| Store::new(config.store.clone(), now));
        let replayed = recovery.replay(|position, record| {
            at.set(position);
            replay(&store, position, record)
        })?;
        Ok((store, replayed))
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(RestoreError::Bug { at: at.get() }))
}

/// With no space for a record the state is served all the same; it is recorded, with a snapshot, when there
/// is space again, and no push is taken before.
fn begin_recording(
    store: &Store,
    journal: &Arc<LocalJournal>,
    settings: &Settings,
    now: Tick,
) -> Result<(), JournalFull> {
    let record = || store.set_journal(Arc::clone(journal) as Arc<dyn Journal>);
    if journal.state().full.is_some() {
        store.finish_restore(settings.clone(), now)?;
        journal.wait_for_snapshot();
        record();
        return Ok(());
    }
    record();
    store.finish_restore(settings.clone(), now)
}

fn read_snapshot(_: Position, file: &mut dyn Read) -> Result<Store, NotRead> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (store, _) = Store::restore(&bytes)?;
    Ok(store)
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Corrupt(#[from] Corrupt),
}

/// A journal of less would be no more than the space that it reserves.
const LEAST_JOURNAL_BYTES: u64 = 256 * 1024;

/// No start reads a longer segment than 1 GiB.
const LARGEST_RECORD_BYTES: u64 = (1 << 30) - 4096;

/// Beyond it the journal is to be made short.
pub(crate) fn longest_journal(data: &DataSettings) -> u64 {
    (data.journal_bytes as u64).max(LEAST_JOURNAL_BYTES)
}

/// A quarter of the size at a time, so that most of it goes with a snapshot. Where snapshots fail, the journal may grow
/// beyond what the default allows only if it was meant to be long; and so may a record, which has a segment.
fn settings(data: &DataSettings) -> crate::journal::Settings {
    const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=8 * 1024 * 1024;
    let (size, usual) = (longest_journal(data), crate::journal::Settings::default());
    let record = (size / 2).clamp(usual.largest_record_bytes.into(), LARGEST_RECORD_BYTES);
    crate::journal::Settings {
        sync: data.sync,
        segment_bytes: (size / 4).clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end()),
        largest_record_bytes: u32::try_from(record).unwrap_or(usual.largest_record_bytes),
        largest_journal_bytes: usual.largest_journal_bytes.max(size.saturating_mul(4)),
        ..usual
    }
}

fn told(report: &Report) -> Restored {
    let mut left_out: Vec<String> = report.left_out.iter().map(line_of).collect();
    if let Some(Cut { file, at, bytes }) = &report.cut {
        left_out.push(format!("{file}: {bytes} bytes behind byte {at} are no whole record"));
    }
    Restored {
        had_state: report.last > Position::default(),
        seconds: 0.0,
        replayed: report.replayed,
        left_out,
    }
}

fn line_of(left_out: &LeftOut) -> String {
    let LeftOut { file, why, moved_to, records } = left_out;
    let mut line = format!("{file}: {why}");
    if let Some((from, to)) = records {
        line.push_str(&format!(", records {} to {} are missing", from.0, to.0));
    }
    if let Some(name) = moved_to {
        line.push_str(&format!(", moved to {name}"));
    }
    line
}

fn log(restored: &Restored) {
    let Restored { had_state, seconds, replayed, left_out } = restored;
    for what in left_out {
        tracing::warn!(what, "left out of the state");
    }
    tracing::info!(had_state, seconds, replayed, left_out = left_out.len(), "restored");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DataSettings;
    use std::fs::{create_dir_all, read as read_file, read_dir, remove_dir_all};
    use std::path::PathBuf;

    fn limits_of(journal_bytes: usize) -> (u64, u32, u64) {
        let settings = settings(&DataSettings { journal_bytes, ..DataSettings::default() });
        (settings.segment_bytes, settings.largest_record_bytes, settings.largest_journal_bytes)
    }

    #[test]
    fn whoever_wants_a_long_journal_gets_one_with_long_records() {
        const MIB: u64 = 1 << 20;
        assert_eq!(limits_of(1), (64 << 10, 128 << 20, 512 * MIB));
        assert_eq!(limits_of(32 << 20), (8 * MIB, 128 << 20, 512 * MIB));
        assert_eq!(limits_of(1 << 30), (8 * MIB, 512 << 20, 4096 * MIB));
        assert_eq!(limits_of(1 << 40), (8 * MIB, (1 << 30) - 4096, 4 << 40));
    }

    fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            paths.map(|path| (path.clone(), read_file(&path).unwrap())).collect();
        files.sort();
        files
    }

    #[test]
    fn a_panic_at_a_record_ends_the_start_and_leaves_the_directory_as_it_was() {
        let name = format!("restore-{}", std::process::id());
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name);
        create_dir_all(&directory).unwrap();
        let mut config = Config::default();
        config.data.directory = Some(directory.clone());
        let begun = begin(&config).unwrap();
        begun.store.clear(Tick::default()).unwrap();
        let journal = begun.journal.unwrap();
        journal.close().unwrap();
        drop((begun.store, journal));
        let before = files(&directory);
        let panics: Replay = |store, at, record| {
            assert!(at < Position(2), "asked to panic");
            Store::replay(store, at, record)
        };
        let ended = read(&directory, &config, Tick::default(), panics);
        assert!(matches!(ended, Err(RestoreError::Bug { at: Position(2) })), "{ended:?}");
        assert!(ended.is_err_and(|error| error.is_bug()));
        assert_eq!(files(&directory), before);
        let begun = begin(&config);
        remove_dir_all(&directory).unwrap_or_default();
        assert_eq!(begun.unwrap().restored.left_out, Vec::<String>::new());
    }
}
