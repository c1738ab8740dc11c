//! A choice between carriers, and an insurance for what is worth it.

use desk::Delivery;
use desk_api::{
    CallBack, CancelPolicy, Carrier, Insure, Insured, Paid, Pay, PaymentError, Ship, ShipError,
    Shipped,
};
use minos::testing::{End, SagaTest, saga};

use crate::id;

fn piano() -> Delivery {
    Delivery {
        article: "piano".to_owned(),
        worth: 5000,
        kilos: 300,
        urgent: false,
        amount: 200,
        policy: None,
        parcel: None,
        payment: None,
    }
}

fn letter() -> Delivery {
    Delivery {
        article: "letter".to_owned(),
        worth: 0,
        kilos: 0,
        amount: 1,
        ..piano()
    }
}

fn ship(article: &str, carrier: Carrier) -> Ship {
    let article = article.to_owned();
    Ship { article, carrier }
}

fn insured() -> SagaTest<Delivery> {
    saga(piano())
        .expect_sent(Insure {
            what: "piano".to_owned(),
        })
        .reply(Insured { policy: id(1) })
        .expect_sent(ship("piano", Carrier::Freight))
}

#[test]
fn a_piano_is_insured_and_goes_by_freight() {
    insured()
        .reply(Shipped { parcel: id(2) })
        .expect_sent(Pay { amount: 200 })
        .reply(Paid { payment: id(3) })
        .expect_end(End::Completed)
        .expect_state(Delivery {
            policy: Some(id(1)),
            parcel: Some(id(2)),
            payment: Some(id(3)),
            ..piano()
        });
}

#[test]
fn a_letter_goes_by_post_and_an_urgent_one_by_express() {
    for (urgent, carrier) in [(false, Carrier::Post), (true, Carrier::Express)] {
        saga(Delivery { urgent, ..letter() })
            .expect_sent(ship("letter", carrier))
            .reply(Shipped { parcel: id(2) })
            .expect_sent(Pay { amount: 1 })
            .reply(Paid { payment: id(3) })
            .expect_nothing_sent()
            .expect_end(End::Completed);
    }
}

#[test]
fn what_is_not_paid_is_undone_in_reverse() {
    insured()
        .reply(Shipped { parcel: id(2) })
        .expect_sent(Pay { amount: 200 })
        .refuse(PaymentError::Declined { amount: 200 })
        .expect_compensated(CallBack { parcel: id(2) })
        .expect_nothing_sent()
        .reply(())
        .expect_compensated(CancelPolicy { policy: id(1) })
        .reply(())
        .expect_end(End::Compensated);
}

#[test]
fn what_did_not_run_is_not_undone() {
    let article = "letter".to_owned();
    saga(letter())
        .expect_sent(ship("letter", Carrier::Post))
        .refuse(ShipError::Empty { article })
        .expect_nothing_sent()
        .expect_end(End::Compensated);
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_delivery_survives_every_crash() -> Delivery {
    piano()
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_delivery_that_nobody_pays_survives_every_crash() -> Delivery {
    Delivery {
        amount: 0,
        ..piano()
    }
}
