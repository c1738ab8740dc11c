//! What a saga is told, and what waits in its row for a build that knows it.
//!
//! During a deploy two builds of a service run at once, and each takes messages that only the other one understands.
//! Such a message is kept in the row, which is due then: whoever knows the saga takes its turn and reads it first.

use chrono::{DateTime, Utc};

use super::{Env, Flow, Machine, Moved};
use crate::{
    error::{Error, Kind, Result},
    message::{self, Message, Outcome},
    payload::Payload,
    saga::{ENDED, run::Stored},
    store::SagaRow,
};

/// How many messages wait in one row: a row is read and written as a whole.
const KEPT: usize = 64;

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

/// Keeps a message for a build that knows the saga; [`None`] if too many are kept.
pub(crate) fn post(
    mut row: SagaRow,
    message: &Message,
    now: DateTime<Utc>,
) -> Result<Option<Moved>> {
    let mut stored = Stored::of(&row)?;
    let mut mail: Vec<Payload> = stored.get(MAIL).unwrap_or_default();
    if mail.len() >= KEPT {
        return Ok(None);
    }
    mail.push(Payload::encode(message)?);
    stored.put(MAIL, &mail)?;
    row.body = stored.body()?;
    row.version += 1;
    row.due_at = Some(now);
    Ok(Some(Moved::only(row, Vec::new())))
}

/// Whether something waits in a row, which matters until the saga has ended.
pub(super) fn waits(row: &SagaRow) -> bool {
    let mail = |stored: Stored| stored.get::<Vec<Payload>>(MAIL);
    let mail = Stored::of(row).ok().and_then(mail).unwrap_or_default();
    !mail.is_empty() && !ENDED.contains(&row.status.as_str())
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
