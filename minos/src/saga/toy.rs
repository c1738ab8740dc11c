//! Sagas written by hand, for tests of what runs them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Action, Saga, Signal, Step, StepTarget, Target, TargetKind, Verdict,
    flow::{self, Flow, local, send},
};
use crate::{
    context::Context,
    enroute::At,
    error::{Error, Kind, Never, Result},
    message::{Contract, ContractKind},
    model::Model,
    payload::Payload,
};

/// Waits for a person, and notes the decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Loan {
    pub(crate) decision: Option<String>,
    pub(crate) noted: bool,
}

/// Starts a loan as a step, then may fail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct House {
    pub(crate) loan: Option<Loan>,
    pub(crate) fails: bool,
    pub(crate) returned: bool,
}

/// Sends a command that nobody takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Shout {}

/// Starts itself as a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Circle {}

/// Starts a saga that no service has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Lost {}

/// Starts a saga that is stuck at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Street {}

/// What the person decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Decided {
    pub(crate) text: String,
}

impl Model for Decided {}

impl Contract for Decided {
    const NAME: &'static str = "Decided";
    const KIND: ContractKind = ContractKind::Event;
    type Reply = ();
    type Error = Never;
}

impl Signal for Decided {}

macro_rules! sagas {
    ($($saga:ident: $steps:expr;)*) => { $(
        impl Model for $saga {}

        impl StepTarget for $saga {
            const KIND: TargetKind = TargetKind::Saga;
            const NAME: &'static str = stringify!($saga);
            type Reply = Self;
            type Error = Never;
        }

        impl Saga for $saga {
            const STEPS: &'static [Step<Self>] = $steps;
            const DEADLINE: Option<Duration> = None;
            const AT: At = At::new(stringify!($saga), file!(), line!());
        }
    )* };
}

const HERE: At = At::new("toy", file!(), line!());

const fn saga(name: &'static str) -> Target {
    Target {
        kind: TargetKind::Saga,
        name,
    }
}

sagas! {
    Loan: &[
        Step::new("decision", HERE, Action::Wait("Decided", |loan: &mut Loan, content| {
            let decided: Decided = content.decode()?;
            let no = decided.text == "no";
            loan.decision = Some(decided.text);
            Ok(if no { Verdict::Compensate } else { Verdict::Continue })
        })),
        Step::new("note", HERE, Action::Local(|loan, cx| local(note(loan, cx)))),
    ];
    House: &[
        Step::new("lend", HERE, Action::Remote(saga("Loan"), |_: &House| send(&Loan::default())))
            .on_success(|house: &mut House, reply: &Payload| {
                house.loan = Some(reply.decode()?);
                Ok(Verdict::Continue)
            })
            .compensate(Action::Local(|house, cx| local(give_back(house, cx)))),
        Step::new("build", HERE, Action::Local(|house, cx| local(build(house, cx)))),
    ];
    Shout: &[Step::new("shout", HERE, Action::Remote(
        Target { kind: TargetKind::Command, name: "Listen" },
        |_| Ok(super::Outgoing {
            kind: TargetKind::Command,
            name: "Listen",
            payload: Payload::null(),
        }),
    ))];
    Circle: &[Step::new("again", HERE, Action::Remote(saga("Circle"), |_| send(&Circle {})))];
    Street: &[Step::new("lose", HERE, Action::Remote(saga("Lost"), |_| send(&Lost {})))];
    Lost: &[Step::new("lose", HERE, Action::Remote(saga("Nobody"), |_| Ok(super::Outgoing {
        kind: TargetKind::Saga,
        name: "Nobody",
        payload: Payload::null(),
    })))];
}

async fn note(loan: &mut Loan, cx: &Context) -> Result<()> {
    loan.noted = cx.service() != "";
    Ok(())
}

async fn build(house: &mut House, _: &Context) -> Result<()> {
    match house.fails {
        true => Err(Error::new(Kind::Invalid, "it fell down")),
        false => Ok(()),
    }
}

async fn give_back(house: &mut House, _: &Context) -> Result<()> {
    house.returned = true;
    Ok(())
}

/// All of them, as a service has them.
pub(crate) fn sagas() -> BTreeMap<&'static str, Arc<dyn Flow>> {
    let flows = [
        flow::of::<Loan>(),
        flow::of::<House>(),
        flow::of::<Shout>(),
        flow::of::<Circle>(),
        flow::of::<Lost>(),
        flow::of::<Street>(),
    ];
    flows.into_iter().map(|f| (f.name(), f)).collect()
}

/// The same service, built at another time: nothing is lent for its houses.
pub(crate) mod elsewhere {
    use super::*;

    /// A house that is only built.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub(crate) struct House {
        loan: Option<Loan>,
        fails: bool,
        returned: bool,
    }

    sagas! {
        House: &[Step::new("build", HERE, Action::Local(|house, cx| local(build(house, cx))))];
    }

    async fn build(house: &mut House, _: &Context) -> Result<()> {
        match house.fails {
            true => Err(Error::new(Kind::Invalid, "it fell down elsewhere")),
            false => Ok(()),
        }
    }

    /// All of them.
    pub(crate) fn sagas() -> BTreeMap<&'static str, Arc<dyn Flow>> {
        let house = flow::of::<House>();
        BTreeMap::from([(house.name(), house)])
    }
}
