//! Steps that run here, in the unit of work of the transition.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    LOCAL_RETRIES, Machine,
    definition::{past_pivot, place},
    record::plain,
};
use crate::{
    payload::Payload,
    saga::{
        flow::{Flow, LocalOutcome, StepEnd},
        run::{Execution, Run, StepStatus, Trouble, Waiting},
    },
};

/// A local step that is to be run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Its index.
    pub(crate) step: usize,
    /// Whether its compensation is meant.
    pub(crate) undo: bool,
    /// Its execution.
    pub(crate) command: Uuid,
}

/// The local step that is to be run now.
pub(crate) fn local_step(flow: &dyn Flow, run: &Run, now: DateTime<Utc>) -> Option<Due> {
    let steps = flow.steps();
    let due = |at: Option<DateTime<Utc>>| at.is_none_or(|at| at <= now);
    let waiting = |e: &&Execution| e.waiting == Waiting::Local && due(e.due_at);
    let execution = run.executions.iter().find(waiting)?;
    let index = place(&steps, execution)?;
    let late = run.deadline_at.is_some_and(|at| at <= now) && !execution.undo;
    (!late || past_pivot(&steps, run, index)).then_some(Due {
        step: index,
        undo: execution.undo,
        command: execution.command,
    })
}

impl Machine<'_> {
    pub(super) fn local(&mut self, command: Uuid, outcome: LocalOutcome) {
        let Some(execution) = self.take(command) else {
            return;
        };
        let Some(index) = self.place(&execution) else {
            return self.keep(execution);
        };
        self.tried(&execution);
        let why = match outcome.end {
            StepEnd::Done => {
                self.run.state = outcome.state;
                self.note_of("ran", &execution, None);
                match execution.undo {
                    true => self.undone(index),
                    false => self.mark(index, StepStatus::Done, None),
                }
                return self.advance();
            }
            StepEnd::Refused(refused) => Trouble {
                kind: "refused".to_owned(),
                step: execution.step.clone(),
                text: refused.text,
                error: refused.body.decode().ok(),
            },
            StepEnd::Failed(failure) => {
                let why = plain("failed", &execution.step, &failure.public());
                let again = self.steps[index].retry.max(LOCAL_RETRIES);
                let passing = failure.kind().is_retryable() && execution.attempt <= again;
                if passing && !execution.undo {
                    let detail = Payload::encode(&why).ok();
                    self.note_of("failed", &execution, detail.as_ref());
                    self.local_again(index, execution, why);
                    return self.advance();
                }
                why
            }
        };
        let detail = Payload::encode(&why).ok();
        self.note_of("failed", &execution, detail.as_ref());
        let status = match why.kind.as_str() {
            "refused" => StepStatus::Refused,
            _ => StepStatus::Failed,
        };
        match execution.undo {
            true => self.undo_failed(index, &execution, why),
            false => self.give_up(index, &execution, status, why),
        }
        self.advance();
    }
}
