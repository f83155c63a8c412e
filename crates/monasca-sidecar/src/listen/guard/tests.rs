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

/// The verdict at each of these seconds while nothing happens.
fn verdicts(progress: &Arc<Progress>, seconds: &[u64]) -> Vec<Verdict> {
    let mut seen = Seen {
        progress: Arc::clone(progress),
        glance: Progress::default().glance(),
        state_since: Duration::ZERO,
        moved: Duration::ZERO,
    };
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
    progress.has_read();
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
fn an_answer_that_nobody_reads_goes() {
    let progress = Arc::new(Progress::default());
    progress.begin_request(true);
    assert_eq!(verdicts(&progress, &[29, 30]), [Verdict::None, Verdict::Close]);
}
