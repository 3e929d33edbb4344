//! The hidden functions: each binds, calls the user's method, and hands on what it gives.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::bind::{Binder, Place, local, mutability, passed};
use super::model::{Extras, Hook, HookKind, Method, Route, RouteKind, Source};
use crate::runtime::{Runtime, quiet};

/// The name of a method's hidden function.
pub(super) fn hidden(method: &Method) -> Ident {
    format_ident!(
        "__helios_{}",
        method.name.unraw(),
        span = Span::mixed_site()
    )
}

pub(super) fn route(runtime: &Runtime, route: &Route) -> TokenStream {
    match route.kind {
        RouteKind::Http => http(runtime, route),
        RouteKind::Sse { .. } => sse(runtime, route),
    }
}

fn http(runtime: &Runtime, route: &Route) -> TokenStream {
    let (rt, method) = (runtime.path(), &route.method);
    let Names { this, call, head } = Names::new();
    let binder = Binder {
        runtime,
        place: Place::Http,
        arguments: &method.arguments,
        call: quote!(#call),
        refusal: quote!(#rt::Err(#call.refusal())),
    };
    let statements = binder.statements();
    let headers = set_headers(&rt, &route.extras, &quote!(#call));
    let response = takes_response(method).then(|| quote!(let mut #head = #call.response_head();));
    let arguments = passed(
        &method.arguments,
        &quote!(&#call.request),
        &quote!(&mut #head),
    );
    let result = result(
        runtime,
        method,
        "reply",
        None,
        &awaited(method, &this, &arguments),
    );
    let body = boxed(
        runtime,
        method,
        &quote!(#statements #headers #response #result),
    );
    let (name, cfgs, quiet) = (hidden(method), &method.cfgs, quiet());
    quote! {
        #(#cfgs)* #quiet
        #[doc(hidden)]
        fn #name<'h>(&'h self, #call: &'h mut #rt::Call) -> #rt::BoxFuture<'h, #rt::Reply> {
            let #this = self;
            #body
        }
    }
}

fn sse(runtime: &Runtime, route: &Route) -> TokenStream {
    let (rt, method) = (runtime.path(), &route.method);
    let Names { this, call, head } = Names::new();
    let request = Ident::new("request", Span::mixed_site());
    let binder = Binder {
        runtime,
        place: Place::Sse {
            takes_body: route.verb.has_body(),
        },
        arguments: &method.arguments,
        call: quote!(&mut #call),
        refusal: quote!(#call.refused()),
    };
    let statements = binder.statements();
    let headers = set_headers(&rt, &route.extras, &quote!(&mut #call));
    let shared = takes_request(method).then(|| quote!(let #request = #call.shared_request();));
    let response = takes_response(method).then(|| quote!(let mut #head = #call.response_head();));
    let arguments = passed(&method.arguments, &quote!(&#request), &quote!(&mut #head));
    let run = if method.is_async {
        "stream_async"
    } else {
        "stream"
    };
    let result = result(
        runtime,
        method,
        run,
        Some(&call),
        &called(method, &quote!(&#this), &arguments),
    );
    let body = boxed(
        runtime,
        method,
        &quote!(#statements #headers #shared #response #result),
    );
    let (name, cfgs, quiet) = (hidden(method), &method.cfgs, quiet());
    quote! {
        #(#cfgs)* #quiet
        #[doc(hidden)]
        fn #name(self: #rt::Arc<Self>, mut #call: #rt::SseCall) -> #rt::BoxFuture<'static, #rt::Outcome> {
            let #this = self;
            #body
        }
    }
}

pub(super) fn hook(runtime: &Runtime, hook: &Hook) -> TokenStream {
    match hook.kind {
        HookKind::Connection => connection_hook(runtime, &hook.method),
        HookKind::Error => late_hook(runtime, &hook.method, "OnError", &quote!(&'h), &quote!()),
        HookKind::Close => late_hook(runtime, &hook.method, "OnClose", &quote!(), &quote!(&)),
    }
}

fn connection_hook(runtime: &Runtime, method: &Method) -> TokenStream {
    let rt = runtime.path();
    let Names { this, call, .. } = Names::new();
    let binder = Binder {
        runtime,
        place: Place::OnConnection,
        arguments: &method.arguments,
        call: quote!(#call),
        refusal: quote!(#rt::Err(#call.refusal())),
    };
    let statements = binder.statements();
    let arguments = passed(
        &method.arguments,
        &quote!(&#call.request),
        &TokenStream::new(),
    );
    let result = result(
        runtime,
        method,
        "hook_result",
        None,
        &awaited(method, &this, &arguments),
    );
    let body = boxed(runtime, method, &quote!(#statements #result));
    hook_fn(
        &rt,
        method,
        &quote!(#call: &'h mut #rt::Call),
        &quote!(let #this = self; #body),
    )
}

/// A hook that runs when the request is over; `owned` and `lent` say how its event arrives and is passed on.
fn late_hook(
    runtime: &Runtime,
    method: &Method,
    place: &str,
    arrives: &TokenStream,
    lent: &TokenStream,
) -> TokenStream {
    let rt = runtime.path();
    let this = Names::new().this;
    let (client, event) = (
        Ident::new("client", Span::mixed_site()),
        Ident::new("event", Span::mixed_site()),
    );
    let ty = if place == "OnError" {
        quote!(#rt::SseError)
    } else {
        quote!(#rt::CloseReason)
    };
    let bindings = method.arguments.iter().enumerate().map(|(index, argument)| {
        let (span, local, mutability) = (argument.declared.span(), local(index), mutability(argument));
        let (rt, place, ty) = (runtime.at(span), Ident::new(place, span), &argument.bound);
        let bound = quote_spanned!(span=> #rt::hook_argument::<#rt::#place, #ty>(&#client, #lent #event));
        quote!(let #mutability #local = #bound;)
    });
    let bindings: TokenStream = bindings.collect();
    let arguments = passed(&method.arguments, &TokenStream::new(), &TokenStream::new());
    let result = result(
        runtime,
        method,
        "hook_result",
        None,
        &awaited(method, &this, &arguments),
    );
    let body = boxed(runtime, method, &quote!(#bindings #result));
    let inputs = quote!(#client: #rt::SseStream, #event: #arrives #ty);
    hook_fn(&rt, method, &inputs, &quote!(let #this = self; #body))
}

fn hook_fn(
    rt: &TokenStream,
    method: &Method,
    inputs: &TokenStream,
    body: &TokenStream,
) -> TokenStream {
    let (name, cfgs, quiet) = (hidden(method), &method.cfgs, quiet());
    quote! {
        #(#cfgs)* #quiet
        #[doc(hidden)]
        fn #name<'h>(&'h self, #inputs) -> #rt::BoxFuture<'h, #rt::Result<(), #rt::HttpError>> {
            #body
        }
    }
}

/// The variables that hidden functions share.
struct Names {
    this: Ident,
    call: Ident,
    head: Ident,
}

impl Names {
    fn new() -> Self {
        let name = |name| Ident::new(name, Span::mixed_site());
        Self {
            this: name("this"),
            call: name("call"),
            head: name("head"),
        }
    }
}

/// A future that is not `Send` is blamed on the method.
fn boxed(runtime: &Runtime, method: &Method, body: &TokenStream) -> TokenStream {
    let span = method.name.span();
    let rt = runtime.at(span);
    quote_spanned!(span=> #rt::Box::pin(async move { #body }))
}

fn called(method: &Method, this: &TokenStream, arguments: &[TokenStream]) -> TokenStream {
    let name = &method.name;
    let span = name.span();
    quote_spanned!(span=> Self::#name(#this, #(#arguments),*))
}

fn awaited(method: &Method, this: &Ident, arguments: &[TokenStream]) -> TokenStream {
    let called = called(method, &this.to_token_stream(), arguments);
    match method.is_async {
        true => quote!(#called.await),
        false => called,
    }
}

/// A type that cannot be returned is blamed on the return type.
fn result(
    runtime: &Runtime,
    method: &Method,
    name: &str,
    call: Option<&Ident>,
    value: &TokenStream,
) -> TokenStream {
    let span = method
        .output
        .as_ref()
        .map_or_else(|| method.name.span(), Spanned::span);
    let (rt, name) = (runtime.at(span), Ident::new(name, span));
    let call = call.map(|call| quote!(#call,));
    quote_spanned!(span=> #rt::#name!(#call #value))
}

fn set_headers(rt: &TokenStream, extras: &Extras, call: &TokenStream) -> TokenStream {
    let set = extras.headers.iter().map(|header| {
        let (name, value) = (&header.name, &header.value);
        quote!(#rt::set_header(#call, #name, #value);)
    });
    set.collect()
}

fn takes_request(method: &Method) -> bool {
    method
        .arguments
        .iter()
        .any(|argument| matches!(argument.source, Source::Request))
}

fn takes_response(method: &Method) -> bool {
    method
        .arguments
        .iter()
        .any(|argument| matches!(argument.source, Source::Response))
}
