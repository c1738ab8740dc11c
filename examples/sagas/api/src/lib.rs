//! What the sagas send and the participants answer. Each participant refuses one special thing, so that every way a
//! saga can go may be tried by hand.

mod bank;
mod goods;
mod travel;

pub use self::{
    bank::{
        AccountError, Charge, Decide, Earmark, Earmarked, Paid, Pay, PayOut, PaymentError, Refund,
        Unearmark,
    },
    goods::{CallBack, Carrier, Release, Reserve, Reserved, Ship, ShipError, Shipped, StockError},
    travel::{
        BookCar, BookFlight, BookHotel, Booked, CancelCar, CancelFlight, CancelHotel, CancelPolicy,
        CancelTrip, FullyBooked, Insure, Insured, TooRisky,
    },
};
