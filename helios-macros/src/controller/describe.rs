//! Generates the function that describes a route's types for the OpenAPI document. It is wrapped in a macro of the
//! runtime that drops it without the feature.
//!
//! rustc infers the types. The method is called in a closure that is checked and never runs.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Type;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::bind::filled_in;
use super::model::{Argument, Binding, Controller, Described, Method, Route, RouteKind};
use crate::runtime::Runtime;

/// The name of the function that describes a method.
fn described(method: &Method) -> Ident {
    let name = method.name.unraw();
    format_ident!("__helios_describe_{}", name, span = Span::mixed_site())
}

/// Returns the value of the table's field.
pub(super) fn field(runtime: &Runtime, route: &Route) -> TokenStream {
    let (rt, name) = (runtime.path(), described(&route.method));
    quote!(#rt::describe!(Self::#name))
}

/// Returns the function.
pub(super) fn function(controller: &Controller, route: &Route) -> TokenStream {
    let (rt, method) = (controller.runtime.path(), &route.method);
    let told = Ident::new("told", Span::mixed_site());
    let writer = Writer {
        runtime: &controller.runtime,
        rt: &rt,
        told: &told,
    };
    let (cfgs, allowed, name) = (&method.cfgs, &method.allowed, described(method));
    let docs = (!method.docs.is_empty()).then(|| {
        let docs = &method.docs;
        quote!(#told.docs(#docs);)
    });
    let deprecated = method.is_deprecated.then(|| quote!(#told.deprecated();));
    let arguments = method.arguments.iter().map(|it| writer.argument(it));
    let declared = writer.declared(route);
    let given = writer.given(route);
    quote! {
        #rt::described! {
            #(#cfgs)*
            #(#allowed)*
            #[doc(hidden)]
            fn #name(#told: &mut #rt::Description) {
                #docs
                #deprecated
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
    fn given(&self, route: &Route) -> TokenStream {
        let Self { rt, told, .. } = self;
        let method = &route.method;
        let ladder = match route.kind {
            RouteKind::Http => quote!(described_reply),
            RouteKind::Sse(_) => quote!(described_stream),
        };
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
