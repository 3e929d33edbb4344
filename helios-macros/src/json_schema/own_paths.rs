//! Attributes name functions by paths, such as `#[serde(default = "Self::size")]`. The copy of an item has no functions, so these paths are
//! made to lead to the original.

use proc_macro2::{Group, Literal, Punct, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Attribute, DeriveInput, Ident, Meta, Path};

/// The keys whose values are paths of functions.
const KEYS: [&str; 5] = [
    "default",
    "skip_serializing_if",
    "schema_with",
    "serialize_with",
    "deserialize_with",
];

/// The item that is copied, and its name where the copy is.
pub(super) struct Original {
    name: Ident,
    path: TokenStream,
    ty: TokenStream,
}

impl Original {
    pub(super) fn new(item: &DeriveInput, alias: &Ident) -> Self {
        let (_, generics, _) = item.generics.split_for_impl();
        let turbofish = generics.as_turbofish();
        Self {
            name: item.ident.clone(),
            path: quote!(#alias #turbofish),
            ty: quote!(#alias #generics),
        }
    }

    /// Changes the attributes of the item itself. Its `default` without a value is the `Default` of the original.
    pub(super) fn redirect_item(&self, attributes: &mut [Attribute]) {
        let ty = &self.ty;
        let default = quote!(<#ty as ::core::default::Default>::default).to_string();
        self.redirect_with(attributes, Some(&default));
    }

    /// Changes the attributes of a variant or field.
    pub(super) fn redirect(&self, attributes: &mut [Attribute]) {
        self.redirect_with(attributes, None);
    }

    fn redirect_with(&self, attributes: &mut [Attribute], default: Option<&str>) {
        for attribute in attributes {
            if let Meta::List(list) = &mut attribute.meta {
                list.tokens = self.redirected(list.tokens.clone(), default);
            }
        }
    }

    fn redirected(&self, tokens: TokenStream, default: Option<&str>) -> TokenStream {
        let mut tokens = tokens.into_iter().peekable();
        let mut all = TokenStream::new();
        while let Some(token) = tokens.next() {
            let key = match &token {
                TokenTree::Ident(name) => KEYS.iter().find(|key| name == *key),
                TokenTree::Group(group) => {
                    let inner = self.redirected(group.stream(), default);
                    let mut group = Group::new(group.delimiter(), inner);
                    group.set_span(token.span());
                    group.to_tokens(&mut all);
                    continue;
                }
                _ => None,
            };
            token.to_tokens(&mut all);
            let has_value =
                matches!(tokens.peek(), Some(TokenTree::Punct(it)) if it.as_char() == '=');
            match (key, default) {
                (Some(_), _) if has_value => {
                    all.extend(tokens.next());
                    all.extend(tokens.next().map(|value| self.leading_here(value)));
                }
                (Some(&"default"), Some(default)) => {
                    let value = Literal::string(default);
                    all.extend([
                        TokenTree::from(Punct::new('=', Spacing::Alone)),
                        value.into(),
                    ]);
                }
                _ => {}
            }
        }
        all
    }

    /// Returns a path in quotes, which leads to the original if it begins with the item.
    fn leading_here(&self, value: TokenTree) -> TokenTree {
        let redirected = || {
            let text: syn::LitStr = syn::parse2(value.to_token_stream()).ok()?;
            let path: Path = text.parse().ok()?;
            let first = &path.segments.first()?.ident;
            let is_here = path.leading_colon.is_none() && path.segments.len() > 1;
            if !is_here || !(first == "Self" || first.unraw() == self.name.unraw()) {
                return None;
            }
            let (original, rest) = (&self.path, path.segments.iter().skip(1));
            let mut literal = Literal::string(&quote!(#original #(::#rest)*).to_string());
            literal.set_span(value.span());
            Some(literal.into())
        };
        redirected().unwrap_or(value)
    }
}
