//! The generated functions. Each binds the arguments, calls the user's method, and passes its result on.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Generics;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::bind::{Binder, Place, lend, local, mutability, passed};
use super::hooks::Given;
use super::model::{Controller, Hook, Lent, Method, ResponseHeader, Route, RouteKind};
use crate::runtime::Runtime;

/// Returns the name of a method's generated function. Its prefix must not begin that of [`super::describe`], nor the other way
/// round: with any names of methods, no two functions may have one name.
pub(super) fn hidden(method: &Method) -> Ident {
    format_ident!(
        "__helios_call_{}",
        method.name.unraw(),
        span = Span::mixed_site()
    )
}

pub(super) fn route(controller: &Controller, route: &Route) -> TokenStream {
    let writer = Writer::new(controller, &route.method);
    match route.kind {
        RouteKind::Http => writer.http(route),
        RouteKind::Sse(_) => writer.sse(route),
    }
}

pub(super) fn hook(controller: &Controller, hook: &Hook) -> TokenStream {
    let writer = Writer::new(controller, &hook.method);
    match hook.kind.given {
        Given::Request { place } => writer.hook_with_request(place),
        Given::Event { ty, by_value } => writer.hook_after_request(ty, by_value),
    }
}

/// Writes the generated function of one method.
struct Writer<'a> {
    runtime: &'a Runtime,
    generics: &'a Generics,
    rt: TokenStream,
    method: &'a Method,
    this: Ident,
    call: Ident,
    head: Ident,
}

impl<'a> Writer<'a> {
    fn new(controller: &'a Controller, method: &'a Method) -> Self {
        Self {
            runtime: &controller.runtime,
            generics: &controller.generics,
            rt: controller.runtime.path(),
            method,
            this: variable("this"),
            call: variable("call"),
            head: variable("head"),
        }
    }

    fn http(&self, route: &Route) -> TokenStream {
        let Self {
            rt,
            call,
            head,
            this,
            ..
        } = self;
        let place = Place {
            marker: "Http",
            takes_body: true,
        };
        let refusal = quote!(#rt::Err(#call.refusal()));
        let bindings = self.bindings(place, quote!(#call), refusal);
        let headers = self.set_headers(&route.extras.headers, &quote!(#call));
        let response = self.response_head(&quote!(#call));
        let lent = self.lend(&quote!(&#call.request), &quote!(&mut #head));
        let result = self.result("reply", &self.awaited());
        let body = self.boxed(&quote!(#bindings #headers #response #lent #result));
        let signature = quote!(<'h>(#this: &'h Self, #call: &'h mut #rt::Call) -> #rt::BoxFuture<'h, #rt::Reply>);
        self.function(&signature, &body)
    }

    fn sse(&self, route: &Route) -> TokenStream {
        let Self {
            rt,
            call,
            head,
            this,
            ..
        } = self;
        let place = Place {
            marker: "Sse",
            takes_body: route.verb.has_body(),
        };
        let refusal = quote!(#call.refused());
        let bound = quote!(&mut #call.call);
        let bindings = self.bindings(place, bound.clone(), refusal);
        let headers = self.set_headers(&route.extras.headers, &bound);
        let response = self.response_head(&quote!(#call.call));
        let request = variable("request");
        let borrows = self.method.borrows(Lent::Request);
        let shared = borrows.then(|| quote!(let #request = #call.shared_request();));
        let lent = self.lend(&quote!(&#request), &quote!(&mut #head));
        let called = self.called(&quote!(&#this));
        let run = match self.method.is_async {
            true => "stream_async",
            false => "stream",
        };
        let result = self.result(run, &quote!(#call, #called));
        let body = self.boxed(&quote!(#bindings #headers #response #shared #lent #result));
        let signature = quote! {
            (#this: #rt::Arc<Self>, mut #call: #rt::SseCall) -> #rt::BoxFuture<'static, #rt::Outcome>
        };
        self.function(&signature, &body)
    }

    fn hook_with_request(&self, place: &'static str) -> TokenStream {
        let Self { rt, call, .. } = self;
        let place = Place {
            marker: place,
            takes_body: false,
        };
        let refusal = quote!(#rt::Err(#call.refusal()));
        let bindings = self.bindings(place, quote!(#call), refusal);
        let lent = self.lend(&quote!(&#call.request), &TokenStream::new());
        self.hook(&quote!(#call: &'h mut #rt::Call), &quote!(#bindings #lent))
    }

    fn hook_after_request(&self, event_type: &str, by_value: bool) -> TokenStream {
        let (rt, client, event) = (&self.rt, variable("client"), variable("event"));
        let ty = Ident::new(event_type, Span::call_site());
        let (input, borrowed) = match by_value {
            true => (quote!(#rt::#ty), quote!(&#event)),
            false => (quote!(&'h #rt::#ty), quote!(#event)),
        };
        let arguments = self.method.arguments.iter().enumerate();
        let bindings = arguments.map(|(index, argument)| {
            let span = argument.bound.span();
            let (local, mutability, ty) = (local(index), mutability(argument), &argument.bound);
            let (rt, event_type) = (self.runtime.at(span), Ident::new(event_type, span));
            let bound = quote_spanned! {span=>
                #rt::hook_argument::<#rt::#event_type, #ty>(&#client, #borrowed)
            };
            quote!(let #mutability #local = #bound;)
        });
        let inputs = quote!(#client: #rt::SseStream, #event: #input);
        self.hook(&inputs, &quote!(#(#bindings)*))
    }

    fn hook(&self, inputs: &TokenStream, bindings: &TokenStream) -> TokenStream {
        let Self { rt, this, .. } = self;
        let result = self.result("hook_result", &self.awaited());
        let body = self.boxed(&quote!(#bindings #result));
        let signature = quote! {
            <'h>(#this: &'h Self, #inputs) -> #rt::BoxFuture<'h, #rt::Result<(), #rt::HttpError>>
        };
        self.function(&signature, &body)
    }

    /// The function has no `self`, because editors would then offer it as a method.
    fn function(&self, signature: &TokenStream, body: &TokenStream) -> TokenStream {
        let Method { cfgs, allowed, .. } = self.method;
        let name = hidden(self.method);
        quote! {
            #(#cfgs)*
            #(#allowed)*
            #[doc(hidden)]
            fn #name #signature {
                #body
            }
        }
    }

    fn bindings(&self, place: Place, call: TokenStream, refusal: TokenStream) -> TokenStream {
        let binder = Binder {
            runtime: self.runtime,
            place,
            arguments: &self.method.arguments,
            generics: self.generics,
            call,
            refusal,
        };
        binder.statements()
    }

    fn set_headers(&self, headers: &[ResponseHeader], call: &TokenStream) -> TokenStream {
        let rt = &self.rt;
        let set = headers
            .iter()
            .map(|ResponseHeader { name, value }| quote!(#rt::set_header(#call, #name, #value);));
        set.collect()
    }

    /// Returns a handle to the response's head, if the method borrows it.
    fn response_head(&self, call: &TokenStream) -> Option<TokenStream> {
        let head = &self.head;
        let borrows = self.method.borrows(Lent::ResponseHead);
        borrows.then(|| quote!(let mut #head = #call.response_head();))
    }

    fn lend(&self, request: &TokenStream, head: &TokenStream) -> TokenStream {
        lend(&self.method.arguments, request, head)
    }

    /// If the future is not `Send`, the error points to the method.
    fn boxed(&self, body: &TokenStream) -> TokenStream {
        let span = self.method.name.span();
        let rt = self.runtime.at(span);
        quote_spanned!(span=> #rt::Box::pin(async move { #body }))
    }

    fn called(&self, this: &TokenStream) -> TokenStream {
        let (name, arguments) = (&self.method.name, passed(&self.method.arguments));
        let span = name.span();
        quote_spanned!(span=> Self::#name(#this #(, #arguments)*))
    }

    fn awaited(&self) -> TokenStream {
        let this = &self.this;
        let called = self.called(&quote!(#this));
        match self.method.is_async {
            true => quote!(#called.await),
            false => called,
        }
    }

    /// If the type cannot be returned, the error points to the return type.
    fn result(&self, ladder: &str, value: &TokenStream) -> TokenStream {
        let method = self.method;
        let span = method
            .output
            .as_ref()
            .map_or_else(|| method.name.span(), Spanned::span);
        let (rt, ladder) = (self.runtime.at(span), Ident::new(ladder, span));
        quote_spanned!(span=> #rt::#ladder!(#value))
    }
}

/// Returns a variable of a generated function, which user code cannot see.
fn variable(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
