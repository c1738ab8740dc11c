//! The guide, page by page. Its snippets are tests.

#[doc = include_str!("../docs/guide/01-hello.md")]
pub mod hello {}

#[doc = include_str!("../docs/guide/02-aggregates.md")]
pub mod aggregates {}

#[doc = include_str!("../docs/guide/03-events-and-views.md")]
pub mod events_and_views {}

#[doc = include_str!("../docs/guide/04-sagas.md")]
pub mod sagas {}

#[doc = include_str!("../docs/guide/05-configuration.md")]
#[doc = "```toml"]
#[doc = include_str!("config/reference.toml")]
#[doc = "```"]
pub mod configuration {}

#[doc = include_str!("../docs/guide/06-operating.md")]
pub mod operating {}

#[cfg(all(feature = "kafka", feature = "postgres"))]
#[doc = include_str!("../docs/guide/07-production.md")]
pub mod production {}

#[cfg(feature = "kafka")]
#[doc = include_str!("../docs/guide/08-messages.md")]
pub mod messages {}

#[doc = include_str!("../docs/guide/09-failures.md")]
pub mod failures {}

#[cfg(feature = "testing")]
#[doc = include_str!("../docs/guide/10-testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/guide/11-compared.md")]
pub mod compared {}
