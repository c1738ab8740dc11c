//! What is known of foos: views, built by events.

use minos::{error::Kind, prelude::*};

use crate::{Foo, FooBar, FooDiff, FooPath};

/// Answers questions about foos.
#[derive(Debug, Default)]
pub struct FooQueryService;

/// A foo as it is shown.
#[read_model]
pub struct FooView {
    /// Its id.
    #[key]
    pub uuid: Uuid,
    /// How many events it had.
    pub version: u64,
    /// Its text.
    pub bar: String,
    /// Its foobar.
    pub foobar: Option<Ref<FooBar>>,
}

/// How the text of a foo changed.
#[read_model]
pub struct BarHistory {
    /// Which foo.
    #[key]
    pub uuid: Uuid,
    /// The oldest first.
    pub changes: Vec<BarChange>,
}

/// One change of a foo's text.
#[model]
pub struct BarChange {
    /// The version it led to.
    pub version: u64,
    /// The changed fields, as the event had them.
    pub diff: FooDiff,
}

/// What a foobar of the other service says.
#[read_model]
pub struct FooBarText {
    /// Which foobar.
    #[key]
    pub uuid: Uuid,
    /// What it says.
    pub text: String,
}

#[query_service]
impl FooQueryService {
    /// A foo is new: its view begins.
    #[enroute::broker::event("FooCreated")]
    async fn foo_created(&self, cx: &Context, event: Request<Created<Foo>>) -> Result<()> {
        let Created { meta, state } = event.into_content();
        let view = FooView {
            uuid: meta.uuid,
            version: meta.version,
            bar: state.bar,
            foobar: state.foobar,
        };
        FooView::upsert(cx, &view)
    }

    /// Something of a foo changed: so does its view.
    #[enroute::broker::event("FooUpdated")]
    async fn foo_updated(&self, cx: &Context, event: Request<Updated<Foo>>) -> Result<()> {
        let Updated { meta, diff } = event.into_content();
        let Some(mut view) = FooView::get(cx, &meta.uuid).await? else {
            return Ok(());
        };
        view.version = meta.version;
        view.bar = diff.bar.unwrap_or(view.bar);
        view.foobar = diff.foobar.unwrap_or(view.foobar);
        FooView::upsert(cx, &view)
    }

    /// The text of a foo changed. What else changes does not come here.
    #[enroute::broker::event("FooUpdated.bar")]
    async fn bar_changed(&self, cx: &Context, event: Request<Updated<Foo>>) -> Result<()> {
        let Updated { meta, diff } = event.into_content();
        let mut history = history(cx, meta.uuid).await?;
        history.changes.push(BarChange {
            version: meta.version,
            diff,
        });
        BarHistory::upsert(cx, &history)
    }

    /// A foo is gone, and with it what is shown of it.
    #[enroute::broker::event("FooDeleted")]
    async fn foo_deleted(&self, cx: &Context, event: Request<Deleted<Foo>>) -> Result<()> {
        let uuid = event.content().uuid();
        BarHistory::delete(cx, &uuid)?;
        FooView::delete(cx, &uuid)
    }

    /// The other service has a new foobar. Its events come through the broker, the own ones from the own log.
    #[enroute::broker::event("FooBarCreated")]
    async fn foobar_created(&self, cx: &Context, event: Request<Created<FooBar>>) -> Result<()> {
        let Created { meta, state } = event.into_content();
        let row = FooBarText {
            uuid: meta.uuid,
            text: state.text,
        };
        FooBarText::upsert(cx, &row)
    }

    /// The other service deleted a foobar.
    #[enroute::broker::event("FooBarDeleted")]
    async fn foobar_deleted(&self, cx: &Context, event: Request<Deleted<FooBar>>) -> Result<()> {
        FooBarText::delete(cx, &event.content().uuid())
    }

    /// All foos.
    #[enroute::rest::query("/foos", "GET")]
    async fn foos(&self, cx: &Context) -> Result<Vec<FooView>> {
        FooView::list(cx, 100).await
    }

    /// One foo.
    #[enroute::rest::query("/foos/{uuid}", "GET")]
    async fn foo(&self, cx: &Context, request: Request<(), FooPath>) -> Result<FooView> {
        view(cx, request.params().uuid).await
    }

    /// How the text of a foo changed.
    #[enroute::rest::query("/foos/{uuid}/bars", "GET")]
    async fn bars(&self, cx: &Context, request: Request<(), FooPath>) -> Result<BarHistory> {
        let foo = view(cx, request.params().uuid).await?;
        history(cx, foo.uuid).await
    }

    /// What the foobar of a foo says, without asking the other service.
    #[enroute::rest::query("/foos/{uuid}/foobar", "GET")]
    async fn foobar(&self, cx: &Context, request: Request<(), FooPath>) -> Result<FooBarText> {
        let foo = view(cx, request.params().uuid).await?;
        let text = match foo.foobar {
            Some(foobar) => FooBarText::get(cx, &foobar.uuid()).await?,
            None => None,
        };
        text.ok_or_else(|| not_found(format!("foo {} has no foobar yet", foo.uuid)))
    }
}

async fn view(cx: &Context, uuid: Uuid) -> Result<FooView> {
    let view = FooView::get(cx, &uuid).await?;
    view.ok_or_else(|| not_found(format!("there is no foo {uuid}")))
}

async fn history(cx: &Context, uuid: Uuid) -> Result<BarHistory> {
    let history = BarHistory::get(cx, &uuid).await?;
    Ok(history.unwrap_or(BarHistory {
        uuid,
        changes: Vec::new(),
    }))
}

fn not_found(text: String) -> Error {
    Error::new(Kind::NotFound, text)
}
