//! A picture of a saga: a flowchart in Mermaid.

use std::fmt::Write as _;

use syn::Type;

use super::{
    Model, Shape, Step,
    layout::{Unit, units},
};
use crate::syntax::{type_name, unraw};

/// The text of the diagram. Top to bottom are the steps, dotted to the side what undoes them.
pub(super) fn diagram(model: &Model) -> String {
    let mut chart = Chart {
        model,
        text: "flowchart TD\n".to_owned(),
        open: Vec::new(),
    };
    let within = model.deadline.map(|d| format!("<br/>within {}", span(d)));
    let within = within.unwrap_or_default();
    chart.line(&format!("start([\"{}{within}\"])", model.name));
    chart.open.push(("start".to_owned(), None));
    for unit in units(model) {
        chart.unit(&unit);
    }
    chart.enter("done");
    chart.line("done([\"completed\"])");
    chart.text
}

struct Chart<'a> {
    model: &'a Model,
    text: String,
    /// The nodes whose next one is not known yet, and what is said on the way.
    open: Vec<(String, Option<&'static str>)>,
}

impl Chart<'_> {
    fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "    {line}");
    }

    /// All open ends lead to this node.
    fn enter(&mut self, node: &str) {
        for (from, label) in std::mem::take(&mut self.open) {
            match label {
                Some(label) => self.line(&format!("{from} -->|{label}| {node}")),
                None => self.line(&format!("{from} --> {node}")),
            }
        }
    }

    fn unit(&mut self, unit: &Unit<'_>) {
        match unit {
            Unit::Step(index) => self.step(*index),
            Unit::Group(name, steps) => {
                let before = std::mem::take(&mut self.open);
                let mut after = Vec::new();
                self.line(&format!(
                    "subgraph {} [\"at once: {name}\"]",
                    id("group", steps.start)
                ));
                for index in steps.clone() {
                    self.node(index);
                }
                self.line("end");
                for index in steps.clone() {
                    self.open.clone_from(&before);
                    self.way(index);
                    after.append(&mut self.open);
                }
                self.open = after;
            }
            Unit::Choice(name, branches) => {
                let start = branches.first().map_or(0, |b| b.steps.start);
                let choice = id("choice", start);
                self.enter(&choice);
                self.line(&format!("{choice}{{\"{name}\"}}"));
                let mut after = Vec::new();
                for branch in branches {
                    let first = id("step", branch.steps.start);
                    let when = branch.when.map_or_else(|| "otherwise".to_owned(), unraw);
                    self.line(&format!("{choice} -->|{when}| {first}"));
                    for index in branch.steps.clone() {
                        self.enter(&id("step", index));
                        self.node(index);
                        self.undo(index);
                        self.open.push((id("step", index), None));
                    }
                    after.append(&mut self.open);
                }
                if branches.iter().all(|b| b.when.is_some()) {
                    after.push((choice, Some("otherwise")));
                }
                self.open = after;
            }
        }
    }

    fn step(&mut self, index: usize) {
        self.way(index);
        self.node(index);
    }

    /// The way into a step and out of it, past it if it has a condition.
    fn way(&mut self, index: usize) {
        let Some(step) = self.model.steps.get(index) else {
            return;
        };
        let node = id("step", index);
        let mut past = None;
        if let Some(when) = &step.when {
            let question = id("when", index);
            self.enter(&question);
            self.line(&format!("{question}{{\"{}\"}}", unraw(&when.ident)));
            self.open.push((question.clone(), Some("yes")));
            past = Some((question, Some("no")));
        }
        self.enter(&node);
        self.undo(index);
        self.open.push((node, None));
        self.open.extend(past);
    }

    fn node(&mut self, index: usize) {
        let Some(step) = self.model.steps.get(index) else {
            return;
        };
        let mut text = format!("{}<br/>{}{}", step.name(), does(&step.shape), time(step));
        let (open, close) = match &step.shape {
            _ if step.is_pivot() => {
                text.push_str("<br/>pivot");
                ("{{", "}}")
            }
            Shape::Wait(_) => ("[/", "/]"),
            Shape::Local(_) | Shape::Remote(_) => ("[", "]"),
        };
        self.line(&format!("{}{open}\"{text}\"{close}", id("step", index)));
    }

    fn undo(&mut self, index: usize) {
        let undo = self
            .model
            .steps
            .get(index)
            .and_then(|s| s.compensate.as_ref());
        if let Some((ident, shape)) = undo {
            let text = format!("{}<br/>{}", unraw(ident), does(shape));
            let (step, undo) = (id("step", index), id("undo", index));
            self.line(&format!("{step} -.->|undone by| {undo}([\"{text}\"])"));
        }
    }
}

/// The nodes are numbered: names of methods may be words of Mermaid.
fn id(kind: &str, index: usize) -> String {
    format!("{kind}{index}")
}

/// What time means for a step: how long it waits, and how often it is tried again.
fn time(step: &Step) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some((timeout, _)) = step.keys.timeout {
        let _ = write!(text, "<br/>within {}", span(timeout));
    }
    if let Some((times, _)) = step.keys.retry {
        let _ = write!(text, "<br/>again up to {times} times");
        if let Some((backoff, _)) = step.keys.backoff {
            let _ = write!(text, " after {}", span(backoff));
        }
    }
    if let Some(callback) = &step.on_timeout {
        let _ = write!(text, "<br/>else {}", unraw(&callback.ident));
    }
    text
}

/// Milliseconds in the largest unit that fits.
fn span(millis: u64) -> String {
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ];
    let fits = |(_, size): &(&str, u64)| millis >= *size && millis.is_multiple_of(*size);
    match units.into_iter().find(fits) {
        Some((unit, size)) => format!("{}{unit}", millis / size),
        None => format!("{millis}ms"),
    }
}

fn does(shape: &Shape) -> String {
    let name = |ty: &Type| type_name(ty).replace('"', "'");
    match shape {
        Shape::Remote(sent) => format!("calls {}", name(sent)),
        Shape::Local(_) => "local".to_owned(),
        Shape::Wait(wait) => format!("waits for {}", name(&wait.signal)),
    }
}
