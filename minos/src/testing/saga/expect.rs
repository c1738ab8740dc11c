//! What a test of a saga expects.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{End, SagaTest, Sent, encode, failed};
use crate::{
    context::Context,
    enroute::BoxFuture,
    error::Result,
    message::Kind,
    payload::Payload,
    saga::{Saga, StepTarget, run::Run},
};

impl<S: Saga> SagaTest<S> {
    /// Expects that the next message is this one.
    #[track_caller]
    #[must_use]
    pub fn expect_sent<C: StepTarget + Serialize>(self, content: C) -> Self {
        self.next(&content, "the message", |sent| {
            sent.message.kind != Kind::Void && !sent.undo
        })
    }

    /// Expects that the next message is this one, and that it undoes something.
    #[track_caller]
    #[must_use]
    pub fn expect_compensated<C: StepTarget + Serialize>(self, content: C) -> Self {
        self.next(&content, "the compensation", |sent| sent.undo)
    }

    /// Expects that the participant is asked whether this command ran, and not to run it any more. Answer with
    /// [`reply`](Self::reply) if it ran, with [`voided`](Self::voided) if it did not.
    #[track_caller]
    #[must_use]
    pub fn expect_void<C: StepTarget>(mut self) -> Self {
        self.begin();
        match self.sent.pop_front() {
            Some(sent) if sent.message.kind == Kind::Void && sent.message.name == C::NAME => {}
            Some(other) => failed(&format!("expected a void of `{}`, found {other}", C::NAME)),
            None => self.nothing(&format!("a void of `{}`", C::NAME)),
        }
        self
    }

    /// Expects that no other message was sent.
    #[track_caller]
    pub fn expect_nothing_sent(mut self) -> Self {
        self.begin();
        if let Some(sent) = self.sent.front() {
            failed(&format!("expected no message, found {sent}"));
        }
        self
    }

    /// Expects how the saga stands.
    #[track_caller]
    pub fn expect_end(mut self, end: End) -> Self {
        self.begin();
        let row = self.row(self.id);
        if row.status != end.as_str() {
            let why = Run::of(&row).ok().and_then(|run| run.error);
            let why = why.map_or_else(String::new, |e| format!(" ({}: {})", e.step, e.text));
            failed(&format!(
                "expected that the saga is {}, it is {}{why}",
                end.as_str(),
                row.status
            ));
        }
        self
    }

    /// Expects the saga's own state.
    #[track_caller]
    pub fn expect_state(self, state: S) -> Self
    where
        S: PartialEq + fmt::Debug,
    {
        let mut this = self;
        this.begin();
        let found = this.state();
        if found != state {
            failed(&format!("expected the state {state:?}, found {found:?}"));
        }
        this
    }

    /// Expects something of what the unit of work sees, such as the aggregates that local steps have made.
    #[track_caller]
    pub fn expect<T: Send>(
        mut self,
        look: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Self {
        self.begin();
        self.given(look)
    }

    #[track_caller]
    fn next<C: StepTarget + Serialize>(
        mut self,
        content: &C,
        what: &str,
        fits: impl Fn(&Sent) -> bool,
    ) -> Self {
        self.begin();
        let content = encode(content);
        let wanted = format!("{what} `{}` {content:?}", C::NAME);
        let Some(sent) = self.sent.pop_front() else {
            self.nothing(&wanted);
        };
        let same = json(&sent.message.payload) == json(&content);
        if !(fits(&sent) && sent.message.name == C::NAME && same) {
            failed(&format!("expected {wanted}, found {sent}"));
        }
        self
    }

    #[track_caller]
    fn nothing(&self, wanted: &str) -> ! {
        let row = self.row(self.id);
        failed(&format!(
            "expected {wanted}, found no message; the saga is {}",
            row.status
        ))
    }
}

fn json(payload: &Payload) -> Option<Value> {
    payload.decode().ok()
}
