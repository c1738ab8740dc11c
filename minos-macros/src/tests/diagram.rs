//! The picture of a saga, whole: it is read by people.

use proc_macro2::TokenStream;
use quote::quote;

use super::expand;
use crate::saga::saga;

/// The lines of the diagram of a saga with these steps.
#[track_caller]
fn drawn(steps: TokenStream, expected: &str) {
    let out = expand(saga, TokenStream::new(), quote!(impl Order { #steps }));
    let (_, text) = out.split_once("const DIAGRAM: &'static str = \"").unwrap();
    let (text, _) = text.split_once("\";\n").unwrap();
    let text = text.replace("\\n", "\n").replace("\\\"", "\"");
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    let drawn: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(drawn, expected, "\n{text}");
}

#[test]
fn a_line_with_a_pivot() {
    drawn(
        quote! {
            #[step(compensate = release)]
            fn reserve(&self) -> api::Reserve {}
            fn release(&self) -> Release {}
            #[step(pivot, timeout = "90s", retry = 5, backoff = "1500ms")]
            fn pay(&self) -> Pay {}
            #[step]
            async fn note(&mut self, cx: &Context) {}
        },
        r#"flowchart TD
            start(["Order"])
            start --> step0
            step0 -.->|undone by| undo0(["release<br/>calls Release"])
            step0["reserve<br/>calls Reserve"]
            step0 --> step1
            step1{{"pay<br/>calls Pay<br/>within 90s<br/>again up to 5 times after 1500ms<br/>pivot"}}
            step1 --> step2
            step2["note<br/>local"]
            step2 --> done
            done(["completed"])"#,
    );
}

#[test]
fn steps_that_run_at_once() {
    drawn(
        quote! {
            #[step(parallel = booking, compensate = cancel)]
            fn hotel(&self) -> Book {}
            #[step(parallel = booking, compensate = cancel, when = is_far)]
            fn flight(&self) -> Book {}
            fn cancel(&self, cx: &Context) {}
            fn is_far(&self) -> bool {}
            #[step]
            fn send(&self) -> Send {}
        },
        r#"flowchart TD
            start(["Order"])
            subgraph group0 ["at once: booking"]
            step0["hotel<br/>calls Book"]
            step1["flight<br/>calls Book"]
            end
            start --> step0
            step0 -.->|undone by| undo0(["cancel<br/>local"])
            start --> when1
            when1{"is_far"}
            when1 -->|yes| step1
            step1 -.->|undone by| undo1(["cancel<br/>local"])
            step0 --> step2
            step1 --> step2
            when1 -->|no| step2
            step2["send<br/>calls Send"]
            step2 --> done
            done(["completed"])"#,
    );
}

#[test]
fn a_choice_between_branches() {
    let branches = quote! {
        #[step(choice = way, when = is_far, no_compensation = "why")]
        fn fly(&self) -> Fly {}
        #[step(choice = way, when = is_far)]
        fn land(&self) -> Land {}
        fn is_far(&self) -> bool {}
    };
    drawn(
        quote! {
            #branches
            #[step(choice = way)]
            fn walk(&self) -> Walk {}
        },
        r#"flowchart TD
            start(["Order"])
            start --> choice0
            choice0{"way"}
            choice0 -->|is_far| step0
            step0["fly<br/>calls Fly"]
            step0 --> step1
            step1["land<br/>calls Land"]
            choice0 -->|otherwise| step2
            step2["walk<br/>calls Walk"]
            step1 --> done
            step2 --> done
            done(["completed"])"#,
    );
    drawn(
        quote! {
            #branches
            #[step(choice = way, when = is_near)]
            fn walk(&self) -> Walk {}
            fn is_near(&self) -> bool {}
        },
        r#"flowchart TD
            start(["Order"])
            start --> choice0
            choice0{"way"}
            choice0 -->|is_far| step0
            step0["fly<br/>calls Fly"]
            step0 --> step1
            step1["land<br/>calls Land"]
            choice0 -->|is_near| step2
            step2["walk<br/>calls Walk"]
            step1 --> done
            step2 --> done
            choice0 -->|otherwise| done
            done(["completed"])"#,
    );
}

#[test]
fn a_wait_and_a_saga_in_a_saga() {
    drawn(
        quote! {
            #[step(signal, timeout = "3d", on_timeout = lapsed)]
            fn approved(&mut self, decision: Approve) -> Verdict {}
            fn lapsed(&mut self) -> Verdict {}
            #[step(when = is_paid, ignore_reply = "why")]
            fn invoice(&self) -> Invoice {}
            fn is_paid(&self) -> bool {}
        },
        r#"flowchart TD
            start(["Order"])
            start --> step0
            step0[/"approved<br/>waits for Approve<br/>within 3d<br/>else lapsed"/]
            step0 --> when1
            when1{"is_paid"}
            when1 -->|yes| step1
            step1["invoice<br/>calls Invoice"]
            step1 --> done
            when1 -->|no| done
            done(["completed"])"#,
    );
}
