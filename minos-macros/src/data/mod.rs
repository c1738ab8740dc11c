//! Attributes on structs and enums: models, contracts, refusals, and read models.

mod contract;
mod error_model;
mod error_text;
mod item;
mod model;
mod read_model;

pub(crate) use self::{
    contract::contract,
    error_model::error_model,
    item::{Shape, derives, field_checks, no_arguments, read},
    model::model,
    read_model::read_model,
};
