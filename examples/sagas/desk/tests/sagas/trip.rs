//! Hotel, flight, and car at once.

use desk::Trip;
use desk_api::{
    BookCar, BookFlight, BookHotel, Booked, CancelCar, CancelFlight, CancelHotel, FullyBooked,
    Paid, Pay, PaymentError,
};
use minos::testing::{End, SagaTest, saga};

use crate::id;

pub(crate) fn trip(city: &str) -> Trip {
    Trip {
        city: city.to_owned(),
        amount: 900,
        hotel: None,
        flight: None,
        car: None,
        payment: None,
    }
}

pub(crate) fn city(city: &str) -> String {
    city.to_owned()
}

fn booking(number: u128) -> Booked {
    Booked {
        booking: id(number),
    }
}

/// All three are asked before one has answered.
fn asked() -> SagaTest<Trip> {
    saga(trip("rome"))
        .expect_sent(BookHotel { city: city("rome") })
        .expect_sent(BookFlight { city: city("rome") })
        .expect_sent(BookCar { city: city("rome") })
        .expect_nothing_sent()
}

fn booked() -> SagaTest<Trip> {
    asked()
        .reply_to::<BookFlight>(booking(2))
        .reply_to::<BookCar>(booking(3))
        .expect_nothing_sent()
        .reply_to::<BookHotel>(booking(1))
        .expect_sent(Pay { amount: 900 })
}

#[test]
fn it_is_booked_in_any_order_and_then_paid() {
    booked()
        .reply(Paid { payment: id(4) })
        .expect_end(End::Completed)
        .expect_state(Trip {
            hotel: Some(id(1)),
            flight: Some(id(2)),
            car: Some(id(3)),
            payment: Some(id(4)),
            ..trip("rome")
        });
}

#[test]
fn without_a_car_the_others_are_awaited_and_cancelled() {
    asked()
        .reply_to::<BookHotel>(booking(1))
        .refuse_to::<BookCar>(FullyBooked::Full {
            what: "a car".to_owned(),
            city: city("rome"),
        })
        // The flight may be booked by now: it is asked for, and nothing is undone before it says so.
        .expect_void::<BookFlight>()
        .expect_nothing_sent()
        .reply_to::<BookFlight>(booking(2))
        .expect_compensated(CancelHotel { booking: id(1) })
        .expect_compensated(CancelFlight { booking: id(2) })
        .reply(())
        .reply(())
        .expect_nothing_sent()
        .expect_end(End::Compensated);
}

#[test]
fn what_is_not_paid_is_cancelled_together() {
    booked()
        .refuse(PaymentError::Declined { amount: 900 })
        .expect_compensated(CancelHotel { booking: id(1) })
        .expect_compensated(CancelFlight { booking: id(2) })
        .expect_compensated(CancelCar { booking: id(3) })
        .reply(())
        .reply(())
        .expect_end(End::Compensating)
        .reply(())
        .expect_end(End::Compensated);
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_trip_survives_every_crash() -> Trip {
    trip("rome")
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_trip_without_a_car_survives_every_crash() -> Trip {
    trip("venice")
}
