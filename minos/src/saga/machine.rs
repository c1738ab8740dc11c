//! What a start, an answer, or the time means for a saga.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Saga;
use crate::{error::Result, payload::Payload, store::SagaRow};

pub(crate) fn start<S: Saga>(
    _id: Uuid,
    _state: &S,
    _at: DateTime<Utc>,
    _user: Option<Uuid>,
    _correlation: Option<Uuid>,
) -> Result<(SagaRow, Vec<Payload>)> {
    unreachable!("written next")
}
