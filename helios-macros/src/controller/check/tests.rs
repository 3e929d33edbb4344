use proc_macro2::TokenStream;
use quote::quote;

use super::*;
use crate::controller::parse;

fn mistakes(args: TokenStream, items: &TokenStream) -> Vec<String> {
    let mut errors = Errors::default();
    let mut item = syn::parse_quote!(impl User { #items });
    let controller = parse::parse(args, &mut item, &mut errors);
    check(&controller, &mut errors);
    errors.messages()
}

#[track_caller]
fn mistake(prefix: &str, items: &TokenStream, expected: &str) {
    let found = mistakes(quote!(prefix = #prefix), items);
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
}

#[test]
fn params_and_paths_belong_together() {
    mistake(
        "user",
        &quote!(
            #[get("{id}")]
            fn find(&self) {}
        ),
        "`{id}` is not taken by `find`",
    );
    mistake(
        "user",
        &quote!(
            #[get]
            fn find(&self, #[param] id: u64) {}
        ),
        "no `{id}` in `/user`",
    );
    mistake(
        "{id}",
        &quote!(
            #[get("{id}")]
            fn find(&self, #[param] id: u64) {}
        ),
        "`{id}` is in the prefix already",
    );
    mistake(
        "{id}",
        &quote!(
            #[get]
            fn find(&self, #[param(outer)] id: u64) {}
        ),
        "`{id}` is in this controller's own path",
    );
    mistake(
        "{id}",
        &quote!(
            #[get]
            fn find(&self, #[param] id: u64, #[param("id")] b: u64) {}
        ),
        "`{id}` is taken twice",
    );
    mistake("{*rest}", &quote!(), "a prefix cannot hold it");
}

#[test]
fn params_of_the_prefix_need_not_be_taken() {
    let items = quote! {
        #[get] fn list(&self) {}
        #[get("{b}")] fn find(&self, #[param] a: u64, #[param] b: u64, #[param(outer)] c: u64) {}
        #[sse("live")] async fn live(&self, stream: SseStream) {}
        #[on_sse_connection] fn opened(&self, #[param] a: u64, #[param(outer)] c: u64) {}
    };
    assert_eq!(mistakes(quote!(prefix = "{a}"), &items), [""; 0]);
}

#[test]
fn a_refused_path_or_name_draws_no_conclusions() {
    mistake(
        "user",
        &quote! {
            #[get(":id")] fn colon(&self, #[param] id: u64) {}
            #[get] fn list(&self) {}
        },
        "write `{id}`",
    );
    mistake(
        "user",
        &quote!(
            #[get("{id}")]
            fn find(&self, #[param(id)] id: u64) {}
        ),
        "#[param(\"id\")]",
    );
}

#[test]
fn routes_collide_when_they_match_the_same_requests() {
    mistake(
        "user",
        &quote! {
            #[get("{id}")] fn a(&self, #[param] id: u64) {}
            #[sse("/{name}/")] fn b(&self, #[param] name: u64) -> SseStream {}
        },
        "`a` answers GET `/{name}` already",
    );
    let apart = quote! {
        #[get("{id}")] fn a(&self, #[param] id: u64) {}
        #[post("{id}")] fn b(&self, #[param] id: u64) {}
        #[any("{id}")] fn c(&self, #[param] id: u64) {}
        #[get("{id}.png")] fn d(&self, #[param] id: u64) {}
        #[cfg(unix)] #[get("e")] fn e(&self) {}
        #[cfg(windows)] #[get("e")] fn f(&self) {}
    };
    assert_eq!(mistakes(quote!(), &apart), [""; 0]);
}

#[test]
fn a_body_needs_a_method_that_has_one() {
    mistake(
        "user",
        &quote!(
            #[get]
            fn a(&self, #[body] b: String) {}
        ),
        "a GET request has no body",
    );
    mistake(
        "user",
        &quote!(
            #[sse]
            async fn a(&self, b: Json<String>, c: SseStream) {}
        ),
        "write `#[body(allow_get)]`",
    );
    mistake(
        "user",
        &quote!(
            #[post]
            fn a(&self, #[body(allow_get)] b: String) {}
        ),
        "`allow_get` does nothing here",
    );
    mistake(
        "user",
        &quote!(
            #[post]
            fn a(&self, #[body] b: String, #[body] c: String) {}
        ),
        "a request has one body",
    );
    mistake(
        "user",
        &quote!(
            #[post]
            fn a(&self, #[body] b: String, c: Json<String>) {}
        ),
        "a request has one body",
    );
    let taken = quote!(
        #[sse(method = "POST")]
        async fn a(&self, #[body] b: String, c: SseStream) {}
        #[sse("b")]
        async fn b(&self, #[body(allow_get)] b: String, c: SseStream) {}
        #[head("c")]
        fn c(&self, #[body(allow_get, unvalidated)] b: String) {}
        #[get("d")]
        fn d(&self, b: axum::Form<Page>) {}
    );
    assert_eq!(mistakes(quote!(), &taken), [""; 0]);
}

#[test]
fn an_sse_route_streams_something() {
    let nothing = [
        (
            quote!(
                #[sse]
                fn a(&self, b: SseStream) {}
            ),
            "a sync method",
        ),
        (
            quote!(
                #[sse]
                async fn a(&self, #[inject] b: Arc<B>) {}
            ),
            "a producer",
        ),
        (
            quote!(
                #[sse]
                async fn a(&self) -> Result<(), E> {}
            ),
            "a producer",
        ),
    ];
    for (route, expected) in nothing {
        mistake("user", &route, expected);
    }
    let something = quote! {
        #[sse("a")] async fn a(&self, b: MyStream) -> Result<(), E> {}
        #[sse("b")] async fn b(&self) -> Result<SseStream, E> {}
        #[sse("c")] async fn c(&self) -> SseStream {}
        #[sse("d")] fn d(&self) -> Result<impl Stream<Item = SseEvent>, E> {}
    };
    assert_eq!(mistakes(quote!(), &something), [""; 0]);
}

#[test]
fn hooks_are_single_and_take_what_is_there() {
    mistake(
        "user",
        &quote! {
            #[on_sse_close] fn a(&self) {}
            #[on_sse_close] fn b(&self) {}
        },
        "`a` is `#[on_sse_close]` already",
    );
    let (reset, snapshot) = (
        quote!(
            #[on_sse_reset]
            fn a(&self) {}
        ),
        quote!(
            #[on_sse_snapshot]
            fn b(&self) {}
        ),
    );
    for both in [quote!(#reset #snapshot), quote!(#snapshot #reset)] {
        let found = "`b` is `#[on_sse_snapshot]`, which runs whenever `#[on_sse_reset]` does";
        mistake("user", &both, found);
    }
    mistake(
        "user",
        &quote!(
            #[on_sse_close]
            fn a(&self, #[req] req: &RequestContext) {}
        ),
        "the request is over",
    );
    mistake(
        "user",
        &quote!(
            #[on_sse_error]
            fn a(&self, #[inject] b: Arc<B>) {}
        ),
        "make it a field",
    );
    mistake(
        "user",
        &quote!(
            #[on_sse_connection]
            fn a(&self, #[body] b: String) {}
        ),
        "a hook cannot take it",
    );
    mistake(
        "user",
        &quote!(
            #[on_sse_connection]
            fn a(&self, #[param] id: u64) {}
        ),
        "call `req.param(\"id\")`",
    );
}

#[test]
fn hooks_below_cfgs_may_be_for_different_builds() {
    let hooks = quote! {
        #[cfg(unix)] #[on_sse_close] fn a(&self) {}
        #[cfg(windows)] #[on_sse_close] fn b(&self) {}
    };
    assert_eq!(mistakes(quote!(), &hooks), [""; 0]);
    mistake(
        "user",
        &quote! {
            #[cfg(unix)] #[on_sse_close] fn a(&self) {}
            #[on_sse_close] fn b(&self) {}
        },
        "`a` is `#[on_sse_close]` already",
    );
}

#[test]
fn a_hook_needs_streams_of_its_own_or_nested_ones() {
    let hook = quote! {
        #[get] fn list(&self) {}
        #[on_sse_close] fn closed(&self) {}
    };
    mistake("user", &hook, "no stream would ever run this hook");
    let nested = mistakes(quote!(prefix = "user", controllers = [Live]), &hook);
    assert_eq!(nested, [""; 0]);
}

#[test]
fn all_mistakes_of_an_impl_are_told_at_once() {
    let items = quote! {
        #[get(":id")] fn a(&self, #[parm] id: u64) {}
        #[get("x/{id}")] #[http_code(9)] fn b(&self) {}
        #[sse("y")] fn c(&mut self) {}
        #[get("z")] fn d<T>(&self, #[inject] t: T) {}
        #[header("a", "b")] fn e(&self) {}
    };
    let found = mistakes(quote!(prefx = "user"), &items);
    assert_eq!(found.len(), 10, "{found:#?}");
}
