//! Work that would hold others up is done aside: on a few threads that are nicer than those which serve
//! connections, in the order in which it came.
//!
//! What waits is bounded by the connections and by the memory of all bodies. Work that nobody
//! waits for any more is not begun.

use super::Problem;
use crate::priority::be_nicer;
use std::io;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// More would only take turns at the catalog.
const THREADS_AT_MOST: usize = 4;
/// Less than a scrape is: what is pushed goes before what is read.
const NICER: i32 = 5;

/// The threads. They start when there is work, and end when there has been none for a while.
#[derive(Debug)]
pub(crate) struct Aside {
    /// Only its threads for what blocks. There until this is dropped.
    threads: Option<Runtime>,
}

impl Aside {
    pub(crate) fn new() -> io::Result<Aside> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = Builder::new_current_thread()
            .max_blocking_threads(processors.min(THREADS_AT_MOST))
            .thread_name("aside")
            .on_thread_start(|| be_nicer(NICER))
            .build()?;
        Ok(Aside { threads: Some(threads) })
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let Some(threads) = &self.threads else { return Err(Problem::Internal) };
        let done = AbortOnDropHandle::new(threads.spawn_blocking(work));
        done.await.unwrap_or(Err(Problem::Internal))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Nobody waits for what is left, and a worker must not.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}
