use super::{FileId, Hidden, Look, Presence, Process, Processes, Wanted};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory that looks like `/proc`, and one with files.
struct Fake {
    root: PathBuf,
}

impl Fake {
    fn new(name: &str) -> Fake {
        let root = std::env::temp_dir().join(format!("proc-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("proc")).unwrap();
        Fake { root }
    }

    fn processes(&self) -> Processes {
        Processes::at(&self.root.join("proc"))
    }

    fn file(&self, name: &str) -> (PathBuf, FileId) {
        let path = self.root.join(name);
        let file = File::create(&path).unwrap().metadata().unwrap();
        (path, FileId { device: file.dev(), inode: file.ino() })
    }

    fn folder(&self, pid: u32) -> PathBuf {
        self.root.join("proc").join(pid.to_string())
    }

    fn put(&self, pid: u32, name: &str, text: &str) {
        fs::create_dir_all(self.folder(pid).join("fd")).unwrap();
        let path = self.folder(pid).join(name);
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn start(&self, pid: u32, start: u64, state: &str, threads: u32) {
        let between = "0 ".repeat(16);
        let name = "(a ) (b)";
        self.put(pid, "stat", &format!("{pid} {name} {state} {between}{threads} 0 {start} 0 0\n"));
        self.put(pid, "status", &format!("Name:\ta\nNSpid:\t{pid}\t{}\n", pid % 10));
        self.put(pid, "maps", "");
    }

    fn open(&self, pid: u32, fd: u32, path: &Path) {
        symlink(path, self.folder(pid).join("fd").join(fd.to_string())).unwrap();
    }

    fn map(&self, pid: u32, file: FileId, path: &Path) {
        let (major, minor) = (rustix::fs::major(file.device), rustix::fs::minor(file.device));
        let (inode, path) = (file.inode, path.display());
        let line = format!("7f1c-7f2c rw-s 00000000 {major:02x}:{minor:02x} {inode}    {path}\n");
        self.put(
            pid,
            "maps",
            &format!("00-01 rw-p 0 00:00 0 \n00-02 r--p 0 00:00 0 [heap]\n{line}"),
        );
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

fn wanted(files: &[(&str, FileId)]) -> Wanted {
    let mut wanted = Wanted::default();
    files.iter().for_each(|(name, file)| wanted.add(name, *file));
    wanted
}

fn is_empty(look: &Look) -> bool {
    look.holders.is_empty() && look.likely.is_empty() && look.hidden.is_empty()
}

#[test]
fn open_and_mapped_files_are_found() {
    let fake = Fake::new("found");
    let (open, of_open) = fake.file("counter_41.db");
    let (mapped, of_mapped) = fake.file("counter_42.db");
    let (other, _) = fake.file("other");
    fake.start(41, 1000, "S", 1);
    fake.open(41, 3, &other);
    fake.open(41, 4, &open);
    fake.start(42, 2000, "S", 1);
    fake.map(42, of_mapped, &mapped);
    let wanted = wanted(&[("counter_41.db", of_open), ("counter_42.db", of_mapped)]);
    let first = (of_open, Process { pid: 41, start: 1000 });
    let second = (of_mapped, Process { pid: 42, start: 2000 });
    let look = fake.processes().look(&wanted).unwrap();
    assert!(look.is_held(of_open) && look.is_held(of_mapped));
    let mut both = vec![first, second];
    both.sort_unstable();
    assert_eq!(look.holders, both);
}

#[test]
fn who_only_reads_a_file_does_not_hold_it() {
    let fake = Fake::new("reads");
    let (path, file) = fake.file("counter_41.db");
    fake.start(41, 1000, "S", 1);
    fake.open(41, 3, &path);
    fs::create_dir_all(fake.folder(41).join("fdinfo")).unwrap();
    for (flags, holds) in [("0100000", false), ("0102002", true), ("0100001", true), ("?", true)] {
        fake.put(41, "fdinfo/3", &format!("pos:\t0\nflags:\t{flags}\n"));
        let look = fake.processes().look(&wanted(&[("counter_41.db", file)])).unwrap();
        assert_eq!(look.is_held(file), holds, "{flags}");
    }
    fs::remove_file(fake.folder(41).join("fd/3")).unwrap();
    for (access, holds) in [("r--s", false), ("rw-p", false), ("rw-s", true)] {
        fake.map(41, file, &path);
        let maps = fs::read_to_string(fake.folder(41).join("maps")).unwrap();
        fake.put(41, "maps", &maps.replace("rw-s", access));
        let look = fake.processes().look(&wanted(&[("counter_41.db", file)])).unwrap();
        assert_eq!(look.is_held(file), holds, "{access}");
    }
}

#[test]
fn another_file_of_the_same_name_is_not_the_one() {
    let fake = Fake::new("other");
    let (_, ours) = fake.file("counter_41.db");
    fs::create_dir_all(fake.root.join("elsewhere")).unwrap();
    let (theirs, _) = fake.file("elsewhere/counter_41.db");
    fake.start(41, 1000, "S", 1);
    fake.open(41, 4, &theirs);
    assert!(is_empty(&fake.processes().look(&wanted(&[("counter_41.db", ours)])).unwrap()));
}

#[test]
fn a_mapped_file_on_a_device_of_another_number_is_only_likely() {
    let fake = Fake::new("device");
    let (path, file) = fake.file("counter_41.db");
    fake.start(41, 1000, "S", 1);
    fake.map(41, FileId { device: rustix::fs::makedev(0, 77), ..file }, &path);
    let wanted = wanted(&[("counter_41.db", file)]);
    let look = fake.processes().look(&wanted).unwrap();
    assert_eq!((look.holders, look.likely), (vec![], vec![file]));
}

#[test]
fn a_process_that_may_not_be_looked_into_is_told_with_its_own_number() {
    let fake = Fake::new("hidden");
    let (_, file) = fake.file("counter_7.db");
    fake.start(417, 1000, "S", 1);
    // Neither a directory nor a file that can be read: what a lack of rights comes to for any user.
    let folder = fake.folder(417).join("fd");
    fs::remove_dir(&folder).unwrap();
    File::create(&folder).unwrap().set_permissions(fs::Permissions::from_mode(0o0)).unwrap();
    let look = fake.processes().look(&wanted(&[("counter_7.db", file)])).unwrap();
    assert_eq!(look.hidden, [Hidden { pid: 417, own: 7 }]);
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let fake = Fake::new("again");
    let processes = fake.processes();
    fake.start(41, 1000, "S", 1);
    let first = Process { pid: 41, start: 1000 };
    assert_eq!(processes.presence(first), Presence::Running);
    fake.start(41, 1001, "S", 1);
    assert_eq!(processes.presence(first), Presence::Gone);
    assert_eq!(processes.presence(Process { pid: 42, start: 1000 }), Presence::Gone);
    fake.put(41, "stat", "41 (broken");
    assert_eq!(processes.presence(first), Presence::Unknown);
}

#[test]
fn one_that_has_ended_is_gone_and_one_whose_first_thread_has_is_not() {
    let fake = Fake::new("ended");
    let (path, file) = fake.file("counter_41.db");
    let process = Process { pid: 41, start: 1000 };
    for (threads, presence) in [(1, Presence::Gone), (2, Presence::Running)] {
        fake.start(41, 1000, "Z", threads);
        assert_eq!(fake.processes().presence(process), presence);
    }
    fake.open(41, 3, &path);
    let wanted = wanted(&[("counter_41.db", file)]);
    assert_eq!(fake.processes().look(&wanted).unwrap().holders, [(file, process)]);
    fake.start(41, 1000, "Z", 1);
    assert!(is_empty(&fake.processes().look(&wanted).unwrap()));
}

#[test]
fn without_a_process_list_it_is_an_error_and_no_empty_answer() {
    let fake = Fake::new("none");
    let processes = Processes::at(&fake.root.join("nowhere"));
    assert!(processes.look(&Wanted::default()).is_err());
    assert_eq!(processes.namespace(), None);
}

/// The real thing.
#[test]
fn a_child_that_has_a_file_open_is_seen_and_its_end_too() {
    let fake = Fake::new("real");
    let (path, file) = fake.file("counter_1.db");
    let processes = Processes::at(Path::new("/proc"));
    assert_eq!(processes.namespace(), processes.namespace());
    assert!(processes.namespace().is_some());
    let mut child = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::from(File::options().append(true).open(&path).unwrap()))
        .spawn()
        .unwrap();
    let wanted = wanted(&[("counter_1.db", file)]);
    let _for_reading = File::open(&path).unwrap();
    let look = processes.look(&wanted).unwrap();
    let [(found, process)] = look.holders[..] else { panic!("{look:?}") };
    assert_eq!((found, process.pid), (file, child.id()));
    assert_eq!(processes.presence(process), Presence::Running);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(processes.presence(process), Presence::Gone);
    assert!(processes.look(&wanted).unwrap().holders.is_empty());
}
