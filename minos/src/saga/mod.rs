//! Sagas: work across services that ends everywhere or is undone everywhere.
//!
//! A saga is a model with an impl block under `#[saga]`; its steps run top to bottom. The macro writes a list of
//! [`Step`]s, `machine` decides what a start, a reply, or a timeout means, and every transition is a unit of work.

pub(crate) mod flow;
pub(crate) mod machine;
mod proof;
pub(crate) mod run;
mod timeline;
#[cfg(test)]
pub(crate) mod toy;
mod undone;

use std::{any::TypeId, fmt, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::flow::{Action, Callback, Lapse, Outgoing, Step, StepEnd, Target, When};
pub(crate) use self::flow::{Flow, LocalOutcome};
pub use self::{
    proof::Signal,
    timeline::{Passage, Timeline, Wait},
    undone::Undone,
};
use crate::{enroute::At, model::Model};

#[doc(hidden)]
pub mod private {
    pub use super::{
        flow::{LocalEnd, local, send},
        proof::{
            Awaited, CanRefuse, Condition, IntoVerdict, NeedsNoUndo, NothingToRead, Reader, Reads,
            ReadsError, Sends, SendsCommand, SendsQuery, SendsSaga, Sent, Signal, deeper, holds,
            nested, sent, signal, verdict,
        },
    };
}

/// The statuses of sagas that have ended for good: one that is stuck has not.
pub(crate) const ENDED: &[&str] = &["completed", "compensated"];

/// What a callback decides about the rest of the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on with the next step.
    Continue,
    /// Run this step again, as a new execution.
    Retry,
    /// Undo the steps that are done, in reverse.
    Compensate,
}

/// The id of one run of a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SagaId {
    /// The run's id; `/system/sagas/{saga}` shows it.
    pub saga: Uuid,
}

impl Model for SagaId {}

impl SagaId {
    /// The id of the run that `cx.start_once(key, ..)` starts.
    ///
    /// ```
    /// # use minos::{Uuid, saga::{SagaId, Saga}};
    /// # fn example<AddFooBar: Saga>(foo: Uuid) -> SagaId {
    /// SagaId::of::<AddFooBar>(foo)
    /// # }
    /// ```
    pub fn of<S: Saga>(key: impl fmt::Display) -> Self {
        let name = format!("{}\u{1f}{key}", S::NAME);
        Self {
            saga: Uuid::new_v5(&KEYS, name.as_bytes()),
        }
    }
}

/// The name space of sagas that are started by key. It is stored.
const KEYS: Uuid = Uuid::from_u128(0x6d69_6e6f_7353_4761_8000_7361_6761_0001);

/// What kind of message a step sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A command: another service changes something.
    Command,
    /// A query: nothing changes, nothing is to be undone.
    Query,
    /// Another saga.
    Saga,
}

/// What a remote step may return. `#[contract]` and `#[saga]` write it.
#[diagnostic::on_unimplemented(
    message = "a saga step cannot send `{Self}`",
    label = "neither a contract nor a saga",
    note = "return a `#[contract]` (remote step), or take `cx: &Context` (local step)"
)]
pub trait StepTarget {
    /// What kind of message it is.
    const KIND: TargetKind;
    /// The name on the wire.
    const NAME: &'static str;
    /// The answer.
    type Reply;
    /// The typed refusal.
    type Error;
}

/// A saga. `#[saga]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a saga",
    label = "not a saga",
    note = "put `#[saga]` on `impl {Self} {{ .. }}`"
)]
pub trait Saga: Model + StepTarget {
    /// The steps, in their order.
    const STEPS: &'static [Step<Self>];
    /// How long the whole may take before it is undone.
    const DEADLINE: Option<Duration>;
    /// A picture of it: a flowchart in [Mermaid](https://mermaid.js.org).
    const DIAGRAM: &'static str = "";
    /// Where it stands in the source.
    const AT: At;
}

/// One saga, as inventory collects it.
pub struct SagaEntry {
    pub(crate) service: fn() -> TypeId,
    pub(crate) name: &'static str,
    pub(crate) at: At,
    pub(crate) flow: fn() -> Arc<dyn Flow>,
}

impl fmt::Debug for SagaEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Saga({} at {})", self.name, self.at)
    }
}

impl SagaEntry {
    #[doc(hidden)]
    #[must_use]
    pub const fn of<M: 'static, S: Saga>() -> Self {
        Self {
            service: TypeId::of::<M>,
            name: S::NAME,
            at: S::AT,
            flow: flow::of::<S>,
        }
    }
}

inventory::collect!(SagaEntry);
