//! Backward: an unknown outcome is resolved, then what is done is undone.

use super::{Machine, PERSISTENCE, record::plain};
use crate::{
    message,
    payload::Payload,
    saga::{
        TargetKind,
        flow::What,
        run::{Execution, StepStatus, Trouble, Waiting},
    },
};

impl Machine<'_> {
    /// Calls off what is under way: what may have run is asked to say so, the rest is dropped.
    pub(super) fn call_off_all(&mut self) {
        let commands: Vec<_> = self.run.executions.iter().map(|e| e.command).collect();
        let name = self.row.name.clone();
        let why = self.run.error.clone();
        let why = why.unwrap_or_else(|| plain("voided", &name, "it was called off"));
        for command in commands {
            let Some(mut execution) = self.take(command) else {
                continue;
            };
            if let Some(answer) = execution.answer.take() {
                // What became of it is known already.
                execution.waiting = Waiting::Void;
                execution.why.get_or_insert_with(|| why.clone());
                self.heard(execution, &answer);
                continue;
            }
            if execution.waiting == Waiting::Void {
                self.keep(execution);
                continue;
            }
            let Some(index) = self.place(&execution) else {
                return self.keep(execution);
            };
            let sent = execution.waiting == Waiting::Reply && execution.attempt > 0;
            if sent && execution.changes {
                self.resolve(execution, why.clone());
            } else {
                self.note_of("called off", &execution, None);
                self.mark_given_up(index, StepStatus::Voided, None);
            }
        }
    }

    /// Asks the participant to void the command and to say what became of it.
    pub(super) fn resolve(&mut self, mut execution: Execution, why: Trouble) {
        execution.why = Some(why);
        execution.waiting = Waiting::Void;
        execution.attempt = 1;
        execution.paused = false;
        self.send_void(execution);
    }

    pub(super) fn void_again(&mut self, index: usize, mut execution: Execution) {
        // A saga says so when it has ended, however long that takes.
        if execution.attempt >= PERSISTENCE && !self.nested(index, false) {
            let text = format!(
                "nobody says whether it ran, after {} questions",
                execution.attempt
            );
            let why = plain("timed_out", &execution.step, &text);
            self.keep(execution);
            return self.stuck(why);
        }
        execution.attempt = execution.attempt.saturating_add(1);
        self.send_void(execution);
    }

    pub(super) fn send_void(&mut self, mut execution: Execution) {
        let Some(index) = self.place(&execution) else {
            return self.keep(execution);
        };
        let step = self.steps[index];
        let What::Remote(target) = step.what else {
            self.keep(execution);
            return self.misfit(step.name);
        };
        execution.sent_at = Some(self.env.now);
        execution.held = false;
        let wait = self.time_to_answer(index, &execution);
        let repetition = execution.attempt.saturating_sub(1);
        let wait = wait + self.pause(index, true, repetition);
        execution.due_at = Some(self.env.now + wait);
        if target.kind == TargetKind::Saga {
            self.call_off_child(&execution, target.name);
        } else {
            let kind = message::Kind::Void;
            self.message(kind, target.name, execution.command, Payload::null());
        }
        self.note_of("asked to void", &execution, None);
        self.keep(execution);
    }

    pub(super) fn undone(&mut self, index: usize) {
        self.mark(index, StepStatus::Compensated, None);
    }

    /// A compensation did definitely not run: a new execution of it, after a pause.
    pub(super) fn undo_failed(&mut self, index: usize, execution: &Execution, why: Trouble) {
        if let Some(step) = self.run.step(self.steps[index].name) {
            step.error = Some(why.clone());
        }
        if execution.before + 1 >= PERSISTENCE {
            return self.stuck(why);
        }
        self.execute(index, true, execution.before + 1);
    }

    /// A compensation was not answered in time: the same execution again.
    pub(super) fn undo_again(&mut self, index: usize, mut execution: Execution) {
        if execution.attempt >= PERSISTENCE {
            let text = format!(
                "its compensation was not answered after {} attempts",
                execution.attempt
            );
            let why = plain("timed_out", &execution.step, &text);
            self.keep(execution);
            return self.stuck(why);
        }
        execution.attempt += 1;
        self.send(index, execution);
    }
}
