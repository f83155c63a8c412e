//! The routes table: method and path to [`Route`], and the right that each of them takes.
//!
//! A trailing slash is accepted everywhere. HEAD is accepted where GET is. What is not in the table
//! does not exist, and nothing is in it without saying who may ask for it.

use super::{Problem, grouping, query};
use crate::config::Right;
use hyper::Method;
use sidecar_store::{GroupKey, Replaces};
use std::borrow::Cow;

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
        erase: bool,
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
        erase: bool,
    },
    Families,
    Instances,
    Series,
    Limits,
    Healthy,
    Ready,
    OwnMetrics,
    Reload,
    Index,
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) path: Pattern,
    /// `None`: everybody may.
    pub(crate) right: Option<Right>,
    /// For the index.
    what: &'static str,
    make: fn(Rest<'_>) -> Result<Route, Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Is(&'static str),
    /// One more segment behind this; with `erase` in the query or without.
    Instance(&'static str, Erase),
    /// The labels of a group, the job first, behind `/metrics/`.
    Group(Erase),
    /// Labels without a job, behind `/metrics/`.
    Labels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Erase {
    Yes,
    No,
    /// The query is not asked.
    Any,
}

/// What a path has behind the part that its pattern knows, not yet checked.
#[derive(Clone, Copy, Debug)]
struct Rest<'a> {
    path: &'a str,
    query: Option<&'a str>,
}

/// A row that a request met.
pub(crate) struct Found<'a> {
    pub(crate) row: &'static Row,
    rest: Rest<'a>,
}

const NOBODYS: Option<Right> = None;
const PUSH: Option<Right> = Some(Right::Push);
const SCRAPE: Option<Right> = Some(Right::Scrape);
const ADMIN: Option<Right> = Some(Right::Admin);

/// The most frequent first.
pub(crate) const TABLE: &[Row] = &[
    is("POST", "/v1/ingest", PUSH, "push metrics as JSON", |_| Ok(Route::Push)),
    is("GET", "/metrics", SCRAPE, "the merged exposition", |_| Ok(Route::Scrape)),
    Row {
        method: "PUT",
        path: Pattern::Group(Erase::Any),
        right: PUSH,
        what: "push a group, as to a Pushgateway",
        make: |rest| push_group(rest, Replaces::Everything),
    },
    Row {
        method: "POST",
        path: Pattern::Group(Erase::Any),
        right: PUSH,
        what: "push some families of a group",
        make: |rest| push_group(rest, Replaces::SameFamilies),
    },
    Row {
        method: "DELETE",
        path: Pattern::Group(Erase::No),
        right: PUSH,
        what: "delete a group",
        make: delete_group,
    },
    Row {
        method: "DELETE",
        path: Pattern::Group(Erase::Yes),
        right: ADMIN,
        what: "delete a group and what it counted",
        make: delete_group,
    },
    is("POST", "/metrics", PUSH, "add a push of deltas", |_| accumulate("")),
    is("PUT", "/metrics", PUSH, "add a push of deltas", |_| accumulate("")),
    labels("POST"),
    labels("PUT"),
    is("POST", "/ingest", PUSH, "push metrics as JSON", |_| Ok(Route::Push)),
    is("GET", "/v1/metrics", SCRAPE, "the merged exposition", |_| Ok(Route::Scrape)),
    is("GET", "/v1/families", SCRAPE, "families", |_| Ok(Route::Families)),
    is("GET", "/v1/instances", SCRAPE, "instances", |_| Ok(Route::Instances)),
    is("GET", "/v1/limits", SCRAPE, "limits and what is used of them", |_| Ok(Route::Limits)),
    is("GET", "/v1/series", SCRAPE, "why a value is what it is (?match[]=)", |_| Ok(Route::Series)),
    is("DELETE", "/v1/series", ADMIN, "delete series (?match[]=)", |_| Ok(Route::DeleteSeries)),
    Row {
        method: "DELETE",
        path: Pattern::Instance("/v1/instances/", Erase::No),
        right: PUSH,
        what: "goodbye of an instance",
        make: goodbye,
    },
    Row {
        method: "DELETE",
        path: Pattern::Instance("/v1/instances/", Erase::Yes),
        right: ADMIN,
        what: "goodbye of an instance and of what it counted",
        make: goodbye,
    },
    is("POST", "/v1/clear", ADMIN, "forget everything", |_| Ok(Route::Clear)),
    is("POST", "/clear", ADMIN, "forget everything", |_| Ok(Route::Clear)),
    is("GET", "/api/v1/metrics", SCRAPE, "groups, as a Pushgateway tells", |_| Ok(Route::Groups)),
    is("GET", "/api/v1/status", SCRAPE, "as a Pushgateway tells", |_| Ok(Route::PushStatus)),
    is("PUT", "/api/v1/admin/wipe", ADMIN, "forget everything, if allowed", |_| Ok(Route::Wipe)),
    is("GET", "/-/healthy", NOBODYS, "alive", |_| Ok(Route::Healthy)),
    is("GET", "/-/ready", NOBODYS, "ready", |_| Ok(Route::Ready)),
    is("GET", "/-/metrics", SCRAPE, "own metrics", |_| Ok(Route::OwnMetrics)),
    is("POST", "/-/reload", ADMIN, "read the configuration again", |_| Ok(Route::Reload)),
    is("GET", "/", SCRAPE, "these paths", |_| Ok(Route::Index)),
];

const fn is(
    method: &'static str,
    path: &'static str,
    right: Option<Right>,
    what: &'static str,
    make: fn(Rest<'_>) -> Result<Route, Problem>,
) -> Row {
    Row { method, path: Pattern::Is(path), right, what, make }
}

const fn labels(method: &'static str) -> Row {
    Row {
        method,
        path: Pattern::Labels,
        right: PUSH,
        what: "add a push of deltas",
        make: |rest| accumulate(rest.path),
    }
}

/// The row of a request, or why there is none.
pub(crate) fn find<'a>(
    method: &Method,
    path: &'a str,
    query: Option<&'a str>,
) -> Result<Found<'a>, Problem> {
    let asked = Asked::new(path, query);
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    for row in TABLE.iter().filter(|row| row.method == method) {
        if let Some(path) = asked.meets(row.path) {
            return Ok(Found { row, rest: Rest { path, query } });
        }
    }
    match asked.methods(|_| true) {
        allow if allow.is_empty() => Err(Problem::NotFound),
        allow => Err(Problem::MethodNotAllowed { allow }),
    }
}

/// The methods with which something can be pushed to this path.
pub(crate) fn push_methods(path: &str) -> String {
    Asked::new(path, None).methods(|row| row.right == PUSH)
}

/// The table as a page.
pub(crate) fn index() -> String {
    let mut page = "monasca-sidecar: many processes in, one application out\n\n".to_owned();
    for row in TABLE {
        let right = row.right.map_or("-", Right::name);
        let line = format!("{:6} {:34} {right:6} {}\n", row.method, row.path.text(), row.what);
        page.push_str(&line);
    }
    page
}

impl Found<'_> {
    pub(crate) fn route(&self) -> Result<Route, Problem> {
        (self.row.make)(self.rest)
    }
}

impl Pattern {
    /// As documented, with `<...>` for what varies.
    pub(crate) fn text(self) -> Cow<'static, str> {
        match self {
            Pattern::Is(path) => path.into(),
            Pattern::Instance(before, erase) => format!("{before}<id>{}", erase.query()).into(),
            Pattern::Group(erase) => format!("/metrics/job/<job>...{}", erase.query()).into(),
            Pattern::Labels => "/metrics/<label>/<value>...".into(),
        }
    }
}

impl Erase {
    fn query(self) -> &'static str {
        match self {
            Erase::Yes => "?erase=true",
            Erase::No | Erase::Any => "",
        }
    }
}

/// The path of a request in the ways in which rows look at it.
struct Asked<'a> {
    whole: &'a str,
    /// Without a slash at the end.
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn new(whole: &'a str, query: Option<&'a str>) -> Asked<'a> {
        let path = whole.strip_suffix('/').filter(|shorter| !shorter.is_empty()).unwrap_or(whole);
        Asked { whole, path, query }
    }

    /// What is left of the path where the pattern fits.
    fn meets(&self, pattern: Pattern) -> Option<&'a str> {
        match pattern {
            Pattern::Is(path) => (path == self.path).then_some(""),
            Pattern::Instance(before, erase) => {
                let id = self.path.strip_prefix(before)?;
                let is_one = !id.is_empty() && !id.contains('/');
                (is_one && self.erases(erase)).then_some(id)
            }
            Pattern::Group(erase) => {
                let labels = self.whole.strip_prefix("/metrics/")?;
                (names_job(labels) && self.erases(erase)).then_some(labels)
            }
            // A slash at the end may be an empty value.
            Pattern::Labels => {
                let labels =
                    self.whole.strip_prefix("/metrics/").filter(|rest| !rest.is_empty())?;
                (!names_job(labels)).then_some(labels)
            }
        }
    }

    /// In doubt it is asked for: that takes more rights.
    fn erases(&self, wanted: Erase) -> bool {
        if wanted == Erase::Any {
            return true;
        }
        let parameters = query::parameters(self.query.unwrap_or_default()).unwrap_or_default();
        let erases = parameters
            .iter()
            .any(|(name, value)| name == "erase" && query::flag("erase", value) != Ok(false));
        erases == (wanted == Erase::Yes)
    }

    /// Those of the rows with this path.
    fn methods(&self, wanted: impl Fn(&Row) -> bool) -> String {
        let mut methods: Vec<&str> = Vec::new();
        for row in TABLE.iter().filter(|row| wanted(row)) {
            if self.meets(row.path).is_some() && !methods.contains(&row.method) {
                methods.push(row.method);
                methods.extend((row.method == "GET").then_some("HEAD"));
            }
        }
        methods.join(", ")
    }
}

fn names_job(labels: &str) -> bool {
    ["job", "job@base64"].contains(&labels.split('/').next().unwrap_or_default())
}

fn push_group(rest: Rest<'_>, replaces: Replaces) -> Result<Route, Problem> {
    Ok(Route::PushGroup { key: grouping::group_key(rest.path)?, replaces })
}

fn delete_group(rest: Rest<'_>) -> Result<Route, Problem> {
    Ok(Route::DeleteGroup { key: grouping::group_key(rest.path)?, erase: erase(rest)? })
}

fn accumulate(labels: &str) -> Result<Route, Problem> {
    Ok(Route::Accumulate { labels: grouping::label_pairs(labels)? })
}

fn goodbye(rest: Rest<'_>) -> Result<Route, Problem> {
    Ok(Route::Goodbye { id: query::percent_decoded(rest.path)?, erase: erase(rest)? })
}

fn erase(rest: Rest<'_>) -> Result<bool, Problem> {
    let mut erase = false;
    for (name, value) in query::parameters(rest.query.unwrap_or_default())? {
        if name == "erase" {
            erase |= query::flag("erase", &value)?;
        }
    }
    Ok(erase)
}

#[cfg(test)]
mod tests {
    use super::{Erase, Pattern, Route, TABLE, find, push_methods};
    use crate::config::Right;
    use crate::http::Problem;
    use hyper::Method;

    fn route(method: &Method, path: &str) -> Result<Route, Problem> {
        find(method, path, None)?.route()
    }

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
            Route::Goodbye { id, erase: false }
        );
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        for (path, allow) in [
            ("/metrics", "GET, HEAD, POST, PUT"),
            ("/v1/instances/x", "DELETE"),
            ("/metrics/job/a", "PUT, POST, DELETE"),
            ("/metrics/a/b", "POST, PUT"),
        ] {
            let allow = allow.to_owned();
            assert_eq!(route(&Method::PATCH, path), Err(Problem::MethodNotAllowed { allow }));
        }
        for path in ["/v2/ingest", "/metricsx", "/v1/instances/", "/v1/instances/a/b", "//"] {
            let answer = route(&Method::GET, path);
            assert!(!matches!(answer, Ok(Route::Goodbye { .. })), "{path}");
        }
        assert!(matches!(route(&Method::GET, "/nothing"), Err(Problem::NotFound)));
    }

    #[test]
    fn erasing_takes_more_than_leaving_and_in_doubt_it_is_erasing() {
        for path in ["/v1/instances/a", "/metrics/job/a"] {
            for (query, right) in [
                (None, Right::Push),
                (Some("erase=false"), Right::Push),
                (Some("match=prefix&other=erase"), Right::Push),
                (Some("erase"), Right::Admin),
                (Some("erase=true"), Right::Admin),
                (Some("erase=1&erase=0"), Right::Admin),
                (Some("erase=0&erase=1"), Right::Admin),
                (Some("er%61se=true"), Right::Admin),
                (Some("erase=perhaps"), Right::Admin),
            ] {
                let found = find(&Method::DELETE, path, query).unwrap();
                assert_eq!(found.row.right, Some(right), "{path} {query:?}");
            }
            let twice = find(&Method::DELETE, path, Some("erase=1&erase=0")).unwrap().route();
            assert!(matches!(
                twice,
                Ok(Route::Goodbye { erase: true, .. } | Route::DeleteGroup { erase: true, .. })
            ));
            assert!(find(&Method::DELETE, path, Some("erase=perhaps")).unwrap().route().is_err());
        }
    }

    #[test]
    fn a_query_that_cannot_be_read_erases_nothing() {
        let found = find(&Method::DELETE, "/v1/instances/a", Some("erase=%zz")).unwrap();
        assert!(found.route().is_err());
    }

    #[test]
    fn only_probes_need_no_right_and_nothing_that_destroys_is_a_push() {
        let free: Vec<_> =
            TABLE.iter().filter(|row| row.right.is_none()).map(|row| row.path).collect();
        assert_eq!(free, [Pattern::Is("/-/healthy"), Pattern::Is("/-/ready")]);
        for row in TABLE {
            let erases =
                matches!(row.path, Pattern::Group(Erase::Yes) | Pattern::Instance(_, Erase::Yes));
            assert!(!erases || row.right == Some(Right::Admin), "{}", row.path.text());
            assert!(row.method != "GET" || row.right != Some(Right::Push), "{}", row.path.text());
        }
    }

    #[test]
    fn a_browser_is_told_the_methods_of_pushes() {
        assert_eq!(push_methods("/v1/ingest"), "POST");
        assert_eq!(push_methods("/metrics"), "POST, PUT");
        assert_eq!(push_methods("/metrics/job/a"), "PUT, POST, DELETE");
        assert_eq!(push_methods("/v1/clear"), "");
        assert_eq!(push_methods("/nothing"), "");
    }
}
