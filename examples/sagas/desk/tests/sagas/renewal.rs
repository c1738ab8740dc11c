//! Retries over days, on a clock that stands still.

use std::time::Duration;

use desk::{Renewal, Term};
use desk_api::{Charge, Paid, PaymentError};
use minos::{
    prelude::*,
    testing::{CrashTest, End, SagaTest, saga},
};

use crate::id;

const HOUR: Duration = Duration::from_secs(3600);

fn renewal(funded_at: DateTime<Utc>) -> Renewal {
    Renewal {
        subscriber: "Ada".to_owned(),
        amount: 9,
        funded_at,
        term: None,
        declined: 0,
        payment: None,
    }
}

fn charge() -> Charge {
    Charge {
        amount: 9,
        funded_at: DateTime::UNIX_EPOCH,
    }
}

fn declined() -> PaymentError {
    PaymentError::Declined { amount: 9 }
}

/// How many terms there are.
fn expect_terms(test: SagaTest<Renewal>, number: usize) -> SagaTest<Renewal> {
    test.expect(move |cx| {
        Box::pin(async move {
            let terms = Term::find(cx, Term::fields().subscriber.eq("Ada")).await?;
            assert_eq!(terms.len(), number);
            Ok(())
        })
    })
}

#[test]
fn it_is_paid_at_once() {
    let test = saga(renewal(DateTime::UNIX_EPOCH))
        .expect_sent(charge())
        .reply(Paid { payment: id(1) })
        .expect_nothing_sent()
        .expect_end(End::Completed);
    expect_terms(test, 1);
}

#[test]
fn the_money_is_asked_for_again_for_days() {
    let mut test = saga(renewal(DateTime::UNIX_EPOCH)).expect_sent(charge());
    // At least so long, and at most a tenth longer; never longer than two days.
    for hours in [12, 24, 48] {
        test = test
            .refuse(declined())
            .pass(HOUR * hours - HOUR)
            .expect_nothing_sent()
            .expect_end(End::Running)
            .pass(HOUR + HOUR * hours / 10)
            .expect_sent(charge());
    }
    let test = test
        .reply(Paid { payment: id(1) })
        .expect_end(End::Completed);
    let state = test.state();
    assert_eq!((state.declined, state.payment), (3, Some(id(1))));
    expect_terms(test, 1);
}

#[test]
fn without_money_the_term_ends() {
    let mut test = saga(renewal(DateTime::UNIX_EPOCH)).expect_sent(charge());
    for _ in 0..5 {
        test = expect_terms(test.refuse(declined()).time_out(), 1).expect_sent(charge());
    }
    let test = test
        .refuse(declined())
        .expect_nothing_sent()
        .expect_end(End::Compensated);
    let state = test.state();
    assert_eq!((state.declined, state.term), (6, None));
    expect_terms(test, 0);
}

#[test]
fn a_bank_that_does_not_answer_is_asked_again_about_the_same_payment() {
    saga(renewal(DateTime::UNIX_EPOCH))
        .expect_sent(charge())
        .time_out()
        .expect_nothing_sent()
        .time_out()
        .expect_sent(charge())
        .reply(Paid { payment: id(1) })
        .expect_end(End::Completed);
}

/// There is money after two days: until then the bank declines.
#[minos::crash_test(desk::service(), shops::service())]
fn a_renewal_survives_every_crash() -> CrashTest<Renewal> {
    CrashTest::made(|cx| {
        let funded_at = cx.now() + HOUR * 50;
        Box::pin(async move { Ok(renewal(funded_at)) })
    })
}
