//! Reads and drops the body of a request that is refused.
//!
//! Over h2 an answer before the end of the body resets the stream, and some clients then lose the
//! answer with it: they would see an error of the protocol instead of "who are you?".

use hyper::body::{Body, Incoming};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

const DRAINED_BYTES: usize = 64 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(1);

/// A larger or slower body is not waited for.
pub(crate) async fn drain(mut incoming: Incoming) {
    let drained = async move {
        let mut left = DRAINED_BYTES;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // However it ends, the answer follows.
    tokio::time::timeout(DRAINED_FOR, drained).await.unwrap_or_default();
}
