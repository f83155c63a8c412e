//! Crashes at each step of a compaction, of the process and of the machine.

use super::super::deeds::{Deeds, OsDeeds};
use super::super::folder::Folder;
use super::super::kept::Kept;
use super::super::{Multiproc, Tools};
use super::Tender;
use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{Config, MultiprocDirectory, MultiprocSettings};
use crate::journal::Keep;
use crate::telemetry::Telemetry;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use sidecar_formats::prom_text::TextEncoder;
use sidecar_store::{Journal, JournalFull, Position, Settings, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const KEPT: &str = "monasca_sidecar_kept.json";

/// The records, which outlive the store.
#[derive(Debug, Default)]
struct Records {
    all: Mutex<Vec<Vec<u8>>>,
    synced: Mutex<usize>,
}

impl Journal for Records {
    fn doubt(&self) {}

    fn append(&self, record: &[u8]) -> Result<Position, JournalFull> {
        let mut all = self.all.lock();
        all.push(record.to_vec());
        Ok(Position(all.len() as u64))
    }
}

/// What the disk would lose with the power.
#[derive(Debug, Default)]
struct Unsynced {
    /// What a file is called, and what it was called before.
    names: Mutex<Vec<(PathBuf, PathBuf)>>,
    removed: Mutex<usize>,
}

#[derive(Debug)]
struct Stopping {
    path: PathBuf,
    trash: PathBuf,
    left: Arc<Mutex<usize>>,
    records: Arc<Records>,
    unsynced: Arc<Unsynced>,
    real: OsDeeds,
}

impl Stopping {
    fn go(&self) -> io::Result<()> {
        let mut left = self.left.lock();
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("it has crashed"))?;
        Ok(())
    }

    fn is_synced(&self) {
        self.unsynced.names.lock().clear();
    }
}

impl Deeds for Stopping {
    fn rename(&self, folder: &Folder, from: &str, to: &str) -> io::Result<()> {
        self.go()?;
        self.real.rename(folder, from, to)?;
        self.unsynced.names.lock().push((self.path.join(to), self.path.join(from)));
        Ok(())
    }

    fn remove(&self, _: &Folder, name: &str) -> io::Result<()> {
        self.go()?;
        let mut removed = self.unsynced.removed.lock();
        *removed += 1;
        let to = self.trash.join(removed.to_string());
        fs::rename(self.path.join(name), &to)?;
        self.unsynced.names.lock().push((to, self.path.join(name)));
        Ok(())
    }

    fn sync(&self, folder: &Folder) -> io::Result<()> {
        self.go()?;
        self.is_synced();
        self.real.sync(folder)
    }

    fn write_kept(&self, folder: &Folder, kept: &Kept) -> io::Result<()> {
        self.go()?;
        self.is_synced();
        self.real.write_kept(folder, kept)
    }

    fn sync_journal(&self) -> io::Result<()> {
        self.go()?;
        *self.records.synced.lock() = self.records.all.lock().len();
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    /// `kill -9`: what was written is there.
    OfProcess,
    /// Only what was synced is there.
    OfMachine,
}

/// A directory with workers, and whatever daemon there is.
struct World {
    root: PathBuf,
    records: Arc<Records>,
    unsynced: Arc<Unsynced>,
    left: Arc<Mutex<usize>>,
    /// By pid, of those who live.
    locks: BTreeMap<&'static str, File>,
    daemon: Option<(Multiproc, Tender)>,
}

impl Drop for World {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

impl World {
    fn new(name: &str) -> World {
        let root = std::env::temp_dir().join(format!("tend-{name}-{}", std::process::id()));
        for folder in ["files", "trash", "proc"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        World {
            root,
            records: Arc::default(),
            unsynced: Arc::default(),
            left: Arc::new(Mutex::new(usize::MAX)),
            locks: BTreeMap::new(),
            daemon: None,
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.join("files")
    }

    fn names(&self) -> BTreeSet<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(self.folder()).unwrap().map(name);
        names.map(|name| name.into_string().unwrap()).collect()
    }

    // ---- workers

    fn live(&mut self, pid: &'static str) {
        let path = self.folder().join(format!("monasca_alive_{pid}.lock"));
        let file = File::create(path).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        self.locks.insert(pid, file);
    }

    fn die(&mut self, pid: &str) {
        self.locks.remove(pid).unwrap();
    }

    /// Files of each kind that is not there yet; `n` is what it counts.
    fn work(&self, pid: &str, n: f64) {
        let made = |name: String, entries: &[(String, f64, f64)]| {
            let path = self.folder().join(name);
            if !path.is_file() {
                write_file(&path, entries);
            }
        };
        let gauge = |mode: &str| key(&format!("g_{mode}"), &format!("g_{mode}"), "{}");
        made(format!("counter_{pid}.db"), &[(key("c", "c_total", r#"{"l": "x"}"#), n, 0.0)]);
        let bucket = |le: &str| key("h", "h_bucket", &format!(r#"{{"le": "{le}"}}"#));
        let buckets = [(bucket("1.0"), n, 0.0), (bucket("+Inf"), 1.0, 0.0)];
        let sum = (key("h", "h_sum", "{}"), 2.0 * n, 0.0);
        made(format!("histogram_{pid}.db"), &[&[sum], &buckets[..]].concat());
        for mode in ["min", "max", "sum"] {
            made(format!("gauge_{mode}_{pid}.db"), &[(gauge(mode), n, 0.0)]);
        }
        let newest = [(gauge("mostrecent"), n, 100.0 + n)];
        made(format!("gauge_mostrecent_{pid}.db"), &newest);
    }

    // ---- the daemon

    /// With all that is on the disk; it crashes behind so many deeds.
    fn start(&mut self, deeds: usize) {
        *self.left.lock() = deeds;
        let store = Store::new(Settings::default(), sidecar_model::Tick::default());
        for (at, record) in (1..).zip(self.records.all.lock().iter()) {
            store.replay(Position(at), record).unwrap();
        }
        let clock = Arc::new(Clock::new().going_on_from(store.latest()));
        store.set_journal(Arc::clone(&self.records) as Arc<dyn Journal>);
        store.finish_restore(Settings::default(), clock.now()).unwrap();
        let (store, config) = (Arc::new(store), Config::default());
        let admission =
            Admission::new(Arc::clone(&store), Arc::clone(&clock), &config.budgets, &config.push);
        let deeds = Stopping {
            path: self.folder(),
            trash: self.root.join("trash"),
            left: Arc::clone(&self.left),
            records: Arc::clone(&self.records),
            unsynced: Arc::clone(&self.unsynced),
            real: OsDeeds { keep: Keep::default() },
        };
        let settings = MultiprocSettings {
            directories: vec![MultiprocDirectory { path: self.folder(), labels: Vec::new() }],
            compact: true,
            ..MultiprocSettings::default()
        };
        let telemetry = Arc::new(Telemetry::default());
        let admission = Arc::new(admission);
        let deeds = Box::new(deeds);
        let tools = Tools { store, clock, telemetry, admission, deeds };
        let multiproc = Multiproc::with(settings, tools);
        let tender = Tender::new(&multiproc, &self.root.join("proc"));
        self.daemon = Some((multiproc, tender));
    }

    fn crash(&mut self, crash: Crash) {
        self.daemon = None;
        if crash == Crash::OfMachine {
            while let Some((now, before)) = self.unsynced.names.lock().pop() {
                fs::rename(now, before).unwrap();
            }
            let synced = *self.records.synced.lock();
            self.records.all.lock().truncate(synced);
        }
        self.unsynced.names.lock().clear();
    }

    fn has_crashed(&self) -> bool {
        *self.left.lock() == 0
    }

    fn scrape(&self) -> String {
        let (multiproc, _) = self.daemon.as_ref().unwrap();
        let mut page = Vec::new();
        multiproc.read_then(&mut || {
            let state = multiproc.tools.store.collect(multiproc.tools.clock.now());
            TextEncoder::new().encode(&state, &mut page);
        });
        let page = String::from_utf8(page).unwrap();
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        samples.join("\n")
    }

    fn tick(&mut self) {
        let (multiproc, tender) = self.daemon.as_mut().unwrap();
        // As if all the time between two looks had passed.
        tender.look_at = Duration::ZERO;
        tender.tick(multiproc);
    }

    /// Until the directory has nothing of the dead any more.
    fn compact_all(&mut self, page: &str, what: &str) {
        for _ in 0..4 {
            self.tick();
            assert_eq!(self.scrape(), page, "{what}");
        }
        let pids: Vec<String> = self.locks.keys().map(|pid| format!("_{pid}.")).collect();
        let mut left = self.names();
        left.retain(|name| !pids.iter().any(|pid| name.contains(pid)));
        let own = [KEPT, "monasca_sidecar_compaction.lock"].map(str::to_owned);
        assert_eq!(left, BTreeSet::from(own), "{what}");
    }
}

fn key(metric: &str, sample: &str, labels: &str) -> String {
    format!(r#"["{metric}", "{sample}", {labels}, "Help."]"#)
}

/// As the client does; in place of the first value's eight bytes others can be written.
fn write_file(path: &Path, entries: &[(String, f64, f64)]) {
    let mut bytes = vec![0; 8];
    for (key, value, time) in entries {
        let blanks = 8 - (key.len() + 4) % 8;
        bytes.extend_from_slice(&i32::try_from(key.len()).unwrap().to_ne_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.resize(bytes.len() + blanks, b' ');
        bytes.extend_from_slice(&value.to_ne_bytes());
        bytes.extend_from_slice(&time.to_ne_bytes());
    }
    let used = i32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&used.to_ne_bytes());
    bytes.resize(4096, 0);
    File::create_new(path).unwrap().write_all(&bytes).unwrap();
}

/// Two that die and one that lives, before anybody did.
fn world(name: &str) -> (World, String) {
    let mut world = World::new(name);
    for (pid, n) in [("7", 3.0), ("8", 4.0), ("9", 5.0)] {
        world.live(pid);
        world.work(pid, n);
    }
    world.start(usize::MAX);
    let page = world.scrape();
    for line in ["c_total{l=\"x\"} 12", "h_count 15", "g_sum 12", "g_min 3", "g_mostrecent 5"] {
        assert!(page.contains(line), "{line}: {page}");
    }
    world.tick();
    world.crash(Crash::OfProcess);
    world.die("7");
    world.die("8");
    (world, page)
}

#[test]
fn no_crash_at_any_step_changes_a_number() {
    for crash in [Crash::OfProcess, Crash::OfMachine] {
        let mut steps = 0;
        loop {
            let (mut world, page) = world(&format!("steps-{crash:?}-{steps}"));
            let what = format!("{crash:?} behind deed {steps}");
            world.start(steps);
            for _ in 0..4 {
                assert_eq!(world.scrape(), page, "before, {what}");
                world.tick();
            }
            assert_eq!(world.scrape(), page, "before, {what}");
            let has_crashed = world.has_crashed();
            world.crash(crash);
            world.start(usize::MAX);
            assert_eq!(world.scrape(), page, "at the next start, {what}");
            world.compact_all(&page, &what);
            world.crash(crash);
            world.start(usize::MAX);
            assert_eq!(world.scrape(), page, "at the last start, {what}");
            if !has_crashed {
                break;
            }
            steps += 1;
        }
        // Twelve renamed, kept, the journal, twelve removed, synced, two locks.
        assert!(steps > 25, "{steps}");
    }
}

#[test]
fn a_process_that_takes_up_what_a_crash_left_half_renamed_counts_once() {
    for renamed in 0..=6 {
        let (mut world, page) = world(&format!("half-{renamed}"));
        world.die("9");
        world.start(1 + renamed);
        world.tick();
        assert_eq!(world.scrape(), page);
        world.crash(Crash::OfProcess);
        // The new process of the pid goes on where files have their names, and makes the others.
        world.live("7");
        let counter = world.folder().join("counter_7.db");
        let goes_on = counter.is_file();
        if goes_on {
            let file = File::options().write(true).open(&counter).unwrap();
            let key_bytes = key("c", "c_total", r#"{"l": "x"}"#).len() as u64;
            let at = 8 + 4 + key_bytes + (8 - (key_bytes + 4) % 8);
            file.write_at(&10_f64.to_ne_bytes(), at).unwrap();
        }
        let is_new = !world.folder().join("histogram_7.db").is_file();
        world.work("7", 7.0);
        world.start(usize::MAX);
        let counted = 12 + 7;
        let measured = if is_new { 15 + 8 } else { 15 };
        let expect = |page: &str, when: &str| {
            let count = format!("c_total{{l=\"x\"}} {counted}");
            assert!(page.contains(&count), "{renamed} {goes_on} {when}: {page}");
            let count = format!("h_count {measured}");
            assert!(page.contains(&count), "{renamed} {is_new} {when}: {page}");
        };
        expect(&world.scrape(), "at the start");
        for _ in 0..4 {
            world.tick();
            expect(&world.scrape(), "while it lives");
        }
        world.die("7");
        let page = world.scrape();
        expect(&page, "when it is dead");
        world.compact_all(&page, "in the end");
        world.crash(Crash::OfMachine);
        world.start(usize::MAX);
        expect(&world.scrape(), "after all");
    }
}

#[test]
fn without_a_proof_nothing_is_touched() {
    let mut world = World::new("proof");
    world.work("7", 3.0);
    world.work("8", 3.0);
    world.start(usize::MAX);
    let (page, names) = (world.scrape(), world.names());
    for _ in 0..3 {
        world.tick();
        assert_eq!(world.scrape(), page);
    }
    let mut now = world.names();
    now.remove("monasca_sidecar_compaction.lock");
    assert_eq!(now, names);
}

#[test]
fn who_wipes_the_directory_wants_the_kept_gauges_forgotten() {
    let (mut world, page) = world("wiped");
    world.start(usize::MAX);
    world.compact_all(&page, "before");
    for name in world.names() {
        fs::remove_file(world.folder().join(name)).unwrap();
    }
    world.locks.clear();
    let counters: Vec<&str> = page.lines().filter(|line| line.starts_with(['c', 'h'])).collect();
    for _ in 0..2 {
        assert_eq!(world.scrape(), counters.join("\n"));
        world.tick();
    }
    // And goes on with the next application.
    world.live("7");
    world.work("7", 1.0);
    assert!(world.scrape().contains("g_sum 1"));
    world.die("7");
    let page = world.scrape();
    world.compact_all(&page, "after");
}

#[test]
fn a_damaged_kept_file_costs_its_gauges_and_no_total() {
    let (mut world, page) = world("damaged");
    world.start(usize::MAX);
    world.compact_all(&page, "before");
    world.crash(Crash::OfProcess);
    let kept = world.folder().join(KEPT);
    File::options().write(true).open(&kept).unwrap().write_at(b"?", 20).unwrap();
    world.start(usize::MAX);
    let page = world.scrape();
    assert!(page.contains("c_total{l=\"x\"} 12") && page.contains("g_sum 5"), "{page}");
    assert!(world.names().contains("monasca_sidecar_kept.json.corrupt-1"));
}

#[test]
fn a_kept_file_of_a_later_program_stops_compaction_and_nothing_else() {
    let (mut world, _) = world("later");
    let text = r#"{"version":2"#;
    let sum = crc32c::crc32c(text.as_bytes());
    let later = format!("{text},\"crc32c\":\"{sum:08x}\"}}\n");
    let kept = world.folder().join(KEPT);
    fs::remove_file(&kept).unwrap_or_default();
    File::create(&kept).unwrap().write_all(later.as_bytes()).unwrap();
    let names = world.names();
    world.start(usize::MAX);
    let page = world.scrape();
    assert!(page.contains("c_total{l=\"x\"} 12") && page.contains("g_sum 12"), "{page}");
    for _ in 0..3 {
        world.tick();
        assert_eq!(world.scrape(), page);
    }
    assert!(names.is_subset(&world.names()));
    assert_eq!(fs::read_to_string(&kept).unwrap(), later);
}
