//! An item may name itself: in the types of its fields, and in the expressions and paths of its attributes, such as
//! `#[garde(length(max = Self::MOST))]`. The copy of an item has no functions, constants or traits, so its own name is made to lead to the
//! original.

use proc_macro2::{Delimiter, Group, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, DeriveInput, Expr, Generics, Ident, Index, Meta, Token};

/// The keys whose values are code in quotes.
const KEYS: [&str; 14] = [
    "default",
    "skip_serializing_if",
    "schema_with",
    "serialize_with",
    "deserialize_with",
    "with",
    "bound",
    "from",
    "try_from",
    "into",
    "min",
    "max",
    "equal",
    "path",
];

/// The item that is copied, and its name where the copy is.
pub(super) struct Original {
    name: Ident,
    alias: Ident,
    /// The alias with the item's own parameters.
    ty: TokenStream,
}

impl Original {
    pub(super) fn new(item: &DeriveInput, alias: &Ident) -> Self {
        let (_, generics, _) = item.generics.split_for_impl();
        let turbofish = generics.as_turbofish();
        Self {
            name: item.ident.clone(),
            alias: alias.clone(),
            ty: quote!(#alias #turbofish),
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

    /// Changes the bounds, which the copy need not meet.
    pub(super) fn redirect_generics(&self, generics: &mut Generics) {
        for param in &mut generics.params {
            self.redirect_part(param);
        }
        if let Some(clause) = &mut generics.where_clause {
            self.redirect_part(clause);
        }
    }

    /// Changes a type, or another part of the item.
    pub(super) fn redirect_part(&self, part: &mut (impl Parse + ToTokens)) {
        if let Ok(redirected) = syn::parse2(self.redirected(part.to_token_stream(), None)) {
            *part = redirected;
        }
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
        let mut all = Vec::new();
        let mut names_item = false;
        while let Some(token) = tokens.next() {
            let key = match &token {
                TokenTree::Ident(name) => KEYS.iter().find(|key| name == *key),
                _ => None,
            };
            let has_value =
                matches!(tokens.peek(), Some(TokenTree::Punct(it)) if it.as_char() == '=');
            // `Item = u8` binds an associated type.
            let is_named = !has_value && self.is_named(&token, &all);
            let is_called = std::mem::replace(&mut names_item, is_named);
            match token {
                TokenTree::Group(group) => {
                    let inner = self.redirected(group.stream(), default);
                    let inner = Group::new(group.delimiter(), inner);
                    all.push(self.built(inner, is_called, group.span()).into());
                }
                TokenTree::Ident(name) if names_item => all.extend(self.leading_here(&name)),
                other => all.push(other),
            }
            match (key, default) {
                (Some(_), _) if has_value => {
                    all.extend(tokens.next());
                    let value = tokens.next_if(|it| matches!(it, TokenTree::Literal(_)));
                    all.extend(value.map(|value| self.in_quotes(value)));
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
        all.into_iter().collect()
    }

    /// Whether a token is the item's name, and not one in a path that has begun, such as that of a variant.
    fn is_named(&self, token: &TokenTree, before: &[TokenTree]) -> bool {
        let TokenTree::Ident(name) = token else {
            return false;
        };
        let is_colon =
            |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ':');
        let is_in_path =
            matches!(before, [.., first, second] if is_colon(first) && is_colon(second));
        !is_in_path && (name == "Self" || name.unraw() == self.name.unraw())
    }

    /// Returns a group. If it builds a tuple struct, its fields are numbered, since an alias cannot be called.
    fn built(&self, group: Group, is_called: bool, span: Span) -> Group {
        let fields = || {
            let is_call = is_called && group.delimiter() == Delimiter::Parenthesis;
            let parser = Punctuated::<Expr, Token![,]>::parse_terminated;
            let fields = parser.parse2(group.stream()).ok().filter(|_| is_call)?;
            let fields = fields.into_iter().enumerate().map(|(index, field)| {
                let index = Index::from(index);
                quote!(#index: #field)
            });
            Some(Group::new(Delimiter::Brace, quote!(#(#fields),*)))
        };
        let mut group = fields().unwrap_or(group.clone());
        group.set_span(span);
        group
    }

    /// Returns the name of the original in place of the item's own.
    fn leading_here(&self, name: &Ident) -> TokenStream {
        if name == "Self" {
            return self.ty.clone();
        }
        let mut alias = self.alias.clone();
        alias.set_span(name.span());
        alias.into_token_stream()
    }

    /// Returns a value, in which names lead to the original if it is code in quotes.
    fn in_quotes(&self, value: TokenTree) -> TokenTree {
        let redirected = || {
            let text: syn::LitStr = syn::parse2(value.to_token_stream()).ok()?;
            let code: TokenStream = text.parse().ok()?;
            let (before, after) = (code.to_string(), self.redirected(code, None).to_string());
            let mut literal = Literal::string(&after);
            literal.set_span(value.span());
            (before != after).then(|| literal.into())
        };
        redirected().unwrap_or(value)
    }
}
