//! Signals: what comes from outside and no command asked for.

use super::{Machine, record::plain};
use crate::{
    error::{Error, Failure, Kind, Result},
    payload::Payload,
    saga::{
        Verdict,
        run::{Execution, Signal, StepStatus, Waiting},
    },
};

/// How many signals are kept that come before their steps.
const KEPT: usize = 16;

impl Machine<'_> {
    /// A step begins to wait: perhaps for what came already.
    pub(super) fn wait(&mut self, index: usize, execution: Execution) {
        self.note_of("waits", &execution, None);
        self.tried(&execution);
        self.heed(index, execution);
    }

    /// Waits for a signal: perhaps for one that is kept.
    pub(super) fn heed(&mut self, index: usize, execution: Execution) {
        let command = execution.command;
        let target = execution.target.clone();
        self.keep(execution);
        // One that cannot be read leaves it waiting: perhaps for the next one.
        while let Some(place) = self
            .run
            .signals
            .iter()
            .position(|s| Some(&s.name) == target.as_ref())
            && let Some(execution) = self.take(command)
        {
            let signal = self.run.signals.remove(place);
            self.signalled(index, execution, &signal.content);
        }
    }

    /// Whether the step that waits for a signal, or will, can read its content.
    pub(super) fn readable(&self, name: &str, content: &Payload) -> Result<()> {
        let waits =
            |e: &&Execution| e.waiting == Waiting::Signal && e.target.as_deref() == Some(name);
        let mut executions = self.run.executions.iter();
        let now = executions.find(waits).and_then(|e| self.index(&e.step));
        let Some(index) = now.or_else(|| self.awaited_at(name)) else {
            return Ok(());
        };
        let read = self.flow.signal(index, content, &self.run.state);
        let Err(failure) = read.map_err(Error::into_failure) else {
            return Ok(());
        };
        if failure.kind() != Kind::Invalid {
            // What a step makes of it that is not reached yet says nothing about the content.
            return now.map_or(Ok(()), |_| Err(failure.into()));
        }
        let at = format!("/content{}", failure.pointer().unwrap_or_default());
        let text = format!("the content of the signal `{name}` cannot be read: {failure}");
        Err(Failure::new(Kind::Invalid, text).at(at).into())
    }

    /// A signal came; `false` if nobody waits for it or will.
    pub(super) fn signal(&mut self, name: &str, content: &Payload) -> bool {
        let detail = serde_json::json!({ "signal": name, "content": content });
        let detail = Payload::encode(&detail).ok();
        let waits =
            |e: &&Execution| e.waiting == Waiting::Signal && e.target.as_deref() == Some(name);
        let waiting = self.run.executions.iter().find(waits).map(|e| e.command);
        // A wait that this definition does not have may be one of another build: the signal is kept for that.
        if waiting.is_none() && !self.awaits(name) {
            if !self.knows(name) && self.goes_forward() {
                self.keep_signal(name, content, detail.as_ref());
                return false;
            }
            self.note("ignored a signal that nobody waits for", detail.as_ref());
            return false;
        }
        let Some(execution) = waiting.and_then(|command| self.take(command)) else {
            return self.keep_signal(name, content, detail.as_ref());
        };
        self.note_of("signalled", &execution, detail.as_ref());
        let halt = self.wake(&execution.step);
        match self.place(&execution) {
            Some(index) => self.signalled(index, execution, content),
            None => {
                self.keep(execution);
                self.keep_signal(name, content, detail.as_ref());
            }
        }
        self.doze(halt);
        self.advance();
        true
    }

    /// Keeps a signal for the step that will wait for it; `false` if too many are kept.
    fn keep_signal(&mut self, name: &str, content: &Payload, detail: Option<&Payload>) -> bool {
        let known = self.knows(name);
        let kept = self.run.signals.iter();
        // Those that only another build may know take no place of others.
        if kept.filter(|s| self.knows(&s.name) == known).count() >= KEPT {
            self.note("ignored a signal: too many wait", detail);
            return false;
        }
        self.note("keeps a signal", detail);
        self.run.signals.push(Signal {
            name: name.to_owned(),
            content: content.clone(),
            at: self.env.now,
        });
        true
    }

    fn signalled(&mut self, index: usize, execution: Execution, content: &Payload) {
        match self.flow.signal(index, content, &self.run.state) {
            Ok((verdict, state)) => {
                self.run.state = state;
                match verdict {
                    Verdict::Continue => self.mark(index, StepStatus::Done, None),
                    Verdict::Retry => self.execute(index, false, execution.before + 1),
                    Verdict::Compensate => {
                        let text = "the signal decided to compensate";
                        let why = plain("refused", &execution.step, text);
                        self.give_up(index, &execution, StepStatus::Refused, why);
                    }
                }
            }
            Err(e) => {
                // Another one may be right.
                let why = plain(
                    "failed",
                    &execution.step,
                    &format!("the signal cannot be read: {e}"),
                );
                let detail = Payload::encode(&why).ok();
                self.note_of("ignored a signal", &execution, detail.as_ref());
                self.keep(execution);
            }
        }
    }
}
