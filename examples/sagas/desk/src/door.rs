//! The doors: each starts a saga and says which; one brings what a person decided.

use desk_api::Decide;
use minos::prelude::*;

use crate::{Delivery, Holiday, Loan, Order, Renewal, Trip};

/// Starts sagas.
#[derive(Debug, Default)]
pub struct Desk;

/// The parameter of `/loans/{saga}/decision`.
#[model]
pub struct LoanPath {
    /// Which loan.
    pub saga: Uuid,
}

#[command_service]
impl Desk {
    /// Order something. Who asks twice with one number has ordered once.
    #[enroute::rest::command("/orders", "POST")]
    async fn order(&self, cx: &Context, request: Request<Order>) -> Result<Accepted<SagaId>> {
        let order = request.into_content();
        cx.start_once(order.number.clone(), order).await
    }

    /// Book a trip.
    #[enroute::rest::command("/trips", "POST")]
    async fn trip(&self, cx: &Context, request: Request<Trip>) -> Result<Accepted<SagaId>> {
        cx.start(request.into_content())
    }

    /// Ask for a loan.
    #[enroute::rest::command("/loans", "POST")]
    async fn loan(&self, cx: &Context, request: Request<Loan>) -> Result<Accepted<SagaId>> {
        cx.start(request.into_content())
    }

    /// Decide about a loan.
    #[enroute::rest::command("/loans/{saga}/decision", "POST")]
    async fn decide(&self, cx: &Context, request: Request<Decide, LoanPath>) -> Result<()> {
        let (decision, path) = request.into_parts();
        cx.signal(SagaId { saga: path.saga }, decision)
    }

    /// Book a holiday.
    #[enroute::rest::command("/holidays", "POST")]
    async fn holiday(&self, cx: &Context, request: Request<Holiday>) -> Result<Accepted<SagaId>> {
        cx.start(request.into_content())
    }

    /// Send something.
    #[enroute::rest::command("/deliveries", "POST")]
    async fn deliver(&self, cx: &Context, request: Request<Delivery>) -> Result<Accepted<SagaId>> {
        cx.start(request.into_content())
    }

    /// Renew a subscription.
    #[enroute::rest::command("/renewals", "POST")]
    async fn renew(&self, cx: &Context, request: Request<Renewal>) -> Result<Accepted<SagaId>> {
        cx.start(request.into_content())
    }
}
