use super::directory::Directory;
use super::{Multiproc, directory};
use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{Budgets, MultiprocDirectory, MultiprocSettings, PushSettings};
use crate::journal::Keep;
use crate::telemetry::Telemetry;
use sidecar_formats::prom_text::TextEncoder;
use sidecar_store::{Settings, Store};
use std::fs::{create_dir, remove_dir_all, remove_file, rename};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of this test alone, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("monasca-sidecar-multiproc-{}-{count}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        create_dir(&scratch.0).unwrap();
        scratch
    }

    /// A file with one value for each of the keys.
    #[expect(clippy::disallowed_methods, reason = "a test's own file, read behind it")]
    fn write(&self, name: &str, values: &[(&str, f64)]) {
        let mut bytes = vec![0; 8];
        for (key, value) in values {
            bytes.extend(i32::try_from(key.len()).unwrap().to_ne_bytes());
            bytes.extend(key.as_bytes());
            bytes.extend(vec![b' '; 8 - (key.len() + 4) % 8]);
            bytes.extend(value.to_ne_bytes());
            bytes.extend(0.0_f64.to_ne_bytes());
        }
        let used = i32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&used.to_ne_bytes());
        std::fs::write(self.0.join(name), bytes).unwrap();
    }

    fn jobs(&self, pid: &str, value: f64) {
        self.write(
            &format!("counter_{pid}.db"),
            &[(r#"["jobs", "jobs_total", {}, "Jobs."]"#, value)],
        );
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// A reader and the store that it reads into.
struct Reading {
    multiproc: Multiproc,
    store: Arc<Store>,
    clock: Arc<Clock>,
    telemetry: Arc<Telemetry>,
}

impl Reading {
    fn of(directories: &[&Path]) -> Reading {
        Reading::with(directories, |_| {})
    }

    fn with(directories: &[&Path], change: impl Fn(&mut MultiprocSettings)) -> Reading {
        let store = Store::new(Settings::default(), Clock::new().now());
        Reading::into(Arc::new(store), directories, change)
    }

    fn into(
        store: Arc<Store>,
        directories: &[&Path],
        change: impl Fn(&mut MultiprocSettings),
    ) -> Reading {
        let directory =
            |path: &&Path| MultiprocDirectory { path: path.to_path_buf(), labels: Vec::new() };
        let directories = directories.iter().map(directory).collect();
        let mut settings = MultiprocSettings { directories, ..MultiprocSettings::default() };
        change(&mut settings);
        let (clock, telemetry) = (Arc::new(Clock::new()), Arc::new(Telemetry::default()));
        let (budgets, push) = (Budgets::default(), PushSettings::default());
        let admission =
            Arc::new(Admission::new(Arc::clone(&store), Arc::clone(&clock), &budgets, &push));
        let multiproc =
            Multiproc::new(&settings, &store, &clock, &telemetry, &admission, &Keep::default());
        Reading { multiproc, store, clock, telemetry }
    }

    /// The page's lines without comments, behind a read.
    fn page(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        self.multiproc.read_then(&mut || {
            TextEncoder::new().encode(&self.store.collect(self.clock.now()), &mut bytes);
        });
        let text = String::from_utf8(bytes).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn live(&self) -> usize {
        self.store.instances(self.clock.now()).iter().filter(|instance| instance.live).count()
    }

    fn fault(&self, code: &str) -> u64 {
        let faults = self.telemetry.multiproc.faults.sorted();
        faults.into_iter().find(|(known, _)| *known == code).map_or(0, |(_, count)| count)
    }
}

#[test]
fn workers_with_the_same_keys_are_what_they_are_alone() {
    let scratch = Scratch::new();
    let reading = Reading::of(&[&scratch.0]);
    for pid in ["1", "2", "3"] {
        scratch.jobs(pid, 1.0);
        scratch.write(&format!("gauge_all_{pid}.db"), &[(r#"["g", "g", {}, ""]"#, 5.0)]);
    }
    let whole = ["g{pid=\"1\"} 5", "g{pid=\"2\"} 5", "g{pid=\"3\"} 5", "jobs_total 3"];
    assert_eq!(reading.page(), whole);
    assert_eq!(reading.page(), whole);
    remove_file(scratch.0.join("gauge_all_2.db")).unwrap();
    assert_eq!(reading.page(), ["g{pid=\"1\"} 5", "g{pid=\"3\"} 5", "jobs_total 3"]);
}

#[test]
fn of_more_files_than_allowed_the_known_ones_stay() {
    let scratch = Scratch::new();
    let reading = Reading::with(&[&scratch.0], |settings| settings.limits.files = 2);
    scratch.jobs("7", 1.0);
    scratch.jobs("8", 1.0);
    assert_eq!(reading.page(), ["jobs_total 2"]);
    for pid in 0..7 {
        scratch.jobs(&pid.to_string(), 10.0);
    }
    assert_eq!(reading.page(), ["jobs_total 2"]);
    assert_eq!(reading.fault("too_many_files"), 7);
    remove_file(scratch.0.join("counter_7.db")).unwrap();
    assert_eq!(reading.page(), ["jobs_total 2"]);
    assert_eq!(reading.page(), ["jobs_total 12"]);
}

#[test]
fn a_file_and_all_files_have_a_longest_size() {
    let scratch = Scratch::new();
    scratch.jobs("1", 1.0);
    let of_file = Reading::with(&[&scratch.0], |settings| settings.limits.file_bytes = 40);
    assert_eq!(of_file.page(), Vec::<String>::new());
    assert_eq!(of_file.fault("too_large"), 1);
    scratch.jobs("2", 10.0);
    let of_all = Reading::with(&[&scratch.0], |settings| settings.limits.total_bytes = 100);
    assert_eq!(of_all.page(), ["jobs_total 1"]);
    assert_eq!(of_all.fault("too_much"), 1);
}

#[test]
fn a_store_that_goes_on_keeps_the_workers_of_directories_that_are_read() {
    let scratch = Scratch::new();
    let (outer, inner) = (scratch.0.clone(), Scratch(scratch.0.join("inner")));
    create_dir(&inner.0).unwrap();
    scratch.jobs("1", 1.0);
    inner.jobs("2", 10.0);
    let first = Reading::of(&[&outer, &inner.0]);
    assert_eq!((first.page(), first.live()), (vec!["jobs_total 11".to_owned()], 2));
    let both = Reading::into(Arc::clone(&first.store), &[&outer, &inner.0], |_| {});
    assert_eq!((both.page(), both.live()), (vec!["jobs_total 11".to_owned()], 2));
    let one = Reading::into(Arc::clone(&first.store), &[&outer], |_| {});
    assert_eq!((one.page(), one.live()), (vec!["jobs_total 11".to_owned()], 1));
    let none = Reading::into(Arc::clone(&first.store), &[], |_| {});
    assert_eq!((none.page(), none.live()), (vec!["jobs_total 11".to_owned()], 0));
}

#[test]
fn an_id_tells_its_directory_whatever_that_is_called() {
    for path in ["/a", "/a/b", "relative", "/a//b/", "/with/}"] {
        for labels in [Vec::new(), vec![("job".to_owned(), "x/y\"".to_owned())]] {
            let name = directory::name(&MultiprocDirectory { path: path.into(), labels });
            assert_eq!(directory::of_id(&format!("{name}/12/5f")), Some(name.as_str()));
            assert_eq!(directory::of_id(&format!("{name}//mostrecent")), Some(name.as_str()));
        }
    }
    assert_eq!(directory::of_id("web-1/2/3"), None);
    assert_eq!(directory::of_id("multiproc:"), None);
}

#[test]
fn a_directory_that_goes_takes_its_workers_along() {
    let scratch = Scratch::new();
    let folder = Scratch(scratch.0.join("folder"));
    let reading = Reading::of(&[&folder.0]);
    assert_eq!(reading.page(), Vec::<String>::new());
    create_dir(&folder.0).unwrap();
    folder.jobs("1", 1.0);
    folder.write("gauge_livesum_1.db", &[(r#"["g", "g", {}, ""]"#, 5.0)]);
    assert_eq!(reading.page(), ["g 5", "jobs_total 1"]);
    remove_dir_all(&folder.0).unwrap();
    assert_eq!((reading.page(), reading.live()), (vec!["jobs_total 1".to_owned()], 0));
}

#[test]
fn what_was_refused_is_offered_again_when_it_is_due_and_not_before() {
    let (holder, other) = (Scratch::new(), Scratch::new());
    let reading = Reading::of(&[&holder.0, &other.0]);
    holder.write("gauge_livesum_1.db", &[(r#"["jobs", "jobs", {}, ""]"#, 5.0)]);
    assert_eq!(reading.page(), ["jobs 5"]);
    other.jobs("2", 1.0);
    let (jobs, calls) =
        (r#"["jobs", "jobs_total", {}, ""]"#, r#"["calls", "calls_total", {}, ""]"#);
    other.write("counter_3.db", &[(jobs, 10.0), (calls, 2.0)]);
    assert_eq!(reading.page(), ["calls_total 2", "jobs 5"]);
    remove_file(holder.0.join("gauge_livesum_1.db")).unwrap();
    assert_eq!(reading.page(), ["calls_total 2"]);
    assert_eq!(reading.page(), ["calls_total 2"], "not due");
    reading.multiproc.reader.lock().directories.iter_mut().for_each(Directory::be_due);
    assert_eq!(reading.page(), ["calls_total 2", "jobs_total 11"]);
}

#[test]
fn a_file_that_stays_open_is_not_taken_for_one_that_came_in_its_place() {
    let scratch = Scratch::new();
    let reading = Reading::of(&[&scratch.0]);
    scratch.jobs("1", 5.0);
    assert_eq!(reading.page(), ["jobs_total 5"]);
    scratch.jobs("1", 6.0);
    assert_eq!(reading.page(), ["jobs_total 6"]);
    scratch.jobs("other", 3.0);
    rename(scratch.0.join("counter_other.db"), scratch.0.join("counter_1.db")).unwrap();
    assert_eq!(reading.page(), ["jobs_total 9"]);
    remove_file(scratch.0.join("counter_1.db")).unwrap();
    scratch.jobs("1", 1.0);
    assert_eq!(reading.page(), ["jobs_total 10"]);
    scratch.jobs("1", 2.0);
    assert_eq!((reading.page(), reading.live()), (vec!["jobs_total 11".to_owned()], 1));
}
