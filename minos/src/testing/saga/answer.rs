//! What comes to a saga in a test: answers, and signals.

use serde::Serialize;
use uuid::Uuid;

use super::{SERVICE, SagaTest, Sent, encode, failed, settle::tell};
use crate::{
    error::ErrorModel,
    message::{Headers, Kind, Message, Status, replies_topic},
    payload::Payload,
    saga::{Saga, Signal, StepTarget},
};

impl<S: Saga> SagaTest<S> {
    /// The oldest unanswered message is answered. The answer to a contract without a reply is `()`.
    #[track_caller]
    #[must_use]
    pub fn reply<R: Serialize>(self, reply: R) -> Self {
        self.answer(None, Status::Done, &reply)
    }

    /// The oldest unanswered message of this contract is answered: for steps of a parallel group.
    #[track_caller]
    #[must_use]
    pub fn reply_to<C: StepTarget<Reply: Serialize>>(self, reply: C::Reply) -> Self {
        self.answer(Some(C::NAME), Status::Done, &reply)
    }

    /// The oldest unanswered message is refused in the participant's words.
    #[track_caller]
    #[must_use]
    pub fn refuse<E: ErrorModel + Serialize>(self, error: E) -> Self {
        self.answer(None, Status::Refused, &error)
    }

    /// The oldest unanswered message of this contract is refused.
    #[track_caller]
    #[must_use]
    pub fn refuse_to<C: StepTarget<Error: Serialize>>(self, error: C::Error) -> Self {
        self.answer(Some(C::NAME), Status::Refused, &error)
    }

    /// The oldest unanswered message cannot be handled.
    #[track_caller]
    #[must_use]
    pub fn fail(self, why: &str) -> Self {
        self.answer(None, Status::Failed, why)
    }

    /// The oldest unanswered message of this contract cannot be handled.
    #[track_caller]
    #[must_use]
    pub fn fail_to<C: StepTarget>(self, why: &str) -> Self {
        self.answer(Some(C::NAME), Status::Failed, why)
    }

    /// The participant never ran the oldest unanswered command, and never will.
    #[track_caller]
    #[must_use]
    pub fn voided(self) -> Self {
        self.answer(None, Status::Voided, &())
    }

    /// A signal comes.
    #[track_caller]
    #[must_use]
    pub fn signal<C: Signal>(mut self, content: C) -> Self {
        self.begin();
        let content = encode(&content);
        self.tell(Kind::Signal, C::NAME, self.id, content, |_| {});
        self
    }

    #[track_caller]
    fn answer<T: Serialize + ?Sized>(
        mut self,
        to: Option<&str>,
        status: Status,
        content: &T,
    ) -> Self {
        self.begin();
        let fits = |sent: &Sent| to.is_none_or(|name| sent.message.name == name);
        let Some(place) = self.asked.iter().position(fits) else {
            let of = to.map_or_else(String::new, |name| format!(" of `{name}`"));
            failed(&format!("no message{of} waits for an answer"));
        };
        let asked = self.asked.remove(place);
        let headers = &asked.message.headers;
        let (Some(saga), Some(command)) = (headers.saga, headers.command) else {
            failed(&format!("nobody waits for the answer to {asked}"));
        };
        // A void is about the same command: one answer is for both.
        self.asked
            .retain(|other| other.message.headers.command != Some(command));
        let payload = encode(content);
        self.tell(Kind::Reply, &asked.message.name, saga, payload, |headers| {
            headers.command = Some(command);
            headers.status = Some(status);
        });
        self
    }

    #[track_caller]
    fn tell(
        &mut self,
        kind: Kind,
        name: &str,
        saga: Uuid,
        payload: Payload,
        head: impl FnOnce(&mut Headers),
    ) {
        let core = self.core.clone();
        let mut headers = Headers {
            saga: Some(saga),
            ..Headers::default()
        };
        head(&mut headers);
        let message = Message {
            id: core.clock.new_uuid(),
            kind,
            topic: replies_topic(SERVICE),
            name: name.to_owned(),
            key: saga.to_string(),
            at: core.clock.now(),
            headers,
            payload,
        };
        if let Err(e) = self.wait(tell(&core, &message)) {
            failed(&format!("the saga cannot take it: {e}"));
        }
        self.settle();
    }
}
