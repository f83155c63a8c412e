//! How far the records are on the disk, and who waits for that.
//!
//! A task that is woken from another thread costs a system call. So the journal's thread wakes one of those whose wait is
//! over, and that one wakes the others when it stops waiting, however that comes. Those who wait for a later record sleep on.

use super::Broken;
use parking_lot::Mutex;
use sidecar_store::Position;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub(super) struct Waiting(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    synced: u64,
    broken: Option<Broken>,
    /// Several may wait for the same position: each has a number of its own.
    waiting: BTreeMap<(u64, u64), Waker>,
    numbers: u64,
}

impl Waiting {
    pub(super) fn new(synced: Position) -> Waiting {
        Waiting(Mutex::new(Progress { synced: synced.0, ..Progress::default() }))
    }

    pub(super) fn advance(&self, synced: u64) {
        self.change(|progress| progress.synced = synced);
    }

    pub(super) fn fail(&self, broken: &Broken) {
        self.change(|progress| progress.broken = Some(broken.clone()));
    }

    /// A snapshot has replaced what may have been lost.
    pub(super) fn reopen(&self, snapshot: Position) {
        self.change(|progress| {
            progress.synced = snapshot.0;
            progress.broken = None;
        });
    }

    pub(super) fn until(&self, position: Position) -> Until<'_> {
        Until { waiting: self, position: position.0, number: None }
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.0.lock();
        change(&mut progress);
        let first = progress.take_first_settled();
        drop(progress);
        // A waker may drop a task, and that comes back to the lock.
        first.into_iter().for_each(Waker::wake);
    }
}

impl Progress {
    fn outcome(&self, position: u64) -> Option<Result<(), Broken>> {
        match &self.broken {
            _ if position <= self.synced => Some(Ok(())),
            Some(broken) => Some(Err(broken.clone())),
            None => None,
        }
    }

    fn first_is_settled(&self) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|((position, _), _)| *position <= self.synced || self.broken.is_some())
    }

    fn take_first_settled(&mut self) -> Option<Waker> {
        if self.first_is_settled() {
            self.waiting.pop_first().map(|(_, waker)| waker)
        } else {
            None
        }
    }

    fn take_settled(&mut self) -> BTreeMap<(u64, u64), Waker> {
        if !self.first_is_settled() {
            return BTreeMap::new();
        }
        let later = match self.broken {
            Some(_) => BTreeMap::new(),
            None => self.waiting.split_off(&(self.synced.saturating_add(1), 0)),
        };
        std::mem::replace(&mut self.waiting, later)
    }
}

/// Ready when the record is on the disk or the journal is broken.
#[derive(Debug)]
pub(super) struct Until<'a> {
    waiting: &'a Waiting,
    position: u64,
    /// Once it has been told to wait.
    number: Option<u64>,
}

impl Future for Until<'_> {
    type Output = Result<(), Broken>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waiting = self.waiting;
        let mut progress = waiting.0.lock();
        if let Some(outcome) = progress.outcome(self.position) {
            return Poll::Ready(outcome);
        }
        let number = *self.number.get_or_insert_with(|| {
            progress.numbers = progress.numbers.wrapping_add(1);
            progress.numbers
        });
        progress.waiting.insert((self.position, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    /// Whoever was woken, or would have been, wakes the others.
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut progress = self.waiting.0.lock();
        progress.waiting.remove(&(self.position, number));
        let settled = progress.take_settled();
        drop(progress);
        settled.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A future that was polled once, and how often it has been woken.
    struct Waiter<'a>(Pin<Box<Until<'a>>>, Arc<Count>);

    impl Waiter<'_> {
        fn of(waiting: &Waiting, position: u64) -> Waiter<'_> {
            let mut waiter =
                Waiter(Box::pin(waiting.until(Position(position))), Arc::new(Count::default()));
            assert_eq!(waiter.poll(), Poll::Pending);
            waiter
        }

        fn poll(&mut self) -> Poll<Result<(), Broken>> {
            self.0.as_mut().poll(&mut Context::from_waker(&Arc::clone(&self.1).into()))
        }

        fn woken(&self) -> usize {
            self.1.0.load(Ordering::Relaxed)
        }
    }

    fn broken() -> Broken {
        Broken { operation: "sync", error: io::ErrorKind::Other, message: "worn out".to_owned() }
    }

    #[test]
    fn one_is_woken_and_wakes_those_whose_wait_is_over_too() {
        let waiting = Waiting::new(Position(0));
        let later = Waiter::of(&waiting, 4);
        let others = [3, 1, 2, 2].map(|position| Waiter::of(&waiting, position));
        waiting.advance(3);
        let woken: Vec<usize> = others.iter().map(Waiter::woken).collect();
        assert_eq!(woken, [0, 1, 0, 0]);
        let [last, mut first, middle, same] = others;
        assert_eq!(first.poll(), Poll::Ready(Ok(())));
        drop(first);
        assert_eq!([&last, &middle, &same, &later].map(Waiter::woken), [1, 1, 1, 0]);
        waiting.advance(4);
        assert_eq!(later.woken(), 1);
    }

    #[test]
    fn who_goes_away_after_it_was_woken_leaves_nobody_asleep() {
        let waiting = Waiting::new(Position(0));
        let (first, mut second) = (Waiter::of(&waiting, 1), Waiter::of(&waiting, 2));
        waiting.advance(2);
        assert_eq!((first.woken(), second.woken()), (1, 0));
        drop(first);
        assert_eq!(second.woken(), 1);
        assert_eq!(second.poll(), Poll::Ready(Ok(())));
    }

    #[test]
    fn who_goes_away_before_is_not_waited_for() {
        let waiting = Waiting::new(Position(0));
        let (first, second) = (Waiter::of(&waiting, 1), Waiter::of(&waiting, 2));
        drop(first);
        waiting.advance(2);
        assert_eq!(second.woken(), 1);
    }

    #[test]
    fn all_learn_that_the_journal_is_broken_but_those_whose_record_is_durable() {
        let waiting = Waiting::new(Position(0));
        let mut waiters = [1, 2, 3].map(|position| Waiter::of(&waiting, position));
        waiting.advance(1);
        waiting.fail(&broken());
        let said = waiters.each_mut().map(Waiter::poll);
        let lost = || Poll::Ready(Err(broken()));
        assert_eq!(said, [Poll::Ready(Ok(())), lost(), lost()]);
        drop(waiters);
        waiting.reopen(Position(3));
        let mut covered = Waiter(Box::pin(waiting.until(Position(3))), Arc::default());
        assert_eq!(covered.poll(), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_failure_reaches_everybody_through_one() {
        let waiting = Waiting::new(Position(0));
        let (first, second) = (Waiter::of(&waiting, 1), Waiter::of(&waiting, 2));
        waiting.fail(&broken());
        assert_eq!((first.woken(), second.woken()), (1, 0));
        drop(first);
        assert_eq!(second.woken(), 1);
    }
}
