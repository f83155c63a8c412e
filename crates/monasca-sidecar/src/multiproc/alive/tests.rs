use super::super::kept::Seen;
use super::super::processes::{FileId, Hidden, Look, Namespace, Presence, Process};
use super::{Candidate, Hold, Life, Lives, Lock};
use std::collections::BTreeMap;

const FILE: FileId = FileId { device: 1, inode: 10 };
const OTHER_FILE: FileId = FileId { device: 1, inode: 11 };
const FIRST: Process = Process { pid: 7, start: 100 };
const LATER: Process = Process { pid: 7, start: 900 };

fn here(boot: &str) -> Option<Namespace> {
    Some(Namespace { boot: boot.to_owned(), pids: "pid:[1]".to_owned() })
}

fn lives() -> Lives {
    Lives::new(Seen::default(), here("a"))
}

fn worker() -> Candidate {
    let files = vec![FILE, OTHER_FILE];
    Candidate { name: "7".to_owned(), files, live: false, lock: Lock::Missing }
}

fn one(worker: &Candidate) -> BTreeMap<String, Candidate> {
    BTreeMap::from([("w".to_owned(), worker.clone())])
}

fn held_by(process: Process) -> Look {
    Look { holders: vec![(FILE, process)], ..Look::default() }
}

fn running(processes: &[Process]) -> impl Fn(Process) -> Presence {
    |process| if processes.contains(&process) { Presence::Running } else { Presence::Gone }
}

fn judge(lives: &Lives, worker: &Candidate, look: Option<&Look>, alive: &[Process]) -> Life {
    lives.judge("w", worker, look, running(alive))
}

#[test]
fn nobody_is_dead_who_was_never_seen() {
    let mut lives = lives();
    let nobody = Look::default();
    for _ in 0..5 {
        lives.learn(&one(&worker()), Some(&nobody));
        assert_eq!(judge(&lives, &worker(), Some(&nobody), &[]), Life::Unknown);
        assert_eq!(lives.hold(&worker(), Some(&nobody)), Hold::Untold);
    }
}

#[test]
fn who_was_seen_and_is_gone_is_dead() {
    let mut lives = lives();
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    assert_eq!(judge(&lives, &worker(), Some(&held_by(FIRST)), &[FIRST]), Life::Alive);
    assert_eq!(judge(&lives, &worker(), None, &[FIRST]), Life::Alive);
    let nobody = Look::default();
    lives.learn(&one(&worker()), Some(&nobody));
    assert_eq!(judge(&lives, &worker(), Some(&nobody), &[]), Life::Dead);
    assert_eq!(lives.hold(&worker(), Some(&nobody)), Hold::Nobody);
    // It is not enough that the process is gone: another one may have the files by now.
    assert_eq!(judge(&lives, &worker(), None, &[]), Life::Unknown);
}

#[test]
fn whoever_runs_and_has_let_go_of_its_files_is_not_dead() {
    let mut lives = lives();
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    let nobody = Look::default();
    lives.learn(&one(&worker()), Some(&nobody));
    assert_eq!(judge(&lives, &worker(), Some(&nobody), &[FIRST]), Life::Unknown);
}

#[test]
fn a_process_that_goes_on_with_the_files_brings_the_worker_back() {
    let mut lives = lives();
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    let later = held_by(LATER);
    lives.learn(&one(&worker()), Some(&later));
    assert_eq!(judge(&lives, &worker(), Some(&later), &[LATER]), Life::Alive);
    assert_eq!(lives.hold(&worker(), Some(&later)), Hold::Somebody);
    assert_eq!(judge(&lives, &worker(), Some(&Look::default()), &[]), Life::Dead);
}

#[test]
fn a_child_that_inherited_the_files_keeps_them() {
    let mut lives = lives();
    let child = Process { pid: 8, start: 200 };
    let both = Look { holders: vec![(FILE, FIRST), (OTHER_FILE, child)], ..Look::default() };
    lives.learn(&one(&worker()), Some(&both));
    let look = Look { holders: vec![(OTHER_FILE, child)], ..Look::default() };
    assert_eq!(judge(&lives, &worker(), Some(&look), &[child]), Life::Alive);
}

#[test]
fn a_holder_that_hides_itself_is_not_forgotten() {
    let mut lives = lives();
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    let child = Process { pid: 8, start: 200 };
    let hidden = vec![Hidden { pid: FIRST.pid, own: 7 }];
    let look = Look { holders: vec![(FILE, child)], hidden: hidden.clone(), likely: vec![] };
    lives.learn(&one(&worker()), Some(&look));
    let look = Look { hidden, ..Look::default() };
    lives.learn(&one(&worker()), Some(&look));
    assert_eq!(judge(&lives, &worker(), Some(&look), &[FIRST]), Life::Unknown);
    // Even when it was told to be dead, somebody of that number may have taken up its files.
    assert_eq!(lives.hold(&worker(), Some(&look)), Hold::Untold);
}

#[test]
fn whoever_may_not_be_looked_into_is_another_application_unless_it_has_the_number() {
    let mut lives = lives();
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    for (own, hold) in [(1, Hold::Nobody), (7, Hold::Untold)] {
        let look = Look { hidden: vec![Hidden { pid: 30, own }], ..Look::default() };
        assert_eq!(lives.hold(&worker(), Some(&look)), hold, "{own}");
    }
}

#[test]
fn a_likely_holder_is_one() {
    let mut lives = lives();
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    let likely = Look { likely: vec![OTHER_FILE], ..Look::default() };
    assert_eq!(judge(&lives, &worker(), Some(&likely), &[]), Life::Alive);
    assert_eq!(lives.hold(&worker(), Some(&likely)), Hold::Somebody);
}

#[test]
fn mark_process_dead_is_seen_by_the_live_gauges_that_go() {
    let mut lives = lives();
    let with = Candidate { live: true, ..worker() };
    lives.learn(&one(&with), None);
    assert_eq!(judge(&lives, &with, None, &[]), Life::Unknown);
    lives.learn(&one(&worker()), None);
    assert_eq!(judge(&lives, &worker(), None, &[]), Life::Dead);
    // Nothing shows whether a new process of that number has taken up the other files.
    assert_eq!(lives.hold(&worker(), None), Hold::Untold);
    assert_eq!(lives.hold(&worker(), Some(&Look::default())), Hold::Untold);
    // It has gauges of a live mode again: somebody has.
    assert_eq!(judge(&lives, &with, None, &[]), Life::Unknown);
}

#[test]
fn a_lock_says_it_without_any_process_being_seen() {
    let lives = lives();
    for (lock, life, hold) in [
        (Lock::Held, Life::Alive, Hold::Somebody),
        (Lock::Free, Life::Dead, Hold::Nobody),
        (Lock::Untold, Life::Unknown, Hold::Untold),
    ] {
        let worker = Candidate { lock, ..worker() };
        assert_eq!(judge(&lives, &worker, None, &[]), life);
        assert_eq!(lives.hold(&worker, None), hold);
    }
}

#[test]
fn a_free_lock_does_not_outweigh_a_process_that_has_the_files() {
    let mut lives = lives();
    let free = Candidate { lock: Lock::Free, ..worker() };
    lives.learn(&one(&free), Some(&held_by(FIRST)));
    assert_eq!(judge(&lives, &free, Some(&held_by(FIRST)), &[FIRST]), Life::Alive);
    assert_eq!(judge(&lives, &free, None, &[FIRST]), Life::Alive);
    assert_eq!(lives.hold(&free, Some(&held_by(FIRST))), Hold::Somebody);
}

#[test]
fn what_an_earlier_daemon_saw_counts_in_the_same_namespace_only() {
    let mut lives = lives();
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    let seen = lives.seen().clone();
    let nobody = Look::default();
    let same = Lives::new(seen.clone(), here("a"));
    assert_eq!(judge(&same, &worker(), Some(&nobody), &[]), Life::Dead);
    assert!(same.sees_processes());
    for elsewhere in [here("b"), None] {
        let mut other = Lives::new(seen.clone(), elsewhere);
        other.learn(&one(&worker()), Some(&nobody));
        assert_eq!(judge(&other, &worker(), Some(&nobody), &[]), Life::Unknown);
        assert_eq!(other.hold(&worker(), Some(&nobody)), Hold::Untold);
    }
}

#[test]
fn all_processes_are_looked_at_only_while_somebody_is_not_seen_running() {
    let mut lives = lives();
    assert!(lives.wants_look(&one(&worker()), running(&[])));
    lives.learn(&one(&worker()), Some(&held_by(FIRST)));
    assert!(!lives.wants_look(&one(&worker()), running(&[FIRST])));
    assert!(lives.wants_look(&one(&worker()), running(&[])));
    assert!(!lives.wants_look(&BTreeMap::new(), running(&[])));
}
