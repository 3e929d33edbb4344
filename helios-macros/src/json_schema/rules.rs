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
    let tokens: Vec<_> = tokens.map(|token| token.to_string()).collect();
    // The type may have an `as` of its own.
    let last = tokens.iter().rposition(|token| token == "as")?;
    tokens.get(last + 1).cloned()
}

/// Removes the rules that need the value or the context.
pub(super) fn remove_computed(attributes: &mut [Attribute], context: Option<&str>) {
    for attribute in attributes {
        let Some(rules) = rules(attribute) else {
            continue;
        };
        let needs_context =
            |rule: &TokenStream| context.is_some_and(|context| names(rule, &[context]));
        let kept = parts(rules).into_iter();
        let kept = kept.filter(|rule| !needs_context(rule) && !names_value(rule.clone()));
        let kept: Vec<_> = kept.collect();
        if let Meta::List(list) = &mut attribute.meta {
            list.tokens = quote::quote!(#(#kept),*);
        }
    }
}

/// Whether `self` is among the tokens, and does not begin a path, such as `self::LEAST`.
fn names_value(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_path = matches!(tokens.peek(), Some(TokenTree::Punct(it)) if it.as_char() == ':');
        match token {
            TokenTree::Group(group) if names_value(group.stream()) => return true,
            TokenTree::Ident(name) if name == "self" && !is_path => return true,
            _ => {}
        }
    }
    false
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
