// Every right form of a condition, a choice, a group, a pause, a lapse, a wait, and a saga in a saga.
use std::time::Duration;

use minos::{
    prelude::*,
    saga::{Action, Saga, TargetKind},
};

minos::service!("ui");

#[contract]
pub struct Book {
    pub what: String,
}

#[contract("trip.cancel")]
pub struct Cancel {
    pub what: String,
}

#[contract(query, reply = u32)]
pub struct Price {
    pub what: String,
}

#[contract]
pub struct Approve {
    pub yes: bool,
}

#[contract(event)]
pub struct Paid {
    pub cents: u32,
}

#[model]
pub struct Trip {
    pub cents: u32,
    pub approved: bool,
    pub invoice: Option<Invoice>,
}

#[saga]
impl Trip {
    // A group: each is undone, a query need not be, and one of them has a condition.
    #[step(parallel = booking, compensate = cancel)]
    fn book_hotel(&self) -> Book {
        book("hotel")
    }

    #[step(parallel = booking, compensate = cancel, when = is_far)]
    fn book_flight(&self) -> Book {
        book("flight")
    }

    #[step(parallel = booking, on_success = priced)]
    fn price(&self) -> Price {
        Price {
            what: String::new(),
        }
    }

    fn cancel(&self) -> Cancel {
        Cancel {
            what: String::new(),
        }
    }

    fn priced(&mut self, cents: u32) {
        self.cents = cents;
    }

    // A condition alone.
    #[step(when = is_far, compensate = cancel)]
    fn insure(&self) -> Book {
        book("insurance")
    }

    const fn is_far(&self) -> bool {
        self.cents > 1
    }

    // A choice: a branch of two steps, one of one, and "otherwise". They exclude each other, so that the last of a
    // branch is undone only for what comes behind the choice.
    #[step(choice = way, when = is_cheap, compensate = cancel)]
    fn train(&self) -> Book {
        book("train")
    }

    #[step(choice = way, when = is_cheap, compensate = nothing)]
    async fn note(&mut self, cx: &Context) -> Result<()> {
        let _ = cx.now();
        Ok(())
    }

    fn nothing(&mut self, _: &Context) {}

    #[step(choice = way, when = is_far, compensate = cancel)]
    fn ship(&self) -> Book {
        book("ship")
    }

    #[step(choice = way, no_compensation = "nobody pays for it")]
    fn walk(&self) -> Book {
        book("walk")
    }

    const fn is_cheap(&self) -> bool {
        self.cents < 10
    }

    // It waits for a person, and then for an event; a wait may be the pivot.
    #[step(signal, timeout = "3d", on_timeout = lapsed)]
    fn approve(&mut self, decision: Approve) -> Verdict {
        match decision.yes {
            true => Verdict::Continue,
            false => Verdict::Compensate,
        }
    }

    fn lapsed(&mut self) -> Verdict {
        self.approved = false;
        Verdict::Compensate
    }

    #[step(signal, pivot)]
    fn paid(&mut self, paid: Paid) {
        self.cents -= paid.cents;
    }

    // After the pivot a step is tried again as often as it takes, with its own pauses.
    #[step(backoff = "1m", max_backoff = "1d")]
    fn thank(&self) -> Book {
        book("flowers")
    }

    // Another saga: its reply is its last state.
    #[step(on_success = invoiced, timeout = "1h", on_timeout = late)]
    fn invoice(&self) -> Invoice {
        Invoice { cents: self.cents }
    }

    fn invoiced(&mut self, invoice: Invoice) {
        self.invoice = Some(invoice);
    }

    fn late(&self) -> minos::Result<Verdict> {
        Ok(Verdict::Retry)
    }
}

fn book(what: &str) -> Book {
    Book {
        what: what.to_owned(),
    }
}

#[model]
pub struct Invoice {
    pub cents: u32,
}

#[saga]
impl Invoice {
    // Only one branch of two may run: the steps in them need no compensation for each other.
    #[step(choice = size, when = is_big)]
    fn by_post(&self) -> Book {
        book("stamp")
    }

    #[step(choice = size, retry = 3, backoff = "1s")]
    fn by_mail(&self) -> Book {
        book("mail")
    }

    const fn is_big(&self) -> bool {
        self.cents > 100
    }
}

fn main() {
    let step = |name: &str| Trip::STEPS.iter().find(|s| s.name == name).unwrap();
    assert_eq!(step("book_hotel").parallel, Some("booking"));
    let flight = step("book_flight");
    assert_eq!(flight.when.as_ref().map(|w| w.name), Some("is_far"));
    let trip = Trip {
        cents: 5,
        approved: true,
        invoice: None,
    };
    assert!(flight.when.as_ref().is_some_and(|w| (w.holds)(&trip)));
    assert_eq!(step("insure").choice, None);
    let walk = step("walk");
    assert!(walk.choice == Some("way") && walk.when.is_none());
    let approve = step("approve");
    assert!(matches!(approve.run, Action::Wait("Approve", _)));
    assert!(approve.on_timeout.is_some());
    assert!(step("paid").pivot && matches!(step("paid").run, Action::Wait("Paid", _)));
    let thank = step("thank");
    assert_eq!(thank.backoff, Some(Duration::from_secs(60)));
    assert_eq!(thank.max_backoff, Some(Duration::from_secs(86_400)));
    assert!(matches!(
        step("invoice").run,
        Action::Remote(target, _) if target.kind == TargetKind::Saga && target.name == "Invoice"
    ));
    assert!(Trip::DIAGRAM.contains("at once: booking"));
}
