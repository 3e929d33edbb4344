//! One spanned call for each argument.
//!
//! Every token of a call, its path too, carries the span of the argument's type: an unmet bound is then one error at
//! that type, and not at the method or the attribute.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Generics, Type};

use super::model::{Argument, Name, Passed, Source};
use crate::runtime::Runtime;
use crate::types;

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

const WHOLE: [&str; 4] = ["Json", "Form", "Query", "Path"];

/// The arguments of one hidden function.
pub(super) struct Binder<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) place: Place,
    pub(super) arguments: &'a [Argument],
    /// Those of the impl.
    pub(super) generics: &'a Generics,
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
            .position(|argument| matches!(argument.source, Source::Body { .. }));
        let unmarked = || self.arguments.iter().rposition(Argument::is_unmarked);
        marked.or_else(|| unmarked().filter(|_| self.place.takes_body()))
    }

    fn binding(&self, index: usize, argument: &Argument) -> TokenStream {
        let (span, local) = (argument.bound.span(), local(index));
        let (rt, call, ty) = (self.runtime.at(span), &self.call, self.bound_type(argument));
        let validation = self.validation(index, argument);
        let value = match &argument.source {
            Source::Param { name, .. } => named(&rt, "param", &ty, call, name),
            Source::Query { name, .. } => named(&rt, "query", &ty, call, name),
            Source::Header { name, .. } => named(&rt, "header", &ty, call, name),
            Source::Cookie { name, .. } => named(&rt, "cookie", &ty, call, name),
            Source::LastEventId { inner, .. } => {
                quote_spanned!(span=> #rt::last_event_id::<#inner>(#call))
            }
            Source::Inject(inner) => quote_spanned!(span=> #rt::inject::<#inner>(#call)),
            Source::InjectSse => quote_spanned!(span=> #rt::inject_sse(#call)),
            Source::Body { .. } => {
                let raw = format_ident!("raw{}", index, span = span);
                return quote_spanned! {span=>
                    let #raw = #rt::read_body(#call).await;
                    let #local: #rt::Option<#ty> = #rt::body(#call, #raw);
                    #validation
                };
            }
            Source::Unmarked => self.unmarked(index, span),
            Source::Request | Source::Response => return TokenStream::new(),
        };
        quote_spanned!(span=> let #local: #rt::Option<#ty> = #value; #validation)
    }

    /// Validates what may hold a whole part of the request. Of a type that depends on a type parameter only the bounds
    /// are known, so that it has to be one that is validated.
    fn validation(&self, index: usize, argument: &Argument) -> TokenStream {
        let (ty, span, local) = (&argument.bound, argument.bound.span(), local(index));
        let (rt, call) = (self.runtime.at(span), &self.call);
        let is_generic = types::mentions_param(ty, self.generics);
        match argument.source {
            Source::Body {
                unvalidated: false, ..
            } if is_generic => {
                quote_spanned!(span=> let #local = #rt::validated_body::<#ty>(#call, #local);)
            }
            Source::Body {
                unvalidated: false, ..
            } => {
                quote_spanned!(span=> let #local = #rt::validated!(body, #call, #local);)
            }
            Source::Unmarked if is_generic && is_whole(ty) => {
                // The bound is one of what is inside, so that rustc blames the value instead of the type.
                let bound = format_ident!("bound{}", index, span = span);
                quote_spanned! {span=>
                    let #bound = #local;
                    let #local = #rt::validated_whole(#call, #bound);
                }
            }
            Source::Unmarked if !is_generic => {
                quote_spanned!(span=> let #local = #rt::validated!(argument, #call, #local);)
            }
            _ => TokenStream::new(),
        }
    }

    /// The type is left to the annotation: a bound on the type argument of an async function is reported twice.
    fn unmarked(&self, index: usize, span: Span) -> TokenStream {
        let (rt, call) = (self.runtime.at(span), &self.call);
        let place = self.place.marker(span);
        if self.body() == Some(index) {
            quote_spanned!(span=> #rt::last_argument::<#rt::#place, _, _>(#call).await)
        } else {
            quote_spanned!(span=> #rt::argument::<#rt::#place, _>(#call).await)
        }
    }

    /// What a value with a default is bound as: it may be absent.
    fn bound_type(&self, argument: &Argument) -> TokenStream {
        let ty = &argument.bound;
        let span = ty.span();
        let rt = self.runtime.at(span);
        match default_of(argument) {
            Some(_) => quote_spanned!(span=> #rt::Option<#ty>),
            None => quote!(#ty),
        }
    }
}

/// Binds one value by its name.
fn named(
    rt: &TokenStream,
    binder: &str,
    ty: &TokenStream,
    call: &TokenStream,
    name: &Name,
) -> TokenStream {
    let span = rt.span();
    let (binder, name) = (Ident::new(binder, span), &name.text);
    quote_spanned!(span=> #rt::#binder::<#ty>(#call, #name))
}

/// Lends the request and the response's head to whoever takes them. A wrong type is blamed on itself: the value gets
/// there under a name with the type's span.
pub(super) fn lend(
    arguments: &[Argument],
    request: &TokenStream,
    head: &TokenStream,
) -> TokenStream {
    let lent = arguments.iter().enumerate().map(|(index, argument)| {
        let value = match argument.source {
            Source::Request => request,
            Source::Response => head,
            _ => return TokenStream::new(),
        };
        let (local, ty) = (local(index), &argument.declared);
        let lent = format_ident!("lent{}", index, span = ty.span());
        quote! {
            let #lent = #value;
            let #local: #ty = #lent;
        }
    });
    lent.collect()
}

/// What the method is called with.
pub(super) fn passed(arguments: &[Argument]) -> Vec<TokenStream> {
    let passed = arguments.iter().enumerate().map(|(index, argument)| {
        let local = local(index);
        match argument.passed {
            Passed::Shared if is_bound(argument) => quote!(&#local),
            Passed::Mutable if is_bound(argument) => quote!(&mut #local),
            _ => quote!(#local),
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

fn default_of(argument: &Argument) -> Option<&Expr> {
    match &argument.source {
        Source::Query { default, .. }
        | Source::Header { default, .. }
        | Source::Cookie { default, .. }
        | Source::LastEventId { default, .. } => default.as_ref(),
        _ => None,
    }
}

/// Helios' own wrappers of a whole part of the request, as they are usually written, or a `Result` of one.
fn is_whole(ty: &Type) -> bool {
    let ty = types::in_result(ty);
    WHOLE.iter().any(|name| types::is_named(ty, name))
}

/// Fills in what is absent.
fn default(index: usize, argument: &Argument) -> TokenStream {
    let Some(value) = default_of(argument) else {
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
