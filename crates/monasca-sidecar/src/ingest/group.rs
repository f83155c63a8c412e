//! Pushes in the manner of the Pushgateway: of a group, and those that are added up.

use super::Ingest;
use super::format::Format;
use super::marks::{Marks, PUSH_TTL};
use super::order::Order;
use crate::config::PushSettings;
use crate::http::{Answer, Problem, Progress, problem, query};
use hyper::Request;
use hyper::body::Incoming;
use sidecar_model::Temporality;
use sidecar_store::{GroupKey, Outcome, Replaces, Store};
use std::sync::Arc;

impl Ingest {
    /// `PUT` and `POST /metrics/job/<job>...`.
    pub(crate) async fn push_group(
        self: &Arc<Self>,
        request: Request<Incoming>,
        key: GroupKey,
        replaces: Replaces,
        progress: &Progress,
    ) -> Result<Answer, Problem> {
        let settings = self.push.load_full();
        let outcome = match self.group_order(&request, key, replaces, &settings) {
            Ok(order) => self.receive_and_apply(request, order, progress).await,
            Err(problem) => Err(problem),
        };
        self.answer_push(outcome, &settings)
    }

    /// `POST` and `PUT /metrics{/<label>/<value>}` without a job: only of deltas.
    pub(crate) async fn accumulate(
        self: &Arc<Self>,
        request: Request<Incoming>,
        labels: GroupKey,
        progress: &Progress,
    ) -> Result<Answer, Problem> {
        let settings = self.push.load_full();
        let outcome = match self.group_order(&request, labels, Replaces::Nothing, &settings) {
            Ok(order) if order.is_delta() => self.receive_and_apply(request, order, progress).await,
            Ok(_) => Err(Problem::NotDelta),
            Err(problem) => Err(problem),
        };
        self.answer_push(outcome, &settings)
    }

    /// `DELETE /metrics/job/<job>...`: the group is gone, or never was.
    pub(crate) async fn delete_group(
        &self,
        key: GroupKey,
        erase: bool,
        query: Option<&str>,
    ) -> Result<Answer, Problem> {
        let mut below = false;
        for (name, value) in query::parameters(query.unwrap_or_default())? {
            if name == "match" {
                below = prefix(&value)?;
            }
        }
        let change = move |store: &Store, now| {
            Ok(if below {
                store.delete_groups_below(&key, erase, now)?
            } else {
                usize::from(store.delete_group(&key, erase, now)?)
            })
        };
        let deleted = self.change(change).await?;
        self.keep.everything().await?;
        tracing::debug!(deleted, erase, "groups deleted");
        Ok(problem::deleted())
    }

    /// `PUT /api/v1/admin/wipe`, where it is switched on.
    pub(crate) async fn wipe(&self) -> Result<Answer, Problem> {
        if !self.push.load().admin_api {
            return Err(Problem::NotFound);
        }
        self.clear().await?;
        Ok(problem::deleted())
    }

    fn answer_push(
        &self,
        outcome: Result<Outcome, Problem>,
        settings: &PushSettings,
    ) -> Result<Answer, Problem> {
        self.count(&self.telemetry.group_pushes, &outcome);
        let outcome = outcome?;
        Ok(if outcome.refused.is_empty() {
            problem::pushed(settings.status)
        } else {
            problem::partly(&outcome.refused)
        })
    }

    /// What the request asks for, and what the settings say of its job.
    fn group_order(
        &self,
        request: &Request<Incoming>,
        key: GroupKey,
        replaces: Replaces,
        settings: &PushSettings,
    ) -> Result<Order, Problem> {
        let (headers, uri) = (request.headers(), request.uri());
        let mut marks = Marks::read(headers, uri.query(), uri.path())?;
        let job = key.labels().iter().find(|(name, _)| name == "job").map_or("", |(_, job)| job);
        let temporality = *marks.temporality.get_or_insert_with(|| settings.temporality_of(job));
        if let Some(header) = headers.get(PUSH_TTL) {
            let text = header.to_str().unwrap_or_default();
            marks.ttl = Some(marks.ttl.map_or_else(|| query::duration("Push-TTL", text), Ok)?);
        }
        let delta = temporality == Temporality::Delta;
        // Of instances and deltas the decay settings speak.
        if marks.ttl.is_none() && !delta {
            marks.ttl = settings.ttl_of(job).filter(|_| self.store.is_plain_group(&key));
        }
        Ok(Order {
            format: Format::of_push(headers),
            timestamps: settings.timestamps,
            marks,
            group: Some(key),
            replaces: if delta { Replaces::Nothing } else { replaces },
        })
    }
}

fn prefix(value: &str) -> Result<bool, Problem> {
    match value {
        "prefix" => Ok(true),
        "exact" => Ok(false),
        _ => Err(Problem::BadParameter { name: "match", message: "use prefix or exact" }),
    }
}
