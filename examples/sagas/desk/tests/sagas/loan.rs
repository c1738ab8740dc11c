//! A person decides.

use std::time::Duration;

use desk::Loan;
use desk_api::{AccountError, Decide, Earmark, Earmarked, PayOut, Unearmark};
use minos::{
    Result,
    testing::{CrashTest, End, SagaTest, saga},
};

use crate::id;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn loan() -> Loan {
    Loan {
        customer: "Ada".to_owned(),
        amount: 1000,
        account: None,
        decided_by: None,
        lapsed: false,
    }
}

fn decision(yes: bool) -> Decide {
    Decide {
        yes,
        by: "Grace".to_owned(),
    }
}

fn asked() -> SagaTest<Loan> {
    saga(loan()).expect_sent(Earmark {
        customer: "Ada".to_owned(),
        amount: 1000,
    })
}

fn earmarked() -> SagaTest<Loan> {
    asked().reply(Earmarked { account: id(1) })
}

#[test]
fn it_is_paid_out_when_somebody_says_yes() {
    earmarked()
        .expect_nothing_sent()
        .pass(6 * DAY)
        .expect_end(End::Running)
        .signal(decision(true))
        .expect_sent(PayOut { account: id(1) })
        .reply(())
        .expect_end(End::Completed)
        .expect_state(Loan {
            account: Some(id(1)),
            decided_by: Some("Grace".to_owned()),
            ..loan()
        });
}

#[test]
fn a_decision_may_come_before_the_money_is_set_aside() {
    asked()
        .signal(decision(true))
        .expect_nothing_sent()
        .reply(Earmarked { account: id(1) })
        .expect_sent(PayOut { account: id(1) })
        .reply(())
        .expect_end(End::Completed);
}

#[test]
fn a_no_sets_the_money_free() {
    earmarked()
        .signal(decision(false))
        .expect_compensated(Unearmark { account: id(1) })
        .reply(())
        .expect_end(End::Compensated);
}

#[test]
fn nobody_decides_for_a_week() {
    earmarked()
        .pass(7 * DAY)
        .expect_compensated(Unearmark { account: id(1) })
        .reply(())
        .expect_end(End::Compensated)
        .expect_state(Loan {
            account: Some(id(1)),
            lapsed: true,
            ..loan()
        });
}

#[test]
fn a_loan_of_nothing_is_refused() {
    asked()
        .refuse(AccountError::Nothing)
        .expect_nothing_sent()
        .expect_end(End::Compensated);
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_loan_survives_every_crash() -> CrashTest<Loan> {
    decided(true).unwrap()
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_loan_that_nobody_decides_about_survives_every_crash() -> Loan {
    loan()
}

fn decided(yes: bool) -> Result<CrashTest<Loan>> {
    CrashTest::of(loan()).signal(&decision(yes))
}
