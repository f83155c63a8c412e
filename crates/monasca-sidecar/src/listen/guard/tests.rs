//! What each limit closes, and what it leaves alone.

use super::Seen;
use crate::config::{Config, HttpLimits};
use crate::http::progress::{Progress, Verdict};
use std::sync::Arc;
use std::time::Duration;

fn limits() -> HttpLimits {
    HttpLimits {
        header_time: Duration::from_secs(10),
        request_time: Duration::from_secs(30),
        idle_time: Duration::from_secs(60),
        ..Config::default().http
    }
}

fn seen(progress: &Arc<Progress>) -> Seen {
    Seen {
        progress: Arc::clone(progress),
        glance: Progress::default().glance(),
        state_since: Duration::ZERO,
        moved: Duration::ZERO,
    }
}

/// The verdict at each of these seconds while nothing happens.
fn verdicts(progress: &Arc<Progress>, seconds: &[u64]) -> Vec<Verdict> {
    let mut seen = seen(progress);
    let _first = seen.look(Duration::ZERO, &limits());
    seconds.iter().map(|s| seen.look(Duration::from_secs(*s), &limits())).collect()
}

#[test]
fn an_idle_connection_goes_after_the_idle_time() {
    let progress = Arc::new(Progress::default());
    assert_eq!(verdicts(&progress, &[59, 60]), [Verdict::None, Verdict::Close]);
}

#[test]
fn half_a_head_goes_after_the_header_time() {
    let progress = Arc::new(Progress::default());
    progress.has_read(1);
    assert_eq!(verdicts(&progress, &[9, 10]), [Verdict::None, Verdict::Close]);
}

#[test]
fn a_body_that_does_not_end_is_answered_then_closed() {
    let progress = Arc::new(Progress::default());
    progress.begin_request(true);
    progress.begin_body();
    assert_eq!(verdicts(&progress, &[29, 30, 60]), [Verdict::None, Verdict::Late, Verdict::Close]);
}

#[test]
fn an_answer_that_is_taken_byte_by_byte_goes() {
    for h2 in [false, true] {
        let progress = Arc::new(Progress::default());
        if h2 {
            progress.multiplex();
        }
        progress.begin_request(false);
        let mut seen = seen(&progress);
        let verdicts = (0..=30).map(|second| {
            progress.has_written();
            seen.look(Duration::from_secs(second), &limits())
        });
        let verdicts: Vec<Verdict> = verdicts.collect();
        assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::Close), Some(30));
    }
}

#[test]
fn answers_one_after_the_other_go_on() {
    let progress = Arc::new(Progress::default());
    progress.multiplex();
    let mut seen = seen(&progress);
    for second in 0..300 {
        progress.begin_request(false);
        assert_eq!(seen.look(Duration::from_secs(second), &limits()), Verdict::None);
        progress.has_written();
        if second > 0 {
            progress.end_request();
        }
    }
}

#[test]
fn an_answer_that_nobody_reads_goes() {
    let progress = Arc::new(Progress::default());
    progress.begin_request(true);
    assert_eq!(verdicts(&progress, &[29, 30]), [Verdict::None, Verdict::Close]);
}
