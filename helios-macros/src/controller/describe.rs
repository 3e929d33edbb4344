//! Generates the function that describes the types of a route, or of a hook with a request, for the OpenAPI document. It is
//! wrapped in a macro of the runtime that drops it without the feature.
//!
//! rustc infers the types. The method is called in a closure that is checked and never runs.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Type;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::bind::filled_in;
use super::hooks::Given;
use super::model::{Argument, Binding, Controller, Described, Hook, Method, Route, RouteKind};
use crate::runtime::Runtime;

/// The name of the function that describes a method.
fn described(method: &Method) -> Ident {
    let name = method.name.unraw();
    format_ident!("__helios_describe_{}", name, span = Span::mixed_site())
}

/// Returns the value of a route's field in the table.
pub(super) fn field(runtime: &Runtime, route: &Route) -> TokenStream {
    let (rt, name) = (runtime.path(), described(&route.method));
    quote!(#rt::describe!(Self::#name))
}

/// Returns the value of the table's field for hooks.
pub(super) fn field_of_hooks(controller: &Controller) -> TokenStream {
    let rt = controller.runtime.path();
    let functions = hooks(controller).map(|Hook { method, .. }| {
        let (cfgs, name) = (&method.cfgs, described(method));
        quote!(#(#cfgs)* Self::#name)
    });
    quote!(#rt::describe!(&[#(#functions),*]))
}

/// Returns the hooks whose arguments come from a request.
pub(super) fn hooks(controller: &Controller) -> impl Iterator<Item = &Hook> {
    let hooks = controller.hooks.iter();
    hooks.filter(|hook| matches!(hook.kind.given, Given::Request { .. }))
}

/// Returns the function of a route.
pub(super) fn route(controller: &Controller, route: &Route) -> TokenStream {
    let ladder = match route.kind {
        RouteKind::Http => quote!(described_reply),
        RouteKind::Sse(_) => quote!(described_stream),
    };
    function(controller, &route.method, |writer| {
        let (docs, declared) = (writer.docs(&route.method), writer.declared(route));
        (quote!(#docs #declared), ladder)
    })
}

/// Returns the function of a hook.
pub(super) fn hook(controller: &Controller, hook: &Hook) -> TokenStream {
    let nothing = TokenStream::new();
    function(controller, &hook.method, |_| {
        (nothing, quote!(described_hook))
    })
}

/// Returns a function that tells what is declared, and then, with a macro of the runtime, what is returned.
fn function(
    controller: &Controller,
    method: &Method,
    told_by: impl FnOnce(&Writer<'_>) -> (TokenStream, TokenStream),
) -> TokenStream {
    let rt = controller.runtime.path();
    let told = Ident::new("told", Span::mixed_site());
    let writer = Writer {
        runtime: &controller.runtime,
        rt: &rt,
        told: &told,
    };
    let (cfgs, allowed, name) = (&method.cfgs, &method.allowed, described(method));
    let arguments = method.arguments.iter().map(|it| writer.argument(it));
    let (declared, ladder) = told_by(&writer);
    let given = writer.given(method, &ladder);
    quote! {
        #rt::described! {
            #(#cfgs)*
            #(#allowed)*
            #[doc(hidden)]
            fn #name(#told: &mut #rt::Description) {
                #(#arguments)*
                #declared
                #given
            }
        }
    }
}

struct Writer<'a> {
    runtime: &'a Runtime,
    rt: &'a TokenStream,
    told: &'a Ident,
}

impl Writer<'_> {
    fn docs(&self, method: &Method) -> TokenStream {
        let (told, docs) = (self.told, &method.docs);
        let docs = (!docs.is_empty()).then(|| quote!(#told.docs(#docs);));
        let deprecated = method.is_deprecated.then(|| quote!(#told.deprecated();));
        quote!(#docs #deprecated)
    }

    fn argument(&self, argument: &Argument) -> TokenStream {
        let Self { rt, told, .. } = self;
        let (source, ty) = (&argument.source, &argument.bound);
        match source.kind.binding {
            Binding::Value(function) => {
                let function = Ident::new(function, Span::call_site());
                let name = source.name.iter().map(|name| &name.text);
                let default = source.default.as_ref().map(|value| {
                    let value = filled_in(argument, value);
                    quote!(#told.absent_as(#rt::default_value!(#ty, #value));)
                });
                quote! {
                    #told.#function::<#ty>(#(#name,)* #rt::schema!(#ty));
                    #default
                }
            }
            Binding::Body => {
                let (json, form) = (source.json, source.form);
                quote!(#told.body::<#ty>(#json, #form, #rt::schema!(#ty));)
            }
            Binding::ByType => quote!(#rt::described_argument!(#told, #ty);),
            Binding::Inside(_) | Binding::Handle(_) | Binding::Lent(_) => TokenStream::new(),
        }
    }

    /// Describes the attributes. An error about a type points to the place where it is written.
    fn declared(&self, route: &Route) -> TokenStream {
        let told = self.told;
        let mut declared = TokenStream::new();
        for answer in &route.extras.answers {
            let (status, media) = (answer.status, self.media(answer));
            declared.extend(match &answer.ty {
                Some(ty) => {
                    let span = ty.span();
                    quote_spanned!(span=> #told.answers::<#ty>(#status, #media);)
                }
                None => quote!(#told.answers_with(#status, #media);),
            });
        }
        for header in &route.extras.headers {
            if header.name.value() == "content-type" {
                let media = &header.value;
                declared.extend(quote!(#told.media(#media);));
            }
        }
        if let Some(accepts) = &route.extras.accepts {
            let (media, ty) = (self.media(accepts), &accepts.ty);
            let span = ty.span();
            declared.extend(quote_spanned!(span=> #told.accepts::<#ty>(#media);));
        }
        if let RouteKind::Sse(options) = &route.kind
            && let Some(events) = &options.events
        {
            let span = events.span();
            declared.extend(quote_spanned!(span=> #told.events::<#events>();));
        }
        declared
    }

    fn media(&self, described: &Described) -> TokenStream {
        let rt = self.runtime.at(described.span());
        match &described.media {
            Some(media) => quote!(#rt::Some(#media)),
            None => quote!(#rt::None),
        }
    }

    /// Describes the return type, by a call that never runs.
    fn given(&self, method: &Method, ladder: &TokenStream) -> TokenStream {
        let Self { rt, told, .. } = self;
        let is_of = match method.is_async {
            true => quote!(is_of_future),
            false => quote!(is_of),
        };
        let (name, arguments) = (&method.name, method.arguments.iter());
        let arguments = arguments.map(|_| quote!(#rt::never()));
        quote!(#rt::#ladder!(#told, #is_of Self::#name(#rt::never() #(, #arguments)*));)
    }
}

impl ToTokens for Described {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.media.to_tokens(tokens);
        self.ty
            .as_ref()
            .map(Type::to_token_stream)
            .to_tokens(tokens);
    }
}
