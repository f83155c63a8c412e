//! Error to status: the only place that chooses one.
//!
//! Each problem has a stable `code`, which is in the answer's body and the label of its counter.
//! What a client did wrong never carries its payload back beyond names.

use super::answer::{self, Answer, Body, JSON, PLAIN};
use crate::admission::{TooFast, Whose};
use crate::config::PushStatus;
use crate::journal::Broken;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use serde::Serialize;
use sidecar_store::{JournalFull, Reason, Refused};

/// Refused families that an answer lists.
const LISTED_REFUSALS: usize = 1_000;

/// When series or instances may have gone.
const SECONDS_TO_ROOM: u64 = 10;

/// What `body` decompresses.
const BODY_ENCODINGS: &str = "gzip, deflate, snappy, zstd";

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    NotFound,
    MethodNotAllowed {
        allow: String,
    },
    /// Without a credential that is known.
    Unauthorized {
        challenge: &'static str,
    },
    /// A page of another origin.
    ForeignOrigin,
    /// The listener or the credential lacks the right.
    Forbidden {
        right: &'static str,
    },
    BodyTooLarge {
        limit_bytes: usize,
    },
    /// The body did not come in time.
    Timeout,
    /// The client broke off.
    CutBody,
    /// Too many bodies or scrapes at once.
    Busy,
    UnsupportedEncoding,
    BadEncoding,
    BadParameter {
        name: &'static str,
        message: &'static str,
    },
    BadSequence,
    BadKey,
    BadGroupingKey {
        at: String,
        message: &'static str,
    },
    /// A push without a group, and nothing says that it is to be added up.
    NotDelta,
    Decode {
        code: &'static str,
        at: String,
        message: String,
    },
    /// Nothing was applied.
    Refused(Vec<Refused>),
    KeyInFlight,
    KeyReused,
    TooManyKeys,
    /// More samples a second than a limit.
    TooFast(TooFast),
    /// Memory is short, and the push is for the most part new.
    MemoryLimit,
    /// The new configuration is bad; the old one stays.
    Reload {
        message: String,
    },
    /// Nothing was applied: the disk has no space for it.
    JournalFull,
    /// It may have been applied, and may be gone after a restart.
    JournalBroken,
    /// A bug.
    Internal,
}

impl From<Broken> for Problem {
    /// What is wrong with the disk is in the log.
    fn from(_: Broken) -> Problem {
        Problem::JournalBroken
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    at: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedBody<'a>>,
}

#[derive(Serialize)]
struct RefusedBody<'a> {
    family: &'a str,
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct PartBody<'a> {
    refused: Vec<RefusedBody<'a>>,
}

impl From<JournalFull> for Problem {
    fn from(_: JournalFull) -> Problem {
        Problem::JournalFull
    }
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Problem::Forbidden { .. } | Problem::ForeignOrigin => StatusCode::FORBIDDEN,
            Problem::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::Timeout => StatusCode::REQUEST_TIMEOUT,
            Problem::Busy | Problem::JournalFull | Problem::JournalBroken => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Problem::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Problem::CutBody
            | Problem::BadEncoding
            | Problem::BadParameter { .. }
            | Problem::BadSequence
            | Problem::BadKey
            | Problem::BadGroupingKey { .. }
            | Problem::NotDelta
            | Problem::Decode { .. }
            | Problem::Reload { .. } => StatusCode::BAD_REQUEST,
            Problem::Refused(refused) if refused.iter().all(|r| r.reason.is_limit()) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Problem::Refused(_) | Problem::KeyInFlight => StatusCode::CONFLICT,
            Problem::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::TooManyKeys | Problem::TooFast(_) | Problem::MemoryLimit => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Problem::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Stable code for answers and metrics.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Problem::NotFound => "not_found",
            Problem::MethodNotAllowed { .. } => "method_not_allowed",
            Problem::Unauthorized { .. } => "unauthorized",
            Problem::Forbidden { .. } => "forbidden",
            Problem::ForeignOrigin => "foreign_origin",
            Problem::BodyTooLarge { .. } => "body_too_large",
            Problem::Timeout => "timeout",
            Problem::CutBody => "incomplete_body",
            Problem::Busy => "busy",
            Problem::UnsupportedEncoding => "unsupported_encoding",
            Problem::BadEncoding => "bad_encoding",
            Problem::BadParameter { .. } => "bad_parameter",
            Problem::BadSequence => "bad_sequence",
            Problem::BadKey => "bad_idempotency_key",
            Problem::BadGroupingKey { .. } => "bad_grouping_key",
            Problem::NotDelta => "not_delta",
            Problem::Decode { code, .. } => code,
            Problem::Refused(refused) => refused_code(refused),
            Problem::KeyInFlight => "key_in_flight",
            Problem::KeyReused => "key_reused",
            Problem::TooManyKeys => "idempotency_key_limit",
            Problem::TooFast(TooFast { whose: Whose::All, .. }) => "rate_limit",
            Problem::TooFast(TooFast { whose: Whose::Job, .. }) => "job_rate_limit",
            Problem::MemoryLimit => Reason::MemoryLimit.code(),
            Problem::Reload { .. } => "bad_configuration",
            Problem::JournalFull => "journal_full",
            Problem::JournalBroken => "journal_broken",
            Problem::Internal => "internal",
        }
    }

    fn at(&self) -> &str {
        match self {
            Problem::BadParameter { name, .. } => name,
            Problem::BadSequence => "Push-Sequence",
            Problem::BadKey | Problem::KeyInFlight | Problem::KeyReused | Problem::TooManyKeys => {
                "Idempotency-Key"
            }
            Problem::UnsupportedEncoding | Problem::BadEncoding => "Content-Encoding",
            Problem::Decode { at, .. } | Problem::BadGroupingKey { at, .. } => at,
            Problem::NotDelta => "temporality",
            Problem::Refused(refused) => refused.first().map_or("", |first| &first.family),
            Problem::NotFound
            | Problem::MethodNotAllowed { .. }
            | Problem::Unauthorized { .. }
            | Problem::Forbidden { .. }
            | Problem::ForeignOrigin
            | Problem::BodyTooLarge { .. }
            | Problem::Timeout
            | Problem::CutBody
            | Problem::Busy
            | Problem::TooFast(_)
            | Problem::MemoryLimit
            | Problem::JournalFull
            | Problem::JournalBroken
            | Problem::Reload { .. }
            | Problem::Internal => "",
        }
    }

    fn message(&self) -> String {
        match self {
            Problem::NotFound => "no such path".to_owned(),
            Problem::MethodNotAllowed { allow } => format!("use {allow}"),
            Problem::Unauthorized { .. } => "give a credential that is known here".to_owned(),
            Problem::ForeignOrigin => {
                "pages of this origin may not: see cors.origins in the configuration".to_owned()
            }
            Problem::Forbidden { right } => format!("this takes the right to {right}"),
            Problem::BodyTooLarge { limit_bytes } => {
                format!("the body is larger than {limit_bytes} bytes")
            }
            Problem::Timeout => "the body did not come in time".to_owned(),
            Problem::CutBody => "the body broke off".to_owned(),
            Problem::Busy => "too much at once, try again".to_owned(),
            Problem::UnsupportedEncoding => {
                "use one of gzip, deflate, snappy (framed), zstd or identity".to_owned()
            }
            Problem::BadEncoding => "the body is not what Content-Encoding says".to_owned(),
            Problem::BadParameter { message, .. } => (*message).to_owned(),
            Problem::BadSequence => "use <epoch>.<n>.<acked> with acked below n".to_owned(),
            Problem::BadKey => "use 1 to 255 visible ASCII characters".to_owned(),
            Problem::BadGroupingKey { message, .. } => (*message).to_owned(),
            Problem::NotDelta => {
                "a push without /job/<job> in its path is added to what is there, which would count \
                 the totals of a cumulative client again and again: push to /metrics/job/<job>, or \
                 say ?temporality=delta (or push.temporality in the configuration)"
                    .to_owned()
            }
            Problem::Decode { message, .. } | Problem::Reload { message } => message.clone(),
            Problem::Refused(refused) => {
                refused.first().map_or_else(String::new, |first| first.reason.to_string())
            }
            Problem::KeyInFlight => "a request with this key is being applied".to_owned(),
            Problem::KeyReused => "the key was used for another body".to_owned(),
            Problem::TooManyKeys => "more keys than the limit".to_owned(),
            Problem::TooFast(TooFast { whose: Whose::All, .. }) => {
                "more samples a second than the limit".to_owned()
            }
            Problem::TooFast(TooFast { whose: Whose::Job, .. }) => {
                "more samples a second than the limit of this job".to_owned()
            }
            Problem::MemoryLimit => Reason::MemoryLimit.to_string(),
            Problem::JournalFull => "there is no space on the disk to keep it, try again".to_owned(),
            Problem::JournalBroken => "the disk failed, try again".to_owned(),
            Problem::Internal => "internal error".to_owned(),
        }
    }

    /// After how many seconds a limit may have room.
    fn retry_after(&self) -> u64 {
        let Problem::TooFast(TooFast { wait, .. }) = self else { return SECONDS_TO_ROOM };
        wait.as_secs() + 1
    }

    /// The answer that says so.
    pub(crate) fn answer(&self) -> Answer {
        let refused =
            if let Problem::Refused(refused) = self { listed(refused) } else { Vec::new() };
        let (code, at, message) = (self.code(), self.at(), self.message());
        let body = json(&ErrorBody { code, at, message: &message, refused });
        let status = self.status();
        let answer = answer::with_status(status, JSON, body);
        let answer = answer::with_header(answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Problem::MethodNotAllowed { allow } = self {
            let allow = HeaderValue::from_str(allow).unwrap_or(HeaderValue::from_static(""));
            return answer::with_value(answer, ALLOW, allow);
        }
        if let Problem::Unauthorized { challenge } = self {
            return answer::with_header(answer, WWW_AUTHENTICATE, challenge);
        }
        match status {
            StatusCode::SERVICE_UNAVAILABLE => answer::with_header(answer, RETRY_AFTER, "1"),
            StatusCode::TOO_MANY_REQUESTS => {
                let mut answer = answer;
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(self.retry_after()));
                answer
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                answer::with_header(answer, ACCEPT_ENCODING, BODY_ENCODINGS)
            }
            _ => answer,
        }
    }
}

/// The gravest reason: one that sending again will not mend goes before a limit.
fn refused_code(refused: &[Refused]) -> &'static str {
    let grave = refused.iter().find(|r| !r.reason.is_limit()).or(refused.first());
    grave.map_or("refused", |r| Reason::code(&r.reason))
}

fn listed(refused: &[Refused]) -> Vec<RefusedBody<'_>> {
    refused
        .iter()
        .take(LISTED_REFUSALS)
        .map(|r| RefusedBody {
            family: &r.family,
            code: r.reason.code(),
            message: r.reason.to_string(),
        })
        .collect()
}

fn json<T: Serialize>(value: &T) -> Body {
    Body::Once(Bytes::from(serde_json::to_vec(value).unwrap_or_default()))
}

/// A value as the JSON body of a 200.
pub(crate) fn state<T: Serialize>(value: &T) -> Answer {
    answer::page(JSON, json(value))
}

/// 202: everything is applied except these.
pub(crate) fn partly(refused: &[Refused]) -> Answer {
    answer::with_status(StatusCode::ACCEPTED, JSON, json(&PartBody { refused: listed(refused) }))
}

/// A group's push that is wholly applied: a Pushgateway's 200 with nothing, or the 202 that old
/// clients wait for.
pub(crate) fn pushed(status: PushStatus) -> Answer {
    let mut answer = Answer::new(Body::Empty);
    *answer.status_mut() = match status {
        PushStatus::Ok => StatusCode::OK,
        PushStatus::Accepted => StatusCode::ACCEPTED,
    };
    answer
}

/// A Pushgateway's 202 with nothing: a group is deleted, or was not there.
pub(crate) fn deleted() -> Answer {
    pushed(PushStatus::Accepted)
}

/// 204: what a browser wants to know is in the headers.
pub(crate) fn nothing() -> Answer {
    let mut answer = Answer::new(Body::Empty);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// 202: it will be, or is already.
pub(crate) fn accepted() -> Answer {
    let body = Body::Once(Bytes::from_static(b"true"));
    answer::with_status(StatusCode::ACCEPTED, JSON, body)
}

/// 503 with an empty page of the usual type: nothing to see yet.
pub(crate) fn warming_up(content_type: HeaderValue) -> Answer {
    answer::with_status(StatusCode::SERVICE_UNAVAILABLE, content_type, Body::Empty)
}

/// 503 of the readiness probe.
pub(crate) fn not_ready(why: &'static str) -> Answer {
    let body = Body::Once(Bytes::from_static(why.as_bytes()));
    answer::with_status(StatusCode::SERVICE_UNAVAILABLE, PLAIN, body)
}

impl From<TooFast> for Problem {
    fn from(early: TooFast) -> Problem {
        Problem::TooFast(early)
    }
}
