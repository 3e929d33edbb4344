//! An attribute as it is written: its name, and the contents of its parentheses.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{Parse, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Path, Token};

use crate::args::Args;
use crate::diagnostics::Errors;

/// Returns the name of an attribute without its path.
pub(crate) fn short_name(attribute: &Attribute) -> String {
    let last = attribute.path().segments.last();
    last.map_or_else(String::new, |last| last.ident.to_string())
}

/// Returns the contents of an attribute's parentheses, or nothing if it has none.
pub(crate) fn tokens(attribute: &Attribute, errors: &mut Errors) -> TokenStream {
    match &attribute.meta {
        Meta::Path(_) => TokenStream::new(),
        Meta::List(list) => list.tokens.clone(),
        Meta::NameValue(pair) => {
            let name = pair.path.to_token_stream();
            let value = pair.value.to_token_stream();
            errors.at(&pair.value, format_args!("write `#[{name}({value})]`"));
            value
        }
    }
}

/// Returns the contents of the parentheses as positional and named values.
pub(crate) fn args(attribute: &Attribute, errors: &mut Errors) -> Args {
    let tokens = tokens(attribute, errors);
    Args::parse(tokens, errors)
}

/// Returns the contents of the parentheses as a list that is not empty.
pub(crate) fn list<T: Parse>(attribute: &Attribute, errors: &mut Errors) -> Vec<T> {
    let tokens = tokens(attribute, errors);
    let Some(list) = errors.take(Punctuated::<T, Token![,]>::parse_terminated.parse2(tokens))
    else {
        return Vec::new();
    };
    if list.is_empty() {
        let name = short_name(attribute);
        errors.at(
            attribute.path(),
            format_args!("`#[{name}(..)]` takes a list, which is missing"),
        );
    }
    list.into_iter().collect()
}

/// Refuses our attributes inside `cfg_attr`. It is resolved after this macro has run, so it would hide them.
pub(crate) fn refuse_cfg_attr(
    attribute: &Attribute,
    is_ours: impl Fn(&Path) -> bool,
    errors: &mut Errors,
) {
    if !attribute.path().is_ident("cfg_attr") {
        return;
    }
    let parsed = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let held = parsed.into_iter().flatten().skip(1);
    for meta in held.filter(|meta| is_ours(meta.path())) {
        let name = meta.path().to_token_stream();
        errors.at(
            meta.path(),
            format_args!("`cfg_attr` cannot hold `#[{name}]`: put `#[cfg(..)]` on the method"),
        );
    }
}
