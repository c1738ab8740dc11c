//! `/spec/..`: what this service is made of.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::{
    App,
    reply::Reply,
    serve::{nothing, other_verb},
};
use crate::saga::{Flow, TargetKind, flow::What};

/// A question about the service.
#[derive(Debug)]
pub(super) enum Request {
    Sagas,
}

#[derive(Serialize)]
struct Sagas {
    sagas: Vec<Saga>,
}

#[derive(Serialize)]
struct Saga {
    name: &'static str,
    at: Option<String>,
    deadline_ms: Option<u128>,
    steps: Vec<Step>,
    diagram: &'static str,
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    does: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'static str>,
    compensated: bool,
    pivot: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u128>,
    retry: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel: Option<&'static str>,
}

impl Request {
    /// Reads a question from a path below `/spec`.
    pub(super) fn read(verb: &str, path: &[String], id: Uuid) -> Result<Self, Reply> {
        let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let request = match path.as_slice() {
            ["sagas"] => Request::Sagas,
            _ => return Err(nothing(id)),
        };
        match verb {
            "GET" | "HEAD" => Ok(request),
            _ => Err(other_verb(verb, ["GET", "HEAD"], id)),
        }
    }

    pub(super) fn answer(&self, app: &App, id: Uuid) -> Reply {
        match self {
            Request::Sagas => {
                let sagas = app.core.sagas.values().map(|flow| saga(&**flow)).collect();
                Reply::json(200, &Sagas { sagas }, id)
            }
        }
    }
}

fn saga(flow: &dyn Flow) -> Saga {
    let millis = |time: Duration| time.as_millis();
    let steps = flow.steps().into_iter().map(|step| {
        let (does, target) = match step.what {
            What::Local => ("local", None),
            What::Wait(signal) => ("wait", Some(signal)),
            What::Remote(target) => {
                let kind = match target.kind {
                    TargetKind::Command => "command",
                    TargetKind::Query => "query",
                    TargetKind::Saga => "saga",
                };
                (kind, Some(target.name))
            }
        };
        Step {
            name: step.name,
            does,
            target,
            compensated: step.compensation.is_some(),
            pivot: step.pivot,
            timeout_ms: step.timeout.map(millis),
            retry: step.retry,
            when: step.when,
            choice: step.choice,
            parallel: step.parallel,
        }
    });
    Saga {
        name: flow.name(),
        at: flow.at().map(|at| at.to_string()),
        deadline_ms: flow.deadline().map(millis),
        steps: steps.collect(),
        diagram: flow.diagram(),
    }
}
