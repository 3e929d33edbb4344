//! `#[controller]` turns an impl into a table of routes and hooks, with a thin generated function for each.

mod arguments;
mod attributes;
mod bind;
mod check;
mod describe;
mod expand;
mod handlers;
mod hooks;
mod model;
mod parentheses;
mod parse;
mod sources;
mod stream_options;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Ident, Item, ItemImpl};

use crate::diagnostics::Errors;

/// Expands the attribute on an item.
pub(crate) fn controller(args: TokenStream, item: TokenStream) -> TokenStream {
    match syn::parse2(item) {
        Ok(Item::Impl(item)) => on_impl(args, item),
        Ok(other) => misplaced(&other),
        Err(error) => error.into_compile_error(),
    }
}

fn on_impl(args: TokenStream, mut item: ItemImpl) -> TokenStream {
    let mut errors = Errors::default();
    let mut controller = parse::parse(args, &mut item, &mut errors);
    if !controller.runtime.locate("controller", &mut errors) {
        let errors = errors.compile_errors();
        return quote!(#item #errors);
    }
    check::check(&controller, &mut errors);
    let mut output = item.into_token_stream();
    if errors.is_empty() {
        output.extend(expand::expand(&controller));
    } else {
        output.extend(expand::fallback(&controller));
        output.extend(errors.compile_errors());
    }
    output
}

fn misplaced(item: &Item) -> TokenStream {
    let mut errors = Errors::default();
    match item {
        Item::Struct(item) => errors.at(&item.ident, on_type(&item.ident)),
        Item::Enum(item) => errors.at(&item.ident, on_type(&item.ident)),
        other => errors.at_span(
            other.span(),
            "`#[controller]` belongs on an `impl` of a type",
        ),
    }
    let mut output = item.into_token_stream();
    output.extend(errors.compile_errors());
    output
}

fn on_type(name: &Ident) -> String {
    format!(
        "`#[controller]` belongs on the impl with the routes: put it above `impl {name} {{ .. }}`"
    )
}
