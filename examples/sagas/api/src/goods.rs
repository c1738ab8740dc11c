//! Stock and shipping.

use minos::prelude::*;

/// Takes an article from the shelf.
#[contract("Reserve", reply = Reserved, error = StockError)]
pub struct Reserve {
    /// Which; "none" is sold out.
    pub article: String,
}

/// Puts it back.
#[contract("Release")]
pub struct Release {
    /// Which reservation.
    pub reservation: Uuid,
}

/// The reply to [`Reserve`].
#[model]
pub struct Reserved {
    /// The reservation.
    pub reservation: Uuid,
}

/// Why nothing is reserved.
#[error_model]
pub enum StockError {
    /// There is none.
    #[error(status = 409, "{article:?} is sold out")]
    SoldOut {
        /// What was asked for.
        article: String,
    },
}

/// Sends a parcel.
#[contract("Ship", reply = Shipped, error = ShipError)]
pub struct Ship {
    /// What is in it; "none" cannot be sent.
    pub article: String,
    /// Who brings it.
    pub carrier: Carrier,
}

/// Calls a parcel back.
#[contract("CallBack")]
pub struct CallBack {
    /// Which parcel.
    pub parcel: Uuid,
}

/// Who brings a parcel.
#[model]
#[derive(Copy, Eq)]
pub enum Carrier {
    /// The next morning.
    Express,
    /// By truck.
    Freight,
    /// Some day.
    Post,
}

/// The reply to [`Ship`].
#[model]
pub struct Shipped {
    /// The parcel.
    pub parcel: Uuid,
}

/// Why nothing is sent.
#[error_model]
pub enum ShipError {
    /// There is nothing in it.
    #[error(status = 422, "{article:?} cannot be sent")]
    Empty {
        /// What was to be sent.
        article: String,
    },
}
