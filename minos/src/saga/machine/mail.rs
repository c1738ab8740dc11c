//! What a saga is told, and what waits in its row for a build that knows it.
//!
//! During a deploy two builds of a service run at once, and each takes messages that only the other one understands.
//! Such a message is kept in the row, which is due then: whoever knows the saga takes its turn and reads it first. One
//! that is stuck is not due: it is read with what comes next, by a retry, or by the keeper of a build that knows it.

use chrono::{DateTime, Utc};

use super::{Env, Flow, Machine, Moved};
use crate::{
    error::{Error, Kind, Result},
    message::{self, Message, Outcome},
    payload::Payload,
    saga::run::{Status, Stored},
    store::SagaRow,
};

/// How many messages wait in one row, and how many bytes of them: a row is read and written as a whole.
const KEPT: usize = 64;
const SIZE: usize = 256 * 1024;

/// The field of a row's body in which they wait. Every build knows it, whatever else is in the row.
const MAIL: &str = "mail";

/// What a message means for a saga: what became of a command, a signal, or that the saga that started it does not want
/// it any more.
pub(crate) fn told(
    flow: &dyn Flow,
    row: SagaRow,
    message: &Message,
    env: &Env<'_>,
) -> Result<Moved> {
    let mut machine = Machine::up_to_date(flow, row, env)?;
    machine.told(message)?;
    machine.finish()
}

/// What became of a message for a build that knows the saga.
pub(crate) enum Posted {
    Kept(Box<Moved>),
    /// One that says the same is kept already.
    Before,
    /// Too much is kept.
    Full,
}

/// Keeps a message for a build that knows the saga.
pub(crate) fn post(mut row: SagaRow, message: &Message, now: DateTime<Utc>) -> Result<Posted> {
    let mut stored = Stored::of(&row)?;
    let mut mail: Vec<Payload> = stored.get(MAIL).unwrap_or_default();
    // Whoever called it off asks again and again.
    let same = |kept: &Payload| {
        let kept = kept.decode::<Message>();
        kept.is_ok_and(|k| (k.kind, k.headers.command) == (message.kind, message.headers.command))
    };
    if message.kind == message::Kind::Void && mail.iter().any(same) {
        return Ok(Posted::Before);
    }
    mail.push(Payload::encode(message)?);
    let size: usize = mail.iter().map(|kept| kept.as_str().len()).sum();
    if mail.len() > KEPT || size > SIZE {
        return Ok(Posted::Full);
    }
    stored.put(MAIL, &mail)?;
    row.body = stored.body()?;
    row.version += 1;
    // One that is stuck is due for nobody: it may be that no build knows it any more.
    if Status::of(&row) != Some(Status::Stuck) {
        row.due_at = Some(now);
    }
    Ok(Posted::Kept(Box::new(Moved::only(row, Vec::new()))))
}

impl<'a> Machine<'a> {
    /// The machine of a row, once what waits in it is read.
    pub(super) fn up_to_date(flow: &'a dyn Flow, row: SagaRow, env: &'a Env<'a>) -> Result<Self> {
        let mut machine = Self::of(flow, row, env)?;
        for message in std::mem::take(&mut machine.run.mail) {
            if let Err(e) = machine.told(&message) {
                let why = Payload::encode(&e.to_string()).ok();
                machine.note("ignored a message", why.as_ref());
            }
        }
        Ok(machine)
    }

    fn told(&mut self, message: &Message) -> Result<()> {
        let headers = &message.headers;
        match (message.kind, headers.command, headers.status) {
            (message::Kind::Signal, ..) => {
                self.signal(&message.name, &message.payload);
            }
            (message::Kind::Void, command, _) => {
                let parent = self.run.parent.as_ref();
                if parent.is_none_or(|parent| Some(parent.command) != command) {
                    let why = "it calls off a saga that is no step of its sender's";
                    return Err(Error::new(Kind::Invalid, why));
                }
                self.called_off();
            }
            (_, Some(command), Some(status)) => {
                let payload = message.payload.clone();
                self.reply(command, &Outcome { status, payload });
            }
            _ => {
                let why = "a reply without command, or status";
                return Err(Error::new(Kind::Invalid, why));
            }
        }
        Ok(())
    }
}
