//! One spanned call for each argument.
//!
//! Every token of a call, including its path, has the span of the argument's type. So an unmet bound is one error at
//! that type, and not at the method or the attribute.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Generics, Type};

use super::model::{Argument, Binding, Lent, Passed, TakesBody};
use crate::runtime::Runtime;
use crate::types;

/// The method whose arguments are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The runtime's type for this place. It decides which types are allowed without an attribute.
    pub(super) marker: &'static str,
    /// Whether an argument may take the body.
    pub(super) takes_body: bool,
}

const WHOLE: [&str; 4] = ["Json", "Form", "Query", "Path"];

/// The arguments of one generated function.
pub(super) struct Binder<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) place: Place,
    pub(super) arguments: &'a [Argument],
    /// The generics of the impl.
    pub(super) generics: &'a Generics,
    /// The expression for the `&mut Call`.
    pub(super) call: TokenStream,
    /// Returned if an argument could not be bound.
    pub(super) refusal: TokenStream,
}

impl Binder<'_> {
    /// Returns the statements that bind every argument, or return with all errors.
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

    /// The argument that takes the body comes last, since the others only read the head.
    fn order(&self) -> impl Iterator<Item = (usize, &Argument)> {
        let bound = || {
            self.arguments
                .iter()
                .enumerate()
                .filter(|(_, argument)| !argument.is_lent())
        };
        let body = self.body();
        let others = bound().filter(move |(index, _)| Some(*index) != body);
        others.chain(bound().filter(move |(index, _)| Some(*index) == body))
    }

    /// Returns the argument that may take the body: `#[body]`, or the last one without an attribute.
    fn body(&self) -> Option<usize> {
        let marked = self
            .arguments
            .iter()
            .position(|argument| argument.source.kind.takes_body == TakesBody::Always);
        let unmarked = || self.arguments.iter().rposition(Argument::is_unmarked);
        marked.or_else(|| unmarked().filter(|_| self.place.takes_body))
    }

    fn binding(&self, index: usize, argument: &Argument) -> TokenStream {
        let (span, local) = (argument.bound.span(), local(index));
        let (rt, call, ty) = (self.runtime.at(span), &self.call, self.bound_type(argument));
        let name = argument.source.name.iter().map(|name| &name.text);
        let value = match argument.source.kind.binding {
            Binding::Value(function) => {
                let function = Ident::new(function, span);
                quote_spanned!(span=> #rt::#function::<#ty>(#call #(, #name)*))
            }
            Binding::Inside(function) => {
                let (function, inner) = (Ident::new(function, span), argument.asked());
                quote_spanned!(span=> #rt::#function::<#inner>(#call))
            }
            Binding::Handle(function) => {
                let function = Ident::new(function, span);
                quote_spanned!(span=> #rt::#function(#call))
            }
            Binding::Body => return self.body_binding(index, argument),
            Binding::ByType => self.by_type(index, span),
            Binding::Lent(_) => return TokenStream::new(),
        };
        let validation = self.validation(index, argument);
        quote_spanned!(span=> let #local: #rt::Option<#ty> = #value; #validation)
    }

    fn body_binding(&self, index: usize, argument: &Argument) -> TokenStream {
        let (ty, span, local) = (&argument.bound, argument.bound.span(), local(index));
        let (rt, call) = (self.runtime.at(span), &self.call);
        let raw = format_ident!("raw{}", index, span = span);
        let read = match (argument.source.json, argument.source.form) {
            (_, false) => "read_json",
            (false, true) => "read_form",
            (true, true) => "read_json_or_form",
        };
        let read = Ident::new(read, span);
        let validation = self.validation(index, argument);
        quote_spanned! {span=>
            let #raw = #rt::#read(#call).await;
            let #local: #rt::Option<#ty> = #rt::body(#call, #raw);
            #validation
        }
    }

    /// Validates arguments that may hold a whole part of the request. For a type that depends on a type parameter, only
    /// the bounds are known, so it must be a type that is validated.
    fn validation(&self, index: usize, argument: &Argument) -> TokenStream {
        let (ty, span, local) = (&argument.bound, argument.bound.span(), local(index));
        let (rt, call) = (self.runtime.at(span), &self.call);
        let is_generic = types::mentions_param(ty, self.generics);
        match argument.source.kind.binding {
            Binding::Body if argument.source.unvalidated => TokenStream::new(),
            Binding::Body if is_generic => {
                quote_spanned!(span=> let #local = #rt::validated_body::<#ty>(#call, #local);)
            }
            Binding::Body => {
                quote_spanned!(span=> let #local = #rt::validated!(body, #call, #local);)
            }
            Binding::ByType if is_generic && is_whole(ty) => {
                // The bound is on the inner type, so that rustc blames the value instead of the type.
                let bound = format_ident!("bound{}", index, span = span);
                quote_spanned! {span=>
                    let #bound = #local;
                    let #local = #rt::validated_whole(#call, #bound);
                }
            }
            Binding::ByType if is_generic => TokenStream::new(),
            Binding::ByType => {
                quote_spanned!(span=> let #local = #rt::validated!(argument, #call, #local);)
            }
            Binding::Value(_) | Binding::Inside(_) | Binding::Handle(_) | Binding::Lent(_) => {
                TokenStream::new()
            }
        }
    }

    /// The type is left to the annotation, because rustc reports a bound on the type argument of an async function
    /// twice.
    fn by_type(&self, index: usize, span: Span) -> TokenStream {
        let (rt, call) = (self.runtime.at(span), &self.call);
        let place = Ident::new(self.place.marker, span);
        if self.body() == Some(index) {
            quote_spanned!(span=> #rt::last_argument::<#rt::#place, _, _>(#call).await)
        } else {
            quote_spanned!(span=> #rt::argument::<#rt::#place, _>(#call).await)
        }
    }

    /// Returns the type to bind. A value with a default may be absent.
    fn bound_type(&self, argument: &Argument) -> TokenStream {
        let ty = &argument.bound;
        let span = ty.span();
        let rt = self.runtime.at(span);
        match argument.source.default {
            Some(_) => quote_spanned!(span=> #rt::Option<#ty>),
            None => quote!(#ty),
        }
    }
}

/// Lends the request and the response's head to the arguments that borrow them. Errors point at a wrong type, because
/// the value is passed under a name with the type's span.
pub(super) fn lend(
    arguments: &[Argument],
    request: &TokenStream,
    head: &TokenStream,
) -> TokenStream {
    let lent = arguments.iter().enumerate().map(|(index, argument)| {
        let value = match argument.source.kind.binding {
            Binding::Lent(Lent::Request) => request,
            Binding::Lent(Lent::ResponseHead) => head,
            Binding::Value(_)
            | Binding::Inside(_)
            | Binding::Handle(_)
            | Binding::Body
            | Binding::ByType => return TokenStream::new(),
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

/// Returns the arguments of the call.
pub(super) fn passed(arguments: &[Argument]) -> Vec<TokenStream> {
    let passed = arguments.iter().enumerate().map(|(index, argument)| {
        let local = local(index);
        match argument.passed {
            Passed::Shared if !argument.is_lent() => quote!(&#local),
            Passed::Mutable if !argument.is_lent() => quote!(&mut #local),
            Passed::Owned | Passed::Shared | Passed::Mutable => quote!(#local),
        }
    });
    passed.collect()
}

/// Returns a local variable of a generated function, which user code cannot see.
pub(super) fn local(index: usize) -> Ident {
    format_ident!("a{}", index, span = Span::mixed_site())
}

pub(super) fn mutability(argument: &Argument) -> TokenStream {
    match argument.passed {
        Passed::Mutable => quote!(mut),
        Passed::Owned | Passed::Shared => TokenStream::new(),
    }
}

/// Whether a type is one of Helios' wrappers of a whole part of the request, by its usual name, or a `Result` of one.
fn is_whole(ty: &Type) -> bool {
    let ty = types::in_result(ty);
    WHOLE.iter().any(|name| types::is_named(ty, name))
}

/// Fills in an absent value.
fn default(index: usize, argument: &Argument) -> TokenStream {
    let Some(value) = &argument.source.default else {
        return TokenStream::new();
    };
    let (local, ty) = (local(index), &argument.bound);
    let value = filled_in(argument, value);
    quote!(let #local: #ty = #local.unwrap_or_else(|| #value);)
}

/// Returns a default as the type that is bound.
pub(super) fn filled_in(argument: &Argument, value: &Expr) -> TokenStream {
    let ty = &argument.bound;
    match &argument.declared {
        Type::Reference(_) => {
            let span = value.span();
            quote_spanned!(span=> <#ty as ::std::convert::From<_>>::from(#value))
        }
        _ => quote!(#value),
    }
}
