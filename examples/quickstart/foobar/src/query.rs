//! What is known of foobars.

use minos::{error::Kind, prelude::*};

use crate::FooBar;

/// Answers questions about foobars.
#[derive(Debug, Default)]
pub struct FooBarQueryService;

/// A foobar as it is shown.
#[read_model]
pub struct FooBarView {
    /// Its id.
    #[key]
    pub uuid: Uuid,
    /// Its number.
    pub number: i32,
    /// What it says.
    pub text: String,
}

/// The parameter of `/foobars/{uuid}`.
#[model]
pub struct FooBarPath {
    /// Which foobar.
    pub uuid: Uuid,
}

#[query_service]
impl FooBarQueryService {
    /// A foobar is new: so is its view.
    #[enroute::broker::event("FooBarCreated")]
    async fn foobar_created(&self, cx: &Context, event: Request<Created<FooBar>>) -> Result<()> {
        let Created { meta, state } = event.into_content();
        let view = FooBarView {
            uuid: meta.uuid,
            number: state.number,
            text: state.text,
        };
        FooBarView::upsert(cx, &view)
    }

    /// A foobar is gone, and with it its view.
    #[enroute::broker::event("FooBarDeleted")]
    async fn foobar_deleted(&self, cx: &Context, event: Request<Deleted<FooBar>>) -> Result<()> {
        FooBarView::delete(cx, &event.content().uuid())
    }

    /// All foobars.
    #[enroute::rest::query("/foobars", "GET")]
    async fn foobars(&self, cx: &Context) -> Result<Vec<FooBarView>> {
        FooBarView::list(cx, 100).await
    }

    /// One foobar.
    #[enroute::rest::query("/foobars/{uuid}", "GET")]
    async fn foobar(&self, cx: &Context, request: Request<(), FooBarPath>) -> Result<FooBarView> {
        let uuid = request.params().uuid;
        let view = FooBarView::get(cx, &uuid).await?;
        view.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no foobar {uuid}")))
    }
}
