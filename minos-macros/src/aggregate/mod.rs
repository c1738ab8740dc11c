//! `#[aggregate]` and `#[aggregate_ref]`: the state, its fields for conditions, and its diff.

mod check;
mod diff;
mod expand;
mod parse;

use proc_macro2::TokenStream;
use syn::{Data, DeriveInput, Ident, Type, Visibility};

use crate::{
    data::{self, Shape},
    diag::Diagnostics,
};

/// Who owns the state.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Owner {
    /// This service: `#[aggregate]`.
    Us,
    /// Another service: `#[aggregate_ref]`.
    Them,
}

impl Owner {
    fn attribute(self) -> &'static str {
        match self {
            Owner::Us => "aggregate",
            Owner::Them => "aggregate_ref",
        }
    }
}

/// A state as the user wrote it.
struct State {
    ident: Ident,
    vis: Visibility,
    fields: Vec<StateField>,
}

/// One field of it.
struct StateField {
    ident: Ident,
    vis: Visibility,
    ty: Type,
    /// `#[unique]`, and where.
    unique: Option<proc_macro2::Span>,
    /// `#[serde(alias = ..)]`: old names, which the diff must know too.
    aliases: Vec<TokenStream>,
}

pub(crate) fn aggregate(
    owner: Owner,
    args: &TokenStream,
    item: &TokenStream,
    diag: &mut Diagnostics,
) -> TokenStream {
    let attribute = owner.attribute();
    parse::arguments(owner, args, diag);
    let Some(mut input) = data::read(item, attribute, Shape::NamedFields, diag) else {
        return item.clone();
    };
    let state = parse::state(&mut input, diag);
    check::check(owner, &state, &input, diag);
    expand::expand(owner, &state, &input)
}

/// The named fields of a struct.
fn fields_mut(input: &mut DeriveInput) -> impl Iterator<Item = &mut syn::Field> {
    let fields = match &mut input.data {
        Data::Struct(data) => Some(data.fields.iter_mut()),
        _ => None,
    };
    fields.into_iter().flatten()
}
