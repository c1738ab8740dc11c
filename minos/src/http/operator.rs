//! The gate that only operators pass.

use actix_web::{HttpRequest, http::header::AUTHORIZATION};
use subtle::ConstantTimeEq;

use crate::{
    config,
    error::{Error, Kind, Result},
};

/// Whether an operator asks. How long the answer takes says nothing about the token.
pub(super) fn asks(settings: &config::Http, request: &HttpRequest) -> Result<()> {
    let sent = request.headers().get(AUTHORIZATION);
    let sent = sent.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let right = match (&settings.operator_token, sent) {
        (Some(token), Some(sent)) => token.exposed().as_bytes().ct_eq(sent).into(),
        _ => false,
    };
    if right {
        return Ok(());
    }
    let text = "this is for operators: send the `http.operator_token` of this service, if it has one, as \
                `Authorization: Bearer <token>`";
    Err(Error::new(Kind::Forbidden, text))
}
