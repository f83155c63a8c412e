//! The routes table: method and path to [`Route`].
//!
//! A trailing slash is accepted everywhere. HEAD is accepted where GET is.

use super::{Problem, grouping};
use hyper::Method;
use sidecar_store::{GroupKey, Replaces};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Push,
    /// A push of the group of the path.
    PushGroup {
        key: GroupKey,
        replaces: Replaces,
    },
    DeleteGroup {
        key: GroupKey,
    },
    /// A text push that is added to what is there.
    Accumulate {
        labels: GroupKey,
    },
    Groups,
    PushStatus,
    Wipe,
    DeleteSeries,
    Clear,
    Scrape,
    Goodbye {
        id: String,
    },
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
pub(crate) fn route(method: &Method, whole: &str) -> Result<Route, Problem> {
    let path = whole;
    let path = match path.strip_suffix('/') {
        Some("") | None => path,
        Some(shorter) => shorter,
    };
    let (route, allow) = match path {
        "/v1/ingest" | "/ingest" => (Route::Push, "POST"),
        "/v1/clear" | "/clear" => (Route::Clear, "POST"),
        "/metrics" if is_push(method) => {
            (Route::Accumulate { labels: grouping::label_pairs("")? }, "POST, PUT")
        }
        "/metrics" => (Route::Scrape, "GET, HEAD, POST, PUT"),
        "/v1/metrics" => (Route::Scrape, "GET, HEAD"),
        "/api/v1/metrics" => (Route::Groups, "GET, HEAD"),
        "/api/v1/status" => (Route::PushStatus, "GET, HEAD"),
        "/api/v1/admin/wipe" => (Route::Wipe, "PUT"),
        "/v1/families" => (Route::Families, "GET, HEAD"),
        "/v1/instances" => (Route::Instances, "GET, HEAD"),
        "/v1/series" if method == Method::DELETE => (Route::DeleteSeries, "DELETE"),
        "/v1/series" => (Route::Series, "GET, HEAD, DELETE"),
        "/-/healthy" => (Route::Healthy, "GET, HEAD"),
        "/-/ready" => (Route::Ready, "GET, HEAD"),
        "/-/metrics" => (Route::OwnMetrics, "GET, HEAD"),
        "/-/reload" => (Route::Reload, "POST"),
        "/" => (Route::Index, "GET, HEAD"),
        other if other.starts_with("/metrics/") => return group(method, whole),
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

fn is_push(method: &Method) -> bool {
    method == Method::POST || method == Method::PUT
}

/// Behind `/metrics/`, where a slash at the end may be an empty value.
fn group(method: &Method, path: &str) -> Result<Route, Problem> {
    let labels = path.strip_prefix("/metrics/").unwrap_or_default();
    let names_job = ["job", "job@base64"].contains(&labels.split('/').next().unwrap_or_default());
    match *method {
        Method::PUT if names_job => Ok(Route::PushGroup {
            key: grouping::group_key(labels)?,
            replaces: Replaces::Everything,
        }),
        Method::POST if names_job => {
            let replaces = Replaces::SameFamilies;
            Ok(Route::PushGroup { key: grouping::group_key(labels)?, replaces })
        }
        Method::DELETE if names_job => Ok(Route::DeleteGroup { key: grouping::group_key(labels)? }),
        Method::POST | Method::PUT => {
            Ok(Route::Accumulate { labels: grouping::label_pairs(labels)? })
        }
        _ if names_job => Err(Problem::MethodNotAllowed { allow: "PUT, POST, DELETE" }),
        _ => Err(Problem::MethodNotAllowed { allow: "PUT, POST" }),
    }
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
            route(&Method::PATCH, "/metrics"),
            Err(Problem::MethodNotAllowed { allow: "GET, HEAD, POST, PUT" })
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
