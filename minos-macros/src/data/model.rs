//! `#[model]`.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Shape, derives, field_checks, no_arguments, read};
use crate::diag::Diagnostics;

pub(crate) fn model(args: &TokenStream, item: &TokenStream, diag: &mut Diagnostics) -> TokenStream {
    no_arguments(args, "model", diag);
    let Some(input) = read(item, "model", Shape::StructOrEnum, diag) else {
        return item.clone();
    };
    let (derives, name) = (derives(&input.attrs), &input.ident);
    let checks = field_checks(&input.data);
    quote! {
        #checks
        #derives
        #input
        const _: () = {
            use ::minos::__private as __m;
            impl __m::Model for #name {}
        };
    }
}
