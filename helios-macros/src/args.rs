//! The contents of an attribute's parentheses: positional values and named ones.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, ExprLit, Ident, Lit, LitBool, LitInt, LitStr, Meta, Path, Token, token,
};

use crate::diagnostics::{Errors, similar};

/// The values in an attribute's parentheses.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<Arg>,
}

/// `key = value`, `key(..)` or `key`.
#[derive(Clone, Debug)]
pub(crate) struct Arg {
    pub(crate) key: Ident,
    pub(crate) value: Value,
}

/// A key of an attribute, and the function that handles its value.
pub(crate) type Key<T> = (&'static str, fn(&mut T, &Arg, &mut Errors));

/// The value that is given to a key.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `key`
    Nothing,
    /// `key = [..]`. The elements may be types, which are not expressions.
    List(token::Bracket, TokenStream),
    /// `key = ..`
    Expr(Expr),
    /// `key(..)`
    Group(TokenStream),
}

impl Args {
    /// Parses a whole list. After a syntax error, the values before it are kept.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let parsed = (|input: ParseStream<'_>| args.fill(input)).parse2(tokens);
        errors.take(parsed);
        args
    }

    fn fill(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        while !input.is_empty() {
            if is_named(input) {
                self.named.push(input.parse()?);
            } else {
                self.positional.push(input.parse()?);
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    /// Reads all helper attributes `#[name(..)]` in one place of a derive's item, as if they were one.
    pub(crate) fn of_helpers(
        name: &str,
        attributes: &[Attribute],
        example: &str,
        errors: &mut Errors,
    ) -> Self {
        let mut all = Self::default();
        for attribute in helpers(name, attributes) {
            match &attribute.meta {
                Meta::List(list) => {
                    let args = Self::parse(list.tokens.clone(), errors);
                    all.named
                        .extend(args.only_named(name, example, errors).named);
                }
                other => errors.at(other, format_args!("write `#[{name}({example})]`")),
            }
        }
        all
    }

    /// Passes each named value to its key, except for unknown and repeated ones.
    pub(crate) fn set<T>(
        self,
        target: &mut T,
        attribute: &str,
        keys: &[Key<T>],
        errors: &mut Errors,
    ) {
        for (arg, set) in self.known(attribute, keys, errors) {
            set(target, &arg, errors);
        }
    }

    fn known<T>(self, attribute: &str, keys: &[Key<T>], errors: &mut Errors) -> Vec<Known<T>> {
        let mut known: Vec<Known<T>> = Vec::new();
        for arg in self.named {
            let name = arg.name();
            let Some((_, set)) = keys.iter().find(|(key, _)| *key == name) else {
                errors.at(&arg.key, unknown(attribute, &name, &names(keys)));
                continue;
            };
            if known.iter().any(|(other, _)| other.key == arg.key) {
                errors.at(&arg.key, format_args!("`{name}` is given twice"));
            } else {
                known.push((arg, *set));
            }
        }
        known
    }

    /// Refuses positional values.
    pub(crate) fn only_named(self, attribute: &str, example: &str, errors: &mut Errors) -> Self {
        for value in &self.positional {
            errors.at(
                value,
                format_args!("`#[{attribute}]` takes `key = value` pairs, such as `{example}`"),
            );
        }
        self
    }
}

/// Returns the helper attributes `#[name(..)]` among all attributes.
pub(crate) fn helpers<'a>(
    name: &str,
    attributes: &'a [Attribute],
) -> impl Iterator<Item = &'a Attribute> {
    attributes
        .iter()
        .filter(move |attribute| attribute.path().is_ident(name))
}

/// Refuses the helper attributes of a derive in a place where it reads none, and says what to write instead.
pub(crate) fn refuse_helpers(
    name: &str,
    attributes: &[Attribute],
    instead: &str,
    errors: &mut Errors,
) {
    for attribute in helpers(name, attributes) {
        errors.at(
            &attribute.meta,
            format_args!("`#[{name}]` does nothing here: {instead}"),
        );
    }
}

/// A value whose key is known, and the function that handles it.
type Known<T> = (Arg, fn(&mut T, &Arg, &mut Errors));

/// The names of keys, for messages.
pub(crate) fn names<T>(keys: &[Key<T>]) -> Vec<&'static str> {
    keys.iter().map(|(name, _)| *name).collect()
}

fn unknown(attribute: &str, key: &str, keys: &[&str]) -> String {
    let start = format!("unknown key `{key}` in `#[{attribute}]`");
    if let Some(similar) = similar(key, keys) {
        return format!("{start}: did you mean `{similar}`?");
    }
    match keys {
        [] => format!("{start}: it takes none"),
        keys => format!("{start}: it takes `{}`", keys.join("`, `")),
    }
}

fn is_named(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    if Ident::parse_any(&ahead).is_err() {
        return false;
    }
    ahead.is_empty()
        || ahead.peek(Token![,])
        || ahead.peek(token::Paren)
        || ahead.peek(Token![=]) && !ahead.peek(Token![==])
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = Ident::parse_any(input)?;
        let value = if input.peek(token::Paren) {
            let inner;
            syn::parenthesized!(inner in input);
            Value::Group(inner.parse()?)
        } else if input.parse::<Option<Token![=]>>()?.is_some() {
            Value::after_equals(input)?
        } else {
            Value::Nothing
        };
        Ok(Self { key, value })
    }
}

impl Value {
    fn after_equals(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(token::Bracket) {
            return input.parse().map(Self::Expr);
        }
        let inner;
        let bracket = syn::bracketed!(inner in input);
        Ok(Self::List(bracket, inner.parse()?))
    }
}

impl ToTokens for Arg {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match &self.value {
            Value::Expr(value) => value.to_tokens(tokens),
            Value::List(bracket, inner) => {
                bracket.surround(tokens, |tokens| inner.to_tokens(tokens));
            }
            Value::Nothing | Value::Group(_) => self.key.to_tokens(tokens),
        }
    }
}

impl Arg {
    pub(crate) fn name(&self) -> String {
        self.key.to_string()
    }

    /// Returns the value of `key = "text"`.
    pub(crate) fn string(&self, example: &str, errors: &mut Errors) -> Option<LitStr> {
        let found = self.literal().and_then(string_literal);
        self.expect(found, "a string literal", example, errors)
    }

    /// Returns the value of `key = 1`.
    pub(crate) fn integer(&self, example: &str, errors: &mut Errors) -> Option<LitInt> {
        let found = match self.literal() {
            Some(Lit::Int(value)) => Some(value.clone()),
            _ => None,
        };
        self.expect(found, "an integer literal", example, errors)
    }

    /// Returns the value of `key = true`.
    pub(crate) fn boolean(&self, example: &str, errors: &mut Errors) -> Option<LitBool> {
        let found = match self.literal() {
            Some(Lit::Bool(value)) => Some(value.clone()),
            _ => None,
        };
        self.expect(found, "`true` or `false`", example, errors)
    }

    /// Returns the value of `key = some::path`.
    pub(crate) fn path(&self, example: &str, errors: &mut Errors) -> Option<Path> {
        let found = match &self.value {
            Value::Expr(Expr::Path(value)) => Some(value.path.clone()),
            _ => None,
        };
        self.expect(found, "a path", example, errors)
    }

    /// Returns the value of `key = expression`.
    pub(crate) fn expression(&self, example: &str, errors: &mut Errors) -> Option<Expr> {
        let found = match &self.value {
            Value::Expr(value) => Some(value.clone()),
            Value::List(..) => syn::parse2(self.to_token_stream()).ok(),
            _ => None,
        };
        self.expect(found, "a value", example, errors)
    }

    /// Returns the tokens of `key(..)`.
    pub(crate) fn group(&self, example: &str, errors: &mut Errors) -> Option<TokenStream> {
        let found = match &self.value {
            Value::Group(inner) => Some(inner.clone()),
            _ => None,
        };
        self.expect(found, "settings in parentheses", example, errors)
    }

    /// Checks that the key has no value.
    pub(crate) fn flag(&self, errors: &mut Errors) -> bool {
        let alone = matches!(self.value, Value::Nothing);
        if !alone {
            errors.at(
                self,
                format_args!("`{0}` takes no value: write `{0}` alone", self.key),
            );
        }
        alone
    }

    /// Returns the value of `key`, `key = true` or `key = false`.
    pub(crate) fn switch(&self, errors: &mut Errors) -> Option<bool> {
        match self.value {
            Value::Nothing => Some(true),
            _ => {
                let example = format!("{} = false", self.key);
                self.boolean(&example, errors).map(|on| on.value)
            }
        }
    }

    /// Returns the elements of `key = [a, b]`.
    pub(crate) fn elements<T: Parse>(
        &self,
        what: &str,
        example: &str,
        errors: &mut Errors,
    ) -> Vec<T> {
        let Value::List(_, inner) = &self.value else {
            self.expect(None::<()>, what, example, errors);
            return Vec::new();
        };
        let parsed = Punctuated::<T, Token![,]>::parse_terminated.parse2(inner.clone());
        errors
            .take(parsed)
            .map(|list| list.into_iter().collect())
            .unwrap_or_default()
    }

    pub(crate) fn literal(&self) -> Option<&Lit> {
        match &self.value {
            Value::Expr(value) => literal(value),
            _ => None,
        }
    }

    fn expect<T>(
        &self,
        found: Option<T>,
        what: &str,
        example: &str,
        errors: &mut Errors,
    ) -> Option<T> {
        if found.is_none() {
            errors.at(
                self,
                format_args!("`{}` takes {what}: `{example}`", self.key),
            );
        }
        found
    }
}

/// Returns an expression's literal. A `macro_rules` parameter wraps it in invisible groups.
pub(crate) fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

pub(crate) fn string_literal(literal: &Lit) -> Option<LitStr> {
    match literal {
        Lit::Str(text) => Some(text.clone()),
        _ => None,
    }
}
