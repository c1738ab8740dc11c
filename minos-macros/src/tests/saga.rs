use proc_macro2::TokenStream;
use quote::quote;

use super::{contains, contains_none, expand, refuse};
use crate::saga::saga;

fn steps(steps: TokenStream) -> String {
    expand(saga, TokenStream::new(), quote!(impl Order { #steps }))
}

#[test]
fn a_step_is_data_and_typed_calls() {
    let out = expand(
        saga,
        quote!(deadline = "10m", name = "order.v1"),
        quote! {
            impl Order {
                #[step(on_success = made, compensate = undo, timeout = "5s", retry = 3, name = "make_foo")]
                fn make(&self) -> CreateFoo { todo!() }
                fn made(&mut self, reply: FooCreated) -> Verdict { todo!() }
                fn undo(&self) -> DeleteFoo { todo!() }
            }
        },
    );
    contains(
        &out,
        &[
            "\"make_foo\"",
            "__m::At::new(\"make\", ::core::file!(), 1u32)",
            "__m::sent::<CreateFoo>()",
            ".reply::<FooCreated>()",
            "__m::verdict::<Verdict>",
            ".timeout(5000u64)",
            ".retry(3u32)",
            "from_millis(600000u64)",
            "const NAME: &'static str = \"order.v1\"",
            "const saga_order_v1_",
        ],
    );
    contains_none(
        &out,
        &[
            "#[step",
            ".pivot()",
            ".on_error(",
            ".unread()",
            ".needs_no_undo()",
        ],
    );
}

#[test]
fn local_steps_run_async_or_not() {
    let out = steps(quote! {
        #[step(no_compensation = "why")]
        async fn a(&mut self, cx: &Context) -> Result<()> {}
        #[step]
        fn b(&self, cx: &Context) {}
    });
    contains(
        &out,
        &[
            "__m::local::<Result<()>, _>(Self::a(__s, __cx))",
            "__m::local::<(), _>(async move { Self::b(__s, __cx) })",
        ],
    );
}

/// Which steps are asked whether they need no compensation.
fn asked(steps: TokenStream) -> usize {
    self::steps(steps).matches(".needs_no_undo()").count()
}

#[test]
fn a_step_is_undone_only_if_a_later_one_can_fail() {
    let (a, b) = (
        quote!(
            fn a(&self) -> A {}
        ),
        quote!(
            fn b(&self) -> B {}
        ),
    );
    assert_eq!(asked(quote!(#[step] #a)), 0);
    assert_eq!(asked(quote!(#[step] #a #[step] #b)), 1);
    assert_eq!(
        asked(quote!(#[step(no_compensation = "why")] #a #[step] #b)),
        0
    );
    assert_eq!(
        asked(quote!(#[step] #a #[step] fn c(&self, cx: &Context) {})),
        0
    );
    assert_eq!(
        asked(quote!(#[step] #a #[step] fn c(&self, cx: &Context) -> Result<()> {})),
        1
    );
}

#[test]
fn what_comes_after_the_pivot_undoes_nothing() {
    let (a, b) = (
        quote!(
            fn a(&self) -> A {}
        ),
        quote!(
            fn b(&self) -> B {}
        ),
    );
    assert_eq!(asked(quote!(#[step(pivot)] #a #[step] #b)), 0);
    assert_eq!(asked(quote!(#[step] #a #[step(pivot)] #b)), 1);
    let free = quote!(
        #[step(pivot)]
        fn c(&self, cx: &Context) {}
    );
    assert_eq!(asked(quote!(#[step] #a #free #[step] #b)), 0);
}

#[test]
fn siblings_count_on_both_sides_and_branches_on_none() {
    let group = |first: &str, last: &str| {
        let (first, last): (TokenStream, TokenStream) =
            (first.parse().unwrap(), last.parse().unwrap());
        quote!(
            #[step(#first)]
            fn a(&self) -> A {}
            #[step(#last)]
            fn b(&self) -> B {}
            fn x(&self) -> bool {}
        )
    };
    assert_eq!(asked(group("parallel = g", "parallel = g")), 2);
    assert_eq!(asked(group("choice = c, when = x", "choice = c")), 0);
    assert_eq!(asked(group("when = x", "when = x")), 1);
    // What comes behind a choice may fail after either branch.
    let (both, end) = (
        group("choice = c, when = x", "choice = c"),
        quote!(
            #[step]
            fn end(&self) -> C {}
        ),
    );
    assert_eq!(asked(quote!(#both #end)), 2);
}

#[test]
fn each_new_key_is_one_call() {
    let out = steps(quote! {
        #[step(choice = way, when = is_far, retry = 2, backoff = "1m", max_backoff = "1h",
               timeout = "1s", on_timeout = late)]
        fn fly(&self) -> Fly {}
        #[step(choice = way)]
        fn walk(&self) -> Walk {}
        fn is_far(&self) -> bool {}
        fn late(&mut self) {}
        #[step(signal)]
        fn paid(&mut self, paid: api::Paid) -> Verdict {}
    });
    contains(
        &out,
        &[
            ".when(\"is_far\", |__s| __m::holds::<bool>(Self::is_far(__s)))",
            ".choice(\"way\")",
            ".backoff(60000u64).max_backoff(3600000u64)",
            ".on_timeout(|__s| __m::verdict::<()>(Self::late(__s)))",
            "__m::Action::Wait(__m::signal::<api::Paid>().name,",
            "__m::verdict::<Verdict>(Self::paid(__s, (__m::signal::<api::Paid>().read)(__p)?))",
            "const A_SAGA_IN_A_SAGA_MUST_END: usize = __m::deeper([__m::sent::<Fly>().depth, __m::sent::<Walk>().depth])",
            "```mermaid",
        ],
    );
}

#[test]
fn a_step_that_cannot_be_read_is_not_asked_about() {
    let (out, texts) = refuse(
        saga,
        TokenStream::new(),
        quote! {
            impl Order {
                #[step(on_sucess = made)]
                fn make(&self) -> CreateFoo {}
                #[step]
                fn end(&self) -> DeleteFoo {}
            }
        },
    );
    assert_eq!(
        texts,
        ["unknown `step` key `on_sucess`\nhelp: did you mean `on_success`?"]
    );
    contains_none(&out, &[".needs_no_undo()"]);
    // The second step is.
    assert_eq!(out.matches(".unread()").count(), 1);
}
