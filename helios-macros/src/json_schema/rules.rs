//! Rules of garde may compute with the value or with a context, such as `length(min = ctx.least)`. A schema has neither, so it leaves these
//! rules out.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Meta};

use super::names;

/// Returns the name of the context in `#[garde(context(Limits as ctx))]`.
pub(super) fn context(attributes: &[Attribute]) -> Option<String> {
    let rules = attributes.iter().filter_map(rules).flat_map(parts);
    let context = rules.filter(|rule| names(rule, &["context"]));
    let tokens = context.flat_map(|rule| match rule.into_iter().nth(1) {
        Some(TokenTree::Group(group)) => group.stream(),
        _ => TokenStream::new(),
    });
    tokens
        .skip_while(|token| token.to_string() != "as")
        .nth(1)
        .map(|name| name.to_string())
}

/// Removes the rules that need the value or the context.
pub(super) fn remove_computed(attributes: &mut [Attribute], context: Option<&str>) {
    for attribute in attributes {
        let Some(rules) = rules(attribute) else {
            continue;
        };
        let needed: Vec<&str> = ["self"].into_iter().chain(context).collect();
        let kept = parts(rules).into_iter();
        let kept = kept.filter(|rule| !names(rule, &needed));
        let kept: Vec<_> = kept.collect();
        if let Meta::List(list) = &mut attribute.meta {
            list.tokens = quote::quote!(#(#kept),*);
        }
    }
}

fn rules(attribute: &Attribute) -> Option<TokenStream> {
    let list = attribute.meta.require_list().ok()?;
    list.path.is_ident("garde").then(|| list.tokens.clone())
}

/// Splits a list at its commas.
fn parts(list: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for token in list {
        match (&token, parts.last_mut()) {
            (TokenTree::Punct(comma), _) if comma.as_char() == ',' => {
                parts.push(TokenStream::new());
            }
            (_, Some(last)) => last.extend([token]),
            (_, None) => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
