//! A saga in a saga.

use desk::{Holiday, Trip};
use desk_api::{
    BookCar, BookFlight, BookHotel, Booked, CancelCar, CancelFlight, CancelHotel, CancelTrip,
    Insure, Insured, Paid, Pay, PaymentError, TooRisky,
};
use minos::testing::{End, SagaTest, saga};

use crate::{
    id,
    trip::{city, trip},
};

fn holiday(sport: &str) -> Holiday {
    Holiday {
        city: city("rome"),
        amount: 900,
        sport: sport.to_owned(),
        trip: None,
        policy: None,
    }
}

/// The trip's own messages: its three bookings are done.
fn booked(sport: &str) -> SagaTest<Holiday> {
    let booking = |number| Booked {
        booking: id(number),
    };
    saga(holiday(sport))
        .expect_sent(BookHotel { city: city("rome") })
        .expect_sent(BookFlight { city: city("rome") })
        .expect_sent(BookCar { city: city("rome") })
        .reply_to::<BookHotel>(booking(1))
        .reply_to::<BookFlight>(booking(2))
        .reply_to::<BookCar>(booking(3))
        .expect_sent(Pay { amount: 900 })
}

#[test]
fn the_trip_is_booked_and_insured() {
    booked("chess")
        .reply(Paid { payment: id(4) })
        .expect_sent(Insure {
            what: "chess".to_owned(),
        })
        .reply(Insured { policy: id(5) })
        .expect_end(End::Completed)
        .expect_state(Holiday {
            trip: Some(Trip {
                hotel: Some(id(1)),
                flight: Some(id(2)),
                car: Some(id(3)),
                payment: Some(id(4)),
                ..trip("rome")
            }),
            policy: Some(id(5)),
            ..holiday("chess")
        });
}

#[test]
fn a_trip_that_undid_itself_leaves_nothing_to_undo() {
    booked("chess")
        .refuse(PaymentError::Declined { amount: 900 })
        .expect_compensated(CancelHotel { booking: id(1) })
        .expect_compensated(CancelFlight { booking: id(2) })
        .expect_compensated(CancelCar { booking: id(3) })
        .reply(())
        .reply(())
        .reply(())
        .expect_nothing_sent()
        .expect_end(End::Compensated);
}

#[test]
fn a_trip_that_nobody_insures_is_cancelled() {
    let what = "volcano".to_owned();
    booked("volcano")
        .reply(Paid { payment: id(4) })
        .expect_sent(Insure { what: what.clone() })
        .refuse(TooRisky::Risk { what })
        .expect_compensated(CancelTrip {
            hotel: id(1),
            flight: id(2),
            car: id(3),
            payment: id(4),
        })
        .reply(())
        .expect_end(End::Compensated);
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_holiday_survives_every_crash() -> Holiday {
    holiday("chess")
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_holiday_that_nobody_insures_survives_every_crash() -> Holiday {
    holiday("volcano")
}
