//! The attribute macros of `minos`. Use them through `minos`.
use proc_macro::TokenStream;
macro_rules! todo_macros { ($($n:ident)*) => { $(
/// x
#[proc_macro_attribute] pub fn $n(_: TokenStream, item: TokenStream) -> TokenStream { item } )* } }
todo_macros! { aggregate aggregate_ref command_service construct contract error_model main model query_service read_model saga step broker_command broker_event broker_query rest_command rest_query }
