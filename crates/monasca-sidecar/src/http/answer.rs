//! The body of an answer, and the answers that are no problem.

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) type Answer = Response<Body>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A page that is made piece by piece.
pub(crate) trait Pages: Send {
    /// The next piece; `None` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>>;
}

/// A piece of a page; `Cut`: the page cannot be finished.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    Cut,
}

/// The page broke off.
#[derive(Debug, thiserror::Error)]
#[error("the page broke off")]
pub(crate) struct Broken;

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Broken {
        match never {}
    }
}

/// The body of an answer.
pub(crate) enum Body {
    Empty,
    Once(Bytes),
    Pages(Box<dyn Pages>),
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Body::Empty => "Empty",
            Body::Once(_) => "Once",
            Body::Pages(_) => "Pages",
        })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Once(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Body::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Body::Pages(pages) => pages.poll_piece(context).map(|piece| match piece? {
                Piece::Bytes(bytes) => Some(Ok(Frame::data(bytes))),
                Piece::Cut => Some(Err(Broken)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Once(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Pages(_) => SizeHint::new(),
        }
    }
}

/// 200 with this body.
pub(crate) fn page(content_type: HeaderValue, body: Body) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// What a push that is wholly applied is answered.
pub(crate) fn done() -> Answer {
    page(JSON, Body::Once(Bytes::from_static(b"true")))
}

/// For `problem.rs`, which chooses the status.
pub(super) fn with_status(status: StatusCode, content_type: HeaderValue, body: Body) -> Answer {
    let mut answer = page(content_type, body);
    *answer.status_mut() = status;
    answer
}

pub(crate) fn with_header(answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    with_value(answer, name, HeaderValue::from_static(value))
}

pub(crate) fn with_value(mut answer: Answer, name: HeaderName, value: HeaderValue) -> Answer {
    answer.headers_mut().insert(name, value);
    answer
}
