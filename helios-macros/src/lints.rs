//! Lints and generated code. The code contains no `allow`, because a crate that forbids the lint would reject it. rustc
//! reports almost no lints in code with the macro's own spans. These functions handle the exceptions.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, Expr, Meta, parse_quote_spanned};

use crate::runtime::Runtime;

/// The attribute that carries the tokens of [`unlinted`].
const TOKENS: &str = "tokens";

/// Returns a user's name for generated code. Errors still point to it, but lints do not apply.
pub(crate) fn renamed(name: &Ident) -> Ident {
    let mut name = name.clone();
    name.set_span(own(name.span()));
    name
}

/// Returns a user's closure. Without the block, a lint could suggest to replace it by the function that it calls.
pub(crate) fn kept(closure: &Expr) -> Expr {
    let mut closure = closure.clone();
    if let Expr::Closure(inner) = &mut closure {
        let (body, span) = (&inner.body, own(inner.body.span()));
        *inner.body = parse_quote_spanned!(span=> { #body });
    }
    closure
}

/// Returns a position in user code as if the macro had written it.
fn own(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// Returns the lints that a user's item allows or expects, as `allow`s for code that repeats its types.
pub(crate) fn allowed(attributes: &[Attribute]) -> Vec<Attribute> {
    let lists = attributes.iter().filter_map(|attribute| {
        let is_lint = ["allow", "expect"].map(|name| attribute.path().is_ident(name));
        let list = attribute.meta.require_list().ok()?;
        is_lint.contains(&true).then_some(&list.tokens)
    });
    lists
        .map(|lints| syn::parse_quote!(#[allow(#lints)]))
        .collect()
}

/// Whether an item may be deprecated.
pub(crate) fn is_deprecated(attributes: &[Attribute]) -> bool {
    const NAME: &str = "deprecated";
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => list
            .tokens
            .clone()
            .into_iter()
            .any(|token| matches!(token, TokenTree::Ident(name) if name == NAME)),
        meta => meta.path().is_ident(NAME),
    })
}

/// Wraps items that use deprecated names. The lint spares only code that a derive has generated, so a derive generates
/// them.
pub(crate) fn unlinted(runtime: &Runtime, cfgs: &[Attribute], items: &TokenStream) -> TokenStream {
    let (rt, tokens) = (runtime.path(), Ident::new(TOKENS, Span::mixed_site()));
    quote! {
        #(#cfgs)*
        const _: () = {
            #[derive(#rt::Unlinted)]
            #[#tokens(#items)]
            struct __Unlinted;
        };
    }
}

/// Expands that derive.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let Ok(item) = syn::parse2::<DeriveInput>(item) else {
        return TokenStream::new();
    };
    let mut attributes = item.attrs.into_iter();
    let held = attributes.find(|attribute| attribute.path().is_ident(TOKENS));
    match held.map(|attribute| attribute.meta) {
        Some(Meta::List(list)) => rewritten(list.tokens),
        _ => TokenStream::new(),
    }
}

/// Gives the tokens the macro's own spans, except for `$crate`, whose meaning is in its span.
pub(crate) fn rewritten(tokens: TokenStream) -> TokenStream {
    let tokens = tokens.into_iter().map(|mut token| {
        if let TokenTree::Group(group) = &token {
            let mut inner = Group::new(group.delimiter(), rewritten(group.stream()));
            inner.set_span(own(group.span()));
            return inner.into();
        }
        if token.to_string() != "$crate" {
            token.set_span(own(token.span()));
        }
        token
    });
    tokens.collect()
}
