//! One aggregate in a unit of work.

use std::ops::{Deref, DerefMut};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Aggregate, Subject};
use crate::{
    context::{Context, Snapshot},
    error::{Error, Kind, Result},
    payload::Payload,
    store::{Claim, Find, StreamId},
};

/// An aggregate as this unit of work sees it; derefs to the state.
///
/// Changes of the state leave only through [`save`](Root::save).
#[derive(Debug, Clone)]
pub struct Root<A> {
    uuid: Uuid,
    version: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    base: A,
    state: A,
}

impl<A> Root<A> {
    /// The aggregate's id.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The number of events so far, with those that this unit of work staged.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was created.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    /// When it last changed.
    #[must_use]
    pub fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

impl<A> Deref for Root<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

impl<A> DerefMut for Root<A> {
    fn deref_mut(&mut self) -> &mut A {
        &mut self.state
    }
}

impl<A: Aggregate> Root<A> {
    fn of(uuid: Uuid, snapshot: &Snapshot) -> Result<Self> {
        let Some(state) = &snapshot.state else {
            return Err(missing::<A>(uuid));
        };
        let state: A = state.decode().map_err(|e| corrupt::<A>(uuid, e))?;
        Ok(Self {
            uuid,
            version: snapshot.version,
            created_at: snapshot.created_at,
            updated_at: snapshot.updated_at,
            base: state.clone(),
            state,
        })
    }

    /// Stages the changed fields as one `Updated` event; nothing if nothing changed.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the aggregate changed in this unit of work through another `Root`.
    pub fn save(&mut self, cx: &Context) -> Result<()> {
        let Some(diff) = self.base.diff(&self.state) else {
            return Ok(());
        };
        let (old, new) = (json(&self.base)?, Payload::encode(&self.state)?);
        let claims = claims::<A>(Some(&old), Some(&json(&self.state)?));
        let event = (format!("{}Updated", A::NAME), Payload::encode(&diff)?);
        self.updated_at = cx.stage_event(
            &stream::<A>(self.uuid),
            self.version,
            event,
            Some(new),
            claims,
        )?;
        self.version += 1;
        self.base = self.state.clone();
        Ok(())
    }

    /// Stages the `Deleted` event.
    ///
    /// # Errors
    /// As [`save`](Root::save).
    pub fn delete(self, cx: &Context) -> Result<()> {
        let claims = claims::<A>(Some(&json(&self.base)?), None);
        let event = (format!("{}Deleted", A::NAME), Payload::null());
        cx.stage_event(&stream::<A>(self.uuid), self.version, event, None, claims)?;
        Ok(())
    }

    /// Reads it again as this unit of work sees it; unsaved changes are dropped.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it was deleted.
    pub async fn refresh(&mut self, cx: &Context) -> Result<()> {
        *self = get(cx, self.uuid).await?;
        Ok(())
    }
}

pub(super) fn create<A: Aggregate>(cx: &Context, state: A) -> Result<Root<A>> {
    let uuid = cx.new_uuid();
    let payload = Payload::encode(&state)?;
    let claims = claims::<A>(None, Some(&json(&state)?));
    let event = (format!("{}Created", A::NAME), payload.clone());
    let at = cx.stage_event(&stream::<A>(uuid), 0, event, Some(payload), claims)?;
    Ok(Root {
        uuid,
        version: 1,
        created_at: at,
        updated_at: at,
        base: state.clone(),
        state,
    })
}

pub(super) async fn get<A: Aggregate>(cx: &Context, uuid: Uuid) -> Result<Root<A>> {
    let snapshot = cx.track(&stream::<A>(uuid)).await?;
    match snapshot {
        Some(snapshot) => Root::of(uuid, &snapshot),
        None => Err(missing::<A>(uuid)),
    }
}

pub(super) async fn find<A: Aggregate>(cx: &Context, find: Find) -> Result<Vec<Root<A>>> {
    let found = cx.find_tracked(&find).await?;
    found
        .iter()
        .map(|(uuid, snapshot)| Root::of(*uuid, snapshot))
        .collect()
}

fn stream<A: Subject>(uuid: Uuid) -> StreamId {
    StreamId::new(A::NAME, uuid)
}

fn json<A: Aggregate>(state: &A) -> Result<serde_json::Value> {
    serde_json::to_value(state).map_err(Error::other)
}

/// The unique values that change from `old` to `new`. A `null` claims nothing.
fn claims<A: Aggregate>(
    old: Option<&serde_json::Value>,
    new: Option<&serde_json::Value>,
) -> Vec<Claim> {
    let value = |state: Option<&serde_json::Value>, field: &str| {
        state
            .and_then(|s| s.get(field))
            .filter(|v| !v.is_null())
            .map(ToString::to_string)
    };
    A::UNIQUE
        .iter()
        .filter(|field| value(old, field) != value(new, field))
        .map(|field| Claim {
            field: (*field).to_owned(),
            value: value(new, field),
        })
        .collect()
}

fn missing<A: Subject>(uuid: Uuid) -> Error {
    Error::new(Kind::NotFound, format!("there is no {} {uuid}", A::NAME))
}

fn corrupt<A: Subject>(uuid: Uuid, e: Error) -> Error {
    let text = format!(
        "the stored state of {} {uuid} does not fit its type: {e}",
        A::NAME
    );
    crate::error::Failure::new(Kind::Corrupt, text)
        .because(e)
        .into()
}
