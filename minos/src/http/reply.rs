//! What is answered, before it becomes bytes.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use serde::Serialize;
use tracing::{debug, error, warn};
use uuid::Uuid;

use crate::{
    enroute::{Answer, Refused},
    error::{Failure, Kind},
    payload::Payload,
    store,
};

/// The media type of RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Whether the body is a problem document.
    pub(super) problem: bool,
    pub(super) body: Option<Payload>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

/// A problem document (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Payload>,
    /// The request, as it stands in the log.
    instance: String,
}

impl Problem<'_> {
    fn reply(&self) -> Reply {
        // The parts are texts and JSON already; without them the status still says it.
        let body = serde_json::to_string(self).ok().map(Payload::from_text);
        Reply {
            status: self.status,
            problem: true,
            body,
            headers: Vec::new(),
        }
    }
}

impl Reply {
    /// A JSON answer of our own.
    pub(super) fn json<T: Serialize>(status: u16, body: &T, request: Uuid) -> Self {
        match serde_json::to_string(body) {
            Ok(text) => Self {
                status,
                problem: false,
                body: Some(Payload::from_text(text)),
                headers: Vec::new(),
            },
            Err(e) => {
                let failure = Failure::new(Kind::Internal, "an answer is not JSON").because(e);
                Self::failed(&failure, request)
            }
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What a handler answered.
    pub(super) fn answered(answer: Answer, request: Uuid) -> Self {
        match answer {
            Answer::Done { status, body } => Self {
                status,
                problem: false,
                body,
                headers: Vec::new(),
            },
            Answer::Refused(refused) => Self::refused(&refused, request),
            Answer::Failed(failure) => Self::failed(&failure, request),
        }
    }

    pub(super) fn refused(refused: &Refused, request: Uuid) -> Self {
        Problem {
            r#type: format!("urn:minos:refusal:{}", refused.code),
            title: refused.code,
            status: refused.status,
            detail: &refused.text,
            pointer: None,
            error: Some(&refused.body),
            instance: request.urn().to_string(),
        }
        .reply()
    }

    /// A failure in words for the caller. What is not meant for callers goes to the log, under the request's id.
    pub(super) fn failed(failure: &Failure, request: Uuid) -> Self {
        let kind = failure.kind();
        if !kind.is_public() {
            error!(%request, error = ?failure, "a request failed");
        } else if kind.status() >= 500 {
            warn!(%request, error = ?failure, "a request failed");
        } else {
            debug!(%request, error = ?failure, "a request was not taken");
        }
        let (name, title) = words(kind);
        let detail = match kind {
            Kind::OutcomeUnknown => {
                "whether it happened is not known; to find out, send the request again with the same \
                 `Idempotency-Key`"
            }
            kind if kind.is_public() => failure.message(),
            _ => "internal error; the log has it under the id in `instance`",
        };
        let reply = Problem {
            r#type: format!("urn:minos:failure:{name}"),
            title,
            status: kind.status(),
            detail,
            pointer: failure.pointer().filter(|_| kind.is_public()),
            error: None,
            instance: request.urn().to_string(),
        }
        .reply();
        match kind {
            Kind::Unavailable | Kind::OutcomeUnknown => reply.with(header::RETRY_AFTER, "1"),
            _ => reply,
        }
    }

    pub(super) fn into_response(self, request: Uuid, close: bool) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or_else(|e| {
            error!(%request, status = self.status, error = %e, "a handler answered a status that is none");
            StatusCode::INTERNAL_SERVER_ERROR
        });
        let mut response = HttpResponseBuilder::new(status);
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response.insert_header(("x-request-id", request.to_string()));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.insert_header((name, value));
            }
        }
        if close {
            response.force_close();
        }
        match self.body {
            None => response.finish(),
            Some(body) => {
                let media = if self.problem {
                    PROBLEM
                } else {
                    "application/json"
                };
                response.insert_header((header::CONTENT_TYPE, media));
                response.body(body.as_str().to_owned())
            }
        }
    }
}

/// Why a unit of work was not committed, in words for the caller.
pub(super) fn uncommitted(error: store::Error) -> Failure {
    match error {
        store::Error::Conflict { .. } | store::Error::Moved { .. } => Failure::new(
            Kind::Conflict,
            "others kept changing the same thing at the same time; try again",
        )
        .because(error),
        error => crate::error::Error::from(error).into_failure(),
    }
}

/// The stable name of a kind, and what it means.
fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Invalid => ("invalid", "The request does not fit"),
        Kind::Unauthenticated => ("unauthenticated", "It is not known who asks"),
        Kind::Forbidden => ("forbidden", "Who asks may not"),
        Kind::NotFound => ("not_found", "There is no such thing"),
        Kind::MethodNotAllowed => ("method_not_allowed", "The verb does not fit the path"),
        Kind::Conflict => ("conflict", "Somebody else was faster, or has it already"),
        Kind::TooLarge => ("too_large", "The body is too large"),
        Kind::UnsupportedMedia => ("unsupported_media", "The body is not JSON"),
        Kind::Unprocessable => ("unprocessable", "The request cannot be processed"),
        Kind::Unavailable => ("unavailable", "Something this service needs is away"),
        Kind::OutcomeUnknown => ("outcome_unknown", "The outcome is unknown"),
        Kind::TimedOut => ("timed_out", "It took too long"),
        Kind::Corrupt | Kind::Wiring | Kind::Config | Kind::Internal => {
            ("internal", "Something is wrong with this service")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reply: &Reply) -> String {
        reply.body.as_ref().unwrap().as_str().to_owned()
    }

    #[test]
    fn what_is_not_meant_for_callers_stays_inside() {
        let request = Uuid::from_u128(7);
        for kind in [Kind::Corrupt, Kind::Wiring, Kind::Config, Kind::Internal] {
            let failure = Failure::new(kind, "SELECT 1 at /srv/a.rs")
                .at("/secret")
                .because("sqlx panicked");
            let reply = Reply::failed(&failure, request);
            assert_eq!(reply.status, 500);
            let text = shown(&reply);
            for inside in ["SELECT", "/srv", "secret", "sqlx"] {
                assert!(!text.contains(inside), "{text}");
            }
            assert!(text.contains(&request.urn().to_string()), "{text}");
        }
    }

    #[test]
    fn causes_stay_inside_even_where_the_text_goes_out() {
        let error = store::Error::Unavailable("sqlx: no such file /srv/foo.db".into());
        let reply = Reply::failed(&uncommitted(error), Uuid::nil());
        assert_eq!(reply.status, 503);
        assert_eq!(reply.headers, [(header::RETRY_AFTER, "1".to_owned())]);
        assert!(!shown(&reply).contains("sqlx"), "{}", shown(&reply));
    }

    #[test]
    fn a_taken_value_is_named_by_its_field() {
        let error = store::Error::Claimed {
            aggregate: "Foo".to_owned(),
            field: "text".to_owned(),
            holder: Uuid::from_u128(9),
        };
        let reply = Reply::failed(&uncommitted(error), Uuid::nil());
        assert_eq!(reply.status, 409);
        let text = shown(&reply);
        assert!(
            text.contains("another Foo has this `text` already"),
            "{text}"
        );
        assert!(!text.contains(&Uuid::from_u128(9).to_string()), "{text}");
    }
}
