//! What a handler gets.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    aggregate::{Created, Deleted, EventMeta, Subject, Updated},
    error::{Failure, Kind, Result},
    model::Model,
    payload::{Payload, pointer},
};

/// A request before it is decoded: from the broker, from HTTP, or from the log.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// The id of the message or request.
    pub id: Uuid,
    /// The body, if there is one.
    pub content: Option<Payload>,
    /// Path and query parameters, decoded, in their order.
    pub params: Vec<(String, String)>,
    /// For whom it runs.
    pub user: Option<Uuid>,
    /// The headers of the message or the request.
    pub headers: BTreeMap<String, String>,
    /// Events: of which aggregate.
    pub event: Option<EventMeta>,
}

/// A decoded request: its content and, over HTTP, its parameters.
#[derive(Debug, Clone)]
pub struct Request<C, P = ()> {
    content: C,
    params: P,
    id: Uuid,
    user: Option<Uuid>,
    headers: BTreeMap<String, String>,
}

impl<C, P> Request<C, P> {
    /// The content.
    pub fn content(&self) -> &C {
        &self.content
    }

    /// The content, taken.
    pub fn into_content(self) -> C {
        self.content
    }

    /// The parameters of path and query.
    pub fn params(&self) -> &P {
        &self.params
    }

    /// Content and parameters, taken.
    pub fn into_parts(self) -> (C, P) {
        (self.content, self.params)
    }

    /// The id of the message or request.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// For whom it runs, if that is known.
    pub fn user(&self) -> Option<Uuid> {
        self.user
    }

    /// The headers; names are lower-case.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }
}

/// What a handler may take: nothing, or a [`Request`].
#[diagnostic::on_unimplemented(
    message = "a handler's input must be a `Request<Content, Params>`, found `{Self}`",
    label = "not a `Request`",
    note = "write `request: Request<Content>`; a parameter behind a reference is the context"
)]
pub trait FromRaw: Send + Sized {
    /// Decodes and validates.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with the JSON pointer of what does not fit.
    fn read(raw: &Raw) -> Result<Self>;
}

impl FromRaw for () {
    fn read(_: &Raw) -> Result<Self> {
        Ok(())
    }
}

impl<C: Content, P: Params> FromRaw for Request<C, P> {
    fn read(raw: &Raw) -> Result<Self> {
        Ok(Request {
            params: P::read(&raw.params)?,
            content: C::read(raw)?,
            id: raw.id,
            user: raw.user,
            headers: raw.headers.clone(),
        })
    }
}

/// What a [`Request`] may carry: `()`, a model, or an event.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the content of a request",
    label = "not a model",
    note = "add `#[model]` or `#[contract]` to `{Self}`"
)]
pub trait Content: Send + Sized {
    /// Decodes and validates.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with the JSON pointer of what does not fit.
    fn read(raw: &Raw) -> Result<Self>;
}

impl Content for () {
    fn read(_: &Raw) -> Result<Self> {
        Ok(())
    }
}

impl<T: Model> Content for T {
    fn read(raw: &Raw) -> Result<Self> {
        body(raw)?.decode()
    }
}

impl<A: Subject> Content for Created<A> {
    fn read(raw: &Raw) -> Result<Self> {
        Ok(Created {
            meta: meta(raw)?,
            state: body(raw)?.decode()?,
        })
    }
}

impl<A: Subject> Content for Updated<A> {
    fn read(raw: &Raw) -> Result<Self> {
        Ok(Updated {
            meta: meta(raw)?,
            diff: body(raw)?.decode()?,
        })
    }
}

impl<A: Subject> Content for Deleted<A> {
    fn read(raw: &Raw) -> Result<Self> {
        Ok(Deleted::new(meta(raw)?))
    }
}

fn body(raw: &Raw) -> Result<&Payload> {
    Ok(raw
        .content
        .as_ref()
        .ok_or_else(|| Failure::new(Kind::Invalid, "a JSON body is required"))?)
}

fn meta(raw: &Raw) -> Result<EventMeta> {
    Ok(raw
        .event
        .ok_or_else(|| Failure::new(Kind::Invalid, "this message is no event of an aggregate"))?)
}

/// What the parameters of a [`Request`] may be: `()` or a model with one field per parameter.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parameters of a request",
    label = "not a model",
    note = "add `#[model]` to `{Self}`"
)]
pub trait Params: Send + Sized {
    /// Decodes path and query parameters.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with the name of the parameter that does not fit.
    fn read(params: &[(String, String)]) -> Result<Self>;
}

impl Params for () {
    fn read(_: &[(String, String)]) -> Result<Self> {
        Ok(())
    }
}

impl<T: Model + DeserializeOwned> Params for T {
    fn read(params: &[(String, String)]) -> Result<Self> {
        let invalid = |text: String| Failure::new(Kind::Invalid, text);
        // Parameters come as text; this deserializer parses numbers and booleans out of it.
        let text = serde_html_form::to_string(params).map_err(|e| invalid(e.to_string()))?;
        let de = serde_html_form::Deserializer::from_bytes(text.as_bytes());
        serde_path_to_error::deserialize(de).map_err(|e| {
            let at = pointer(e.path());
            let failure = invalid(format!("a parameter does not fit: {}", e.inner()));
            if at.is_empty() {
                failure
            } else {
                failure.at(at)
            }
            .into()
        })
    }
}
