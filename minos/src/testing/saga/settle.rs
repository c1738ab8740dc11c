//! What happens by itself: nobody has to answer, and no time has to pass.

use std::sync::Arc;

use super::{Sent, failed};
use crate::{
    context::Core,
    error::{self, Error, Result},
    message::{Message, replies_topic},
    runtime,
    saga::run::Run,
    store::Position,
};

/// After so many rounds at one moment something turns in a circle.
const ROUNDS: usize = 1000;

/// Delivers what the saga (or one inside it) tells itself, and runs what is due now; answers what was sent to others.
pub(super) async fn settle(core: &Arc<Core>, mut seen: Position) -> Result<(Position, Vec<Sent>)> {
    let own = replies_topic(&core.name);
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        let messages = core.store.outbox(seen, 100).await?;
        let rows = core.store.due_sagas(core.clock.now(), 100).await?;
        if messages.is_empty() && rows.is_empty() {
            return Ok((seen, all));
        }
        for (position, message) in messages {
            seen = position;
            if message.topic == own {
                tell(core, &message).await?;
            } else {
                let undo = undoes(core, &message).await?;
                all.push(Sent { message, undo });
            }
        }
        for row in rows {
            runtime::drive(core, row, true).await?;
        }
    }
    failed("the saga moves for ever without an answer and without time")
}

/// Hands an answer or a signal to its saga.
pub(super) async fn tell(core: &Core, message: &Message) -> Result<()> {
    let saga = message.headers.saga.unwrap_or_default();
    let row = core.store.saga(saga).await?;
    let row = row.ok_or_else(|| Error::new(error::Kind::NotFound, "there is no such saga"))?;
    let moved = runtime::told(core, row, message)?;
    Ok(runtime::commit(core, moved, Some(message.id)).await?)
}

/// Whether a message is of a compensation.
async fn undoes(core: &Core, message: &Message) -> Result<bool> {
    let Some(saga) = message.headers.saga else {
        return Ok(false);
    };
    let Some(row) = core.store.saga(saga).await? else {
        return Ok(false);
    };
    let run = Run::of(&row)?;
    let of = |command| run.executions.iter().find(|e| e.command == command);
    Ok(message.headers.command.and_then(of).is_some_and(|e| e.undo))
}
