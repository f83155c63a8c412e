//! The routes table: method and path to [`Route`].
//!
//! A trailing slash is accepted everywhere. HEAD is accepted where GET is.

use super::Problem;
use hyper::Method;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Push,
    Clear,
    Scrape,
    Goodbye { id: String },
    Families,
    Instances,
    Series,
    Healthy,
    Ready,
    OwnMetrics,
    Reload,
    Index,
}

/// The route of a request, or why there is none.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, Problem> {
    let path = match path.strip_suffix('/') {
        Some("") | None => path,
        Some(shorter) => shorter,
    };
    let (route, allow) = match path {
        "/v1/ingest" | "/ingest" => (Route::Push, "POST"),
        "/v1/clear" | "/clear" => (Route::Clear, "POST"),
        "/metrics" | "/v1/metrics" => (Route::Scrape, "GET, HEAD"),
        "/v1/families" => (Route::Families, "GET, HEAD"),
        "/v1/instances" => (Route::Instances, "GET, HEAD"),
        "/v1/series" => (Route::Series, "GET, HEAD"),
        "/-/healthy" => (Route::Healthy, "GET, HEAD"),
        "/-/ready" => (Route::Ready, "GET, HEAD"),
        "/-/metrics" => (Route::OwnMetrics, "GET, HEAD"),
        "/-/reload" => (Route::Reload, "POST"),
        "/" => (Route::Index, "GET, HEAD"),
        other => match other.strip_prefix("/v1/instances/") {
            Some(id) if !id.is_empty() && !id.contains('/') => {
                (Route::Goodbye { id: super::query::percent_decoded(id)? }, "DELETE")
            }
            Some(_) | None => return Err(Problem::NotFound),
        },
    };
    if allow.split(", ").any(|allowed| allowed == method.as_str()) {
        return Ok(route);
    }
    Err(Problem::MethodNotAllowed { allow })
}

#[cfg(test)]
mod tests {
    use super::{Route, route};
    use crate::http::Problem;
    use hyper::Method;

    #[test]
    fn a_trailing_slash_changes_nothing() {
        for (path, expected) in [
            ("/v1/ingest", Route::Push),
            ("/v1/ingest/", Route::Push),
            ("/ingest/", Route::Push),
            ("/clear/", Route::Clear),
        ] {
            assert_eq!(route(&Method::POST, path).unwrap(), expected, "{path}");
        }
        assert_eq!(route(&Method::GET, "/").unwrap(), Route::Index);
        assert_eq!(route(&Method::HEAD, "/metrics/").unwrap(), Route::Scrape);
        let id = "a/b c".to_owned();
        assert_eq!(
            route(&Method::DELETE, "/v1/instances/a%2Fb%20c/").unwrap(),
            Route::Goodbye { id }
        );
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        assert!(matches!(
            route(&Method::PUT, "/metrics"),
            Err(Problem::MethodNotAllowed { allow: "GET, HEAD" })
        ));
        assert!(matches!(
            route(&Method::GET, "/v1/instances/x"),
            Err(Problem::MethodNotAllowed { allow: "DELETE" })
        ));
        for path in ["/v2/ingest", "/metricsx", "/v1/instances/", "/v1/instances/a/b", "//"] {
            let answer = route(&Method::GET, path);
            assert!(!matches!(answer, Ok(Route::Goodbye { .. })), "{path}");
        }
        assert!(matches!(route(&Method::GET, "/nothing"), Err(Problem::NotFound)));
    }
}
