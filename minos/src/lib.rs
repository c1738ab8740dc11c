//! Event-sourced microservices by annotating structs and impl blocks.

pub mod broker;
pub mod clock;
pub mod error;
pub mod message;
pub mod model;
mod payload;
pub mod store;

pub use uuid::Uuid;

pub use crate::payload::Payload;
