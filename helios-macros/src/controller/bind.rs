//! One spanned call for each argument.
//!
//! Every token of a call, its path too, carries the span of the argument's type: an unmet bound is then one error at
//! that type, and not at the method or the attribute.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Type};

use super::model::{Argument, Passed, Source};
use crate::runtime::Runtime;

/// Where arguments are bound: it decides what a type without an attribute may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Http,
    /// `takes_body`: whether the request may bring one.
    Sse {
        takes_body: bool,
    },
    OnConnection,
}

impl Place {
    fn marker(self, span: Span) -> Ident {
        let name = match self {
            Self::Http => "Http",
            Self::Sse { .. } => "Sse",
            Self::OnConnection => "OnConnection",
        };
        Ident::new(name, span)
    }

    fn takes_body(self) -> bool {
        match self {
            Self::Http => true,
            Self::Sse { takes_body } => takes_body,
            Self::OnConnection => false,
        }
    }
}

/// The arguments of one hidden function.
pub(super) struct Binder<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) place: Place,
    pub(super) arguments: &'a [Argument],
    /// An expression for the `&mut Call`.
    pub(super) call: TokenStream,
    /// What to return when an argument could not be bound.
    pub(super) refusal: TokenStream,
}

impl Binder<'_> {
    /// The statements that bind every argument, or return with all that is wrong.
    pub(super) fn statements(&self) -> TokenStream {
        let bound: Vec<_> = self.order().collect();
        if bound.is_empty() {
            return TokenStream::new();
        }
        let rt = self.runtime.path();
        let locals: Vec<_> = bound.iter().map(|(index, _)| local(*index)).collect();
        let calls = bound
            .iter()
            .map(|(index, argument)| self.binding(*index, argument));
        let patterns = bound.iter().map(|(index, argument)| {
            let (local, mutability) = (local(*index), mutability(argument));
            quote!(#rt::Some(#mutability #local),)
        });
        let defaults = bound
            .iter()
            .map(|(index, argument)| default(*index, argument));
        let refusal = &self.refusal;
        quote! {
            #(#calls)*
            let (#(#patterns)*) = (#(#locals,)*) else { return #refusal };
            #(#defaults)*
        }
    }

    /// Whoever takes the body comes last: the others only read the head.
    fn order(&self) -> impl Iterator<Item = (usize, &Argument)> {
        let bound = || {
            self.arguments
                .iter()
                .enumerate()
                .filter(|(_, argument)| is_bound(argument))
        };
        let body = self.body();
        let others = bound().filter(move |(index, _)| Some(*index) != body);
        others.chain(bound().filter(move |(index, _)| Some(*index) == body))
    }

    /// The argument that may take the body: `#[body]`, or the last one without an attribute.
    fn body(&self) -> Option<usize> {
        let marked = self
            .arguments
            .iter()
            .position(|argument| matches!(argument.source, Source::Body));
        let unmarked = || self.arguments.iter().rposition(Argument::is_unmarked);
        marked.or_else(|| unmarked().filter(|_| self.place.takes_body()))
    }

    fn binding(&self, index: usize, argument: &Argument) -> TokenStream {
        let (span, local) = (argument.bound.span(), local(index));
        let (rt, call, ty) = (self.runtime.at(span), &self.call, &argument.bound);
        let value = match &argument.source {
            Source::Param { name, .. } => {
                let name = &name.text;
                quote_spanned!(span=> #rt::param::<#ty>(#call, #name))
            }
            Source::Query { name, default } => {
                let (name, ty) = (&name.text, optional(ty, default.as_ref(), &rt, span));
                quote_spanned!(span=> #rt::query::<#ty>(#call, #name))
            }
            Source::Header { name, default } => {
                let (name, ty) = (&name.text, optional(ty, default.as_ref(), &rt, span));
                quote_spanned!(span=> #rt::header::<#ty>(#call, #name))
            }
            Source::LastEventId { inner, .. } => {
                quote_spanned!(span=> #rt::last_event_id::<#inner>(#call))
            }
            Source::Body => quote_spanned!(span=> #rt::body(#call).await),
            Source::Inject(inner) => {
                return quote_spanned!(span=> let #local: #rt::Option<#ty> = #rt::inject::<#inner>(#call););
            }
            Source::InjectSse => {
                return quote_spanned!(span=> let #local: #rt::Option<#ty> = #rt::inject_sse(#call););
            }
            Source::Unmarked => self.unmarked(index, argument),
            Source::Request | Source::Response => return TokenStream::new(),
        };
        quote!(let #local = #value;)
    }

    fn unmarked(&self, index: usize, argument: &Argument) -> TokenStream {
        let (span, ty, call) = (argument.declared.span(), &argument.bound, &self.call);
        let (rt, place) = (self.runtime.at(span), self.place.marker(span));
        if self.body() == Some(index) {
            quote_spanned!(span=> #rt::last_argument::<#rt::#place, #ty, _>(#call).await)
        } else {
            quote_spanned!(span=> #rt::argument::<#rt::#place, #ty>(#call).await)
        }
    }
}

/// What the method is called with: `request` and `head` stand for `#[req]` and `#[res]`.
pub(super) fn passed(
    arguments: &[Argument],
    request: &TokenStream,
    head: &TokenStream,
) -> Vec<TokenStream> {
    let passed = arguments.iter().enumerate().map(|(index, argument)| {
        let local = local(index);
        match (&argument.source, argument.passed) {
            (Source::Request, _) => at_type(argument, request),
            (Source::Response, _) => at_type(argument, head),
            (_, Passed::Owned) => quote!(#local),
            (_, Passed::Shared) => quote!(&#local),
            (_, Passed::Mutable) => quote!(&mut #local),
        }
    });
    passed.collect()
}

/// A local variable of a hidden function, which nothing of the user can see.
pub(super) fn local(index: usize) -> Ident {
    format_ident!("a{}", index, span = Span::mixed_site())
}

pub(super) fn mutability(argument: &Argument) -> TokenStream {
    match argument.passed {
        Passed::Mutable => quote!(mut),
        Passed::Owned | Passed::Shared => TokenStream::new(),
    }
}

fn is_bound(argument: &Argument) -> bool {
    !matches!(argument.source, Source::Request | Source::Response)
}

/// A wrong type is blamed on the type that the user wrote.
fn at_type(argument: &Argument, tokens: &TokenStream) -> TokenStream {
    let span = argument.declared.span();
    let moved = tokens.clone().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(span));
        token
    });
    moved.collect()
}

fn optional(ty: &Type, default: Option<&Expr>, rt: &TokenStream, span: Span) -> TokenStream {
    match default {
        Some(_) => quote_spanned!(span=> #rt::Option<#ty>),
        None => quote!(#ty),
    }
}

/// Fills in what is absent.
fn default(index: usize, argument: &Argument) -> TokenStream {
    let (Source::Query {
        default: Some(value),
        ..
    }
    | Source::Header {
        default: Some(value),
        ..
    }
    | Source::LastEventId {
        default: Some(value),
        ..
    }) = &argument.source
    else {
        return TokenStream::new();
    };
    let (local, ty) = (local(index), &argument.bound);
    let value = match &argument.declared {
        Type::Reference(_) => {
            let span = value.span();
            quote_spanned!(span=> <#ty as ::std::convert::From<_>>::from(#value))
        }
        _ => quote!(#value),
    };
    quote!(let #local: #ty = #local.unwrap_or_else(|| #value);)
}
