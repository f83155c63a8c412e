//! Pages of other origins: which may push, and what a browser that asks before is told.
//!
//! A browser sends some requests to other origins without asking. So one that names an origin which
//! may not push is refused, wherever something would change.

use crate::config::Right;
use crate::http::answer::{with_header, with_value};
use crate::http::{Answer, Problem, problem, router};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    HeaderValue, ORIGIN, VARY,
};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri};

const HEADERS: &str = "Authorization, Content-Encoding, Content-Type, Idempotency-Key, \
                       Push-Sequence, Push-TTL";
const REMEMBERED_SECONDS: &str = "600";

/// Origins whose pages may push.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    pub(crate) fn new(allowed: Vec<String>) -> Origins {
        Origins(allowed)
    }

    /// Refuses what a page of another origin may not do; else whether the answer is for such a page.
    pub(crate) fn check(
        &self,
        right: Right,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Asker, Problem> {
        let Some(origin) = headers.get(ORIGIN) else { return Ok(Asker::Own) };
        let foreign = !is_own(origin, uri, headers);
        match right {
            Right::Scrape => Ok(Asker::Own),
            _ if !foreign => Ok(Asker::Own),
            Right::Push if self.allows(origin) => Ok(Asker::Page(origin.clone())),
            Right::Push | Right::Admin => Err(Problem::ForeignOrigin),
        }
    }

    /// Answers the browser's question before a push; `None`: it is no such question, or it is not
    /// answered here.
    pub(crate) fn preflight(&self, path: &str, headers: &HeaderMap) -> Option<Answer> {
        let origin = headers.get(ORIGIN).filter(|origin| self.allows(origin))?;
        headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let methods = router::push_methods(path);
        if methods.is_empty() {
            return None;
        }
        let methods = HeaderValue::from_str(&methods).ok()?;
        let answer = with_value(problem::nothing(), ACCESS_CONTROL_ALLOW_METHODS, methods);
        let answer = with_header(answer, ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        let answer = with_header(answer, ACCESS_CONTROL_MAX_AGE, REMEMBERED_SECONDS);
        Some(Asker::Page(origin.clone()).told(answer))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }
}

/// Whether the page came from this very server.
fn is_own(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    // In h2 it is a part of the URI.
    let host = host.or(uri.authority().map(Authority::as_str)).unwrap_or_default();
    let of_origin = origin.split_once("://").map_or("", |(_, host)| host);
    !host.is_empty() && of_origin.eq_ignore_ascii_case(host)
}

/// Who reads the answer.
#[derive(Debug)]
pub(crate) enum Asker {
    Own,
    /// A page of this other origin, which the browser must be told that it may.
    Page(HeaderValue),
}

impl Asker {
    pub(crate) fn told(self, answer: Answer) -> Answer {
        let Asker::Page(origin) = self else { return answer };
        let answer = with_value(answer, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let answer = with_header(answer, ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After");
        with_header(answer, VARY, "Origin")
    }
}
