//! Reserve, pay, ship; the payment is the pivot.

use desk::Order;
use desk_api::{
    Carrier, Paid, Pay, PaymentError, Release, Reserve, Reserved, Ship, Shipped, StockError,
};
use minos::testing::{CrashTest, End, SagaTest, saga};

use crate::id;

pub(crate) fn order(article: &str, amount: u64) -> Order {
    Order {
        number: "4711".to_owned(),
        article: article.to_owned(),
        amount,
        reservation: None,
        payment: None,
        parcel: None,
    }
}

fn reserve() -> Reserve {
    Reserve {
        article: "tea".to_owned(),
    }
}

fn ship() -> Ship {
    Ship {
        article: "tea".to_owned(),
        carrier: Carrier::Post,
    }
}

fn reserved() -> SagaTest<Order> {
    saga(order("tea", 7))
        .expect_sent(reserve())
        .reply(Reserved { reservation: id(1) })
}

fn paid() -> SagaTest<Order> {
    reserved()
        .expect_sent(Pay { amount: 7 })
        .reply(Paid { payment: id(2) })
}

#[test]
fn it_is_reserved_paid_and_shipped() {
    paid()
        .expect_sent(ship())
        .reply(Shipped { parcel: id(3) })
        .expect_end(End::Completed)
        .expect_state(Order {
            reservation: Some(id(1)),
            payment: Some(id(2)),
            parcel: Some(id(3)),
            ..order("tea", 7)
        });
}

#[test]
fn what_is_sold_out_is_not_paid() {
    let article = "tea".to_owned();
    saga(order("tea", 7))
        .expect_sent(reserve())
        .refuse(StockError::SoldOut { article })
        .expect_nothing_sent()
        .expect_end(End::Compensated);
}

#[test]
fn what_cannot_be_paid_goes_back_on_the_shelf() {
    reserved()
        .expect_sent(Pay { amount: 7 })
        .refuse(PaymentError::Declined { amount: 7 })
        .expect_compensated(Release { reservation: id(1) })
        .reply(())
        .expect_nothing_sent()
        .expect_end(End::Compensated);
}

#[test]
fn a_bank_that_does_not_answer_is_asked_whether_it_took_the_money() {
    let asked = || {
        reserved()
            .expect_sent(Pay { amount: 7 })
            .time_out()
            .expect_void::<Pay>()
    };
    asked()
        .voided()
        .expect_compensated(Release { reservation: id(1) })
        .reply(())
        .expect_end(End::Compensated);
    // It did: the pivot is passed.
    asked()
        .reply(Paid { payment: id(2) })
        .expect_sent(ship())
        .expect_end(End::Running);
}

#[test]
fn after_the_payment_it_is_shipped_however_long_it_takes() {
    let mut test = paid();
    for _ in 0..10 {
        test = test
            .expect_sent(ship())
            .fail("no truck today")
            .expect_nothing_sent()
            .expect_end(End::Running)
            // The next attempt is due.
            .time_out();
    }
    test.expect_sent(ship())
        .reply(Shipped { parcel: id(3) })
        .expect_end(End::Completed);
}

#[minos::crash_test(desk::service(), shops::service())]
fn an_order_survives_every_crash() -> Order {
    order("tea", 7)
}

#[minos::crash_test(desk::service(), shops::service())]
fn an_order_that_is_undone_survives_every_crash_and_a_second_one() -> CrashTest<Order> {
    // The bank declines.
    CrashTest::of(order("tea", 0)).twice(9)
}
