//! The service `desk`: six sagas, and the doors that start them. Each saga is a file of its own, with its diagram next
//! to it.

mod delivery;
mod door;
mod holiday;
mod loan;
mod order;
mod renewal;
mod trip;

pub use self::{
    delivery::Delivery,
    door::{Desk, LoanPath},
    holiday::Holiday,
    loan::Loan,
    order::Order,
    renewal::{Renewal, Term, TermDiff},
    trip::Trip,
};

minos::service!("desk");
