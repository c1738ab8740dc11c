//! Sagas that are steps of others: begun with the step, called off with it, and answering like a participant.

use uuid::Uuid;

use super::{Env, Machine, record::plain, start_as};
use crate::{
    message::{self, Headers, Message, Outcome, replies_topic},
    payload::Payload,
    saga::{
        Outgoing,
        run::{Execution, Parent, Status},
    },
};

/// How many sagas may be around one: more is a circle.
const DEPTH: u32 = 16;

impl Machine<'_> {
    /// Starts the saga that is a step of this one: its id is the command's, so that it is started once.
    pub(super) fn begin_child(
        &mut self,
        index: usize,
        mut execution: Execution,
        outgoing: Outgoing,
    ) {
        let parent = Parent {
            saga: self.row.id,
            command: execution.command,
            depth: self.run.parent.as_ref().map_or(0, |p| p.depth) + 1,
        };
        let stuck = |text: String| plain("failed", self.steps[index].name, &text);
        let wrong = match self.env.sagas.get(outgoing.name) {
            None => Some(stuck(format!(
                "this service has no saga `{}`, which the step starts",
                outgoing.name
            ))),
            Some(_) if parent.depth > DEPTH => Some(stuck(format!(
                "`{}` would be the {DEPTH}th saga in a saga: they start each other in a circle",
                outgoing.name
            ))),
            Some(_) => None,
        };
        if let Some(why) = wrong {
            // It was not begun: a retry begins it.
            execution.attempt = 0;
            self.keep(execution);
            return self.stuck(why);
        }
        let (name, id) = (outgoing.name, execution.command);
        let env = Env {
            now: self.env.now,
            clock: self.env.clock,
            headers: self.headers(),
            owner: self.env.owner,
            sagas: self.env.sagas,
        };
        let Some(flow) = self.env.sagas.get(name) else {
            return;
        };
        match start_as(&**flow, id, outgoing.payload, Some(parent), &env) {
            Ok(moved) => {
                self.tried(&execution);
                let timeout = self.steps[index].timeout.filter(|_| !execution.undo);
                execution.due_at = timeout.map(|t| self.env.now + t);
                self.note_of("started", &execution, None);
                self.keep(execution);
                self.messages.extend(moved.messages);
                self.children.push((moved.row, moved.history));
                self.children.extend(moved.children);
            }
            Err(e) => {
                execution.attempt = 0;
                self.keep(execution);
                let text = format!("the saga cannot be started: {e}");
                self.stuck(plain("failed", self.steps[index].name, &text));
            }
        }
    }

    /// Asks it to undo itself and to say so.
    pub(super) fn call_off_child(&mut self, execution: &Execution, name: &str) {
        let child = execution.command;
        let headers = Headers {
            saga: Some(child),
            command: Some(child),
            ..self.headers()
        };
        self.tell(message::Kind::Void, name, child, headers, Payload::null());
    }

    /// The saga that started this one asks to undo it.
    pub(super) fn called_off(&mut self) {
        let name = self.row.name.clone();
        let why = || plain("voided", &name, "the saga that started it called it off");
        match self.status() {
            Some(Status::Completed | Status::Compensated) => {
                self.note("called off after its end", None);
                self.answer_parent();
            }
            _ if self.last().is_some_and(|last| self.past_pivot(last)) => {
                self.note("called off after its pivot: it goes on", None);
            }
            Some(Status::Running) if !self.failing() => {
                self.note("called off", None);
                self.run.error = Some(why());
                self.advance();
            }
            Some(Status::Stuck) if self.before() == Status::Running => {
                self.note("called off; it is stuck", None);
                self.run.error.get_or_insert_with(why);
            }
            _ => self.note("called off while it is undone", None),
        }
    }

    /// It ended: whoever started it goes on.
    pub(super) fn answer_parent(&mut self) {
        let Some(parent) = self.run.parent.clone() else {
            return;
        };
        let Some(outcome) = self.outcome() else {
            return;
        };
        let headers = Headers {
            saga: Some(parent.saga),
            command: Some(parent.command),
            status: Some(outcome.status),
            ..self.headers()
        };
        let name = self.row.name.clone();
        let kind = message::Kind::Reply;
        self.tell(kind, &name, parent.saga, headers, outcome.payload);
    }

    fn outcome(&self) -> Option<Outcome> {
        let text = |text: &str| Payload::encode(text).unwrap_or_else(|_| Payload::null());
        let (status, payload) = match (self.status()?, &self.run.error) {
            (Status::Completed, _) => (message::Status::Done, self.run.state.clone()),
            (Status::Compensated, Some(why)) => match (why.kind.as_str(), &why.error) {
                ("voided", _) => (message::Status::Voided, Payload::null()),
                ("refused", Some(error)) => (
                    message::Status::Refused,
                    Payload::encode(error).unwrap_or_else(|_| Payload::null()),
                ),
                ("refused", None) => (message::Status::Refused, text(&why.text)),
                _ => (message::Status::Failed, text(&why.text)),
            },
            (Status::Compensated, None) => (message::Status::Failed, Payload::null()),
            _ => return None,
        };
        Some(Outcome { status, payload })
    }

    fn tell(
        &mut self,
        kind: message::Kind,
        name: &str,
        saga: Uuid,
        headers: Headers,
        payload: Payload,
    ) {
        self.messages.push(Message {
            id: self.env.clock.new_uuid(),
            kind,
            topic: replies_topic(&self.env.headers.source),
            name: name.to_owned(),
            key: saga.to_string(),
            at: self.env.now,
            headers,
            payload,
        });
    }
}
