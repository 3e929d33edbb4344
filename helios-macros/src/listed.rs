//! Lists of types. A function or a value in them is a likely mistake.

use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, ExprPath, Path, PathArguments, Token, Type};

use crate::args::Arg;
use crate::attribute::list;
use crate::diagnostics::Errors;
use crate::types::shown;

/// The kind of type in a list, for messages.
pub(crate) struct Kind {
    /// The kind, with its article.
    what: &'static str,
    /// The name of a type, if the element suggests none.
    example: &'static str,
    /// The text after "write". `{}` is the type's name.
    write: &'static str,
}

pub(crate) const CONTROLLER: Kind = Kind {
    what: "a controller",
    example: "User",
    write: "`{}`, and `#[controller] impl {} { .. }` where it has its routes",
};

pub(crate) const GUARD: Kind = Kind {
    what: "a guard",
    example: "AuthGuard",
    write: "`{}`, and beside it `#[derive(Injectable)] struct {};` with `impl Guard for {} { async fn check(&self, request: \
            &mut RequestContext) -> Result<(), HttpError> { .. } }`",
};

pub(crate) const FILTER: Kind = Kind {
    what: "a filter",
    example: "NotFoundFilter",
    write: "`{}`, and beside it `#[derive(Injectable)] struct {};` with `impl Filter for {} { type Error = HttpError; async fn \
            catch(&self, error: &HttpError, request: &RequestContext) -> Result<Response, HttpError> { .. } }`",
};

/// An element of a list as it is written.
pub(crate) enum Element {
    Type(Type),
    Other(Expr),
}

impl Parse for Element {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ahead = input.fork();
        let parsed = ahead.parse::<Type>();
        let is_type = parsed.is_ok() && (ahead.is_empty() || ahead.peek(Token![,]));
        if is_type || input.fork().parse::<Expr>().is_err() {
            return input.parse().map(Self::Type);
        }
        input.parse().map(Self::Other)
    }
}

impl Element {
    /// Returns the type. Anything else is an error, and so is a name in lower case, which is likely a function or a
    /// module.
    pub(crate) fn into_type(self) -> Result<Type, Other> {
        match self {
            Self::Type(Type::Path(ty)) if ty.qself.is_none() => match named(&ty.path) {
                Some(name) => Err(Other::Named(ty.path, name)),
                None => Ok(Type::Path(ty)),
            },
            Self::Type(ty) => Ok(ty),
            Self::Other(value) => Err(Other::of(value)),
        }
    }
}

/// A mistake in a list.
pub(crate) enum Other {
    /// A value of a type, with the path of that type.
    Value(Path),
    /// A name that is not a type's, and the name that the type would have.
    Named(Path, String),
    Expr(Box<Expr>),
}

impl Other {
    fn of(value: Expr) -> Self {
        let path = match &value {
            Expr::Call(call) => match &*call.func {
                Expr::Path(ExprPath { path, .. }) => Some(path),
                _ => None,
            },
            Expr::Struct(value) => Some(&value.path),
            _ => None,
        };
        let Some(path) = path else {
            return Self::Expr(Box::new(value));
        };
        let single = path.get_ident().and_then(|_| named(path));
        match single {
            Some(name) => Self::Named(path.clone(), name),
            None => Self::Value(path.clone()),
        }
    }

    /// Records the mistake.
    fn note(&self, kind: &Kind, errors: &mut Errors) {
        let Kind { what, example, .. } = kind;
        match self {
            Self::Value(path) => errors.at(path, TYPE_ALONE),
            Self::Named(path, name) => {
                let (shown, write) = (shown(path), kind.write(name));
                let message =
                    format!("{what} is a type, but `{shown}` is not named like one: {write}");
                errors.at(path, message);
            }
            Self::Expr(value) => {
                let message = format!("{what} is a type: {}", kind.write(example));
                errors.at(value, message);
            }
        }
    }
}

pub(crate) const TYPE_ALONE: &str = "write the type alone: its value comes from the container";

impl Kind {
    fn write(&self, name: &str) -> String {
        format!("write {}", self.write.replace("{}", name))
    }

    /// Returns the types of `key = [A, B]`.
    pub(crate) fn of_key(&self, arg: &Arg, errors: &mut Errors) -> Vec<Type> {
        let example = format!("{} = [{}]", arg.key, self.example);
        let elements = arg.elements("a list of types", &example, errors);
        self.types(elements, errors)
    }

    /// Returns the types of `#[attribute(A, B)]`.
    pub(crate) fn of_attribute(&self, attribute: &Attribute, errors: &mut Errors) -> Vec<Type> {
        self.types(list(attribute, errors), errors)
    }

    fn types(&self, elements: Vec<Element>, errors: &mut Errors) -> Vec<Type> {
        let mut types = Vec::new();
        for element in elements {
            match element.into_type() {
                Ok(ty) => types.push(ty),
                Err(other) => other.note(self, errors),
            }
        }
        types
    }
}

/// Returns the likely name of a type, for a path that does not look like one.
fn named(path: &Path) -> Option<String> {
    let last = path.segments.last()?;
    let name = last.ident.unraw().to_string();
    let is_type = !name.starts_with(|first: char| first.is_lowercase());
    if is_type || !matches!(last.arguments, PathArguments::None) {
        return None;
    }
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    });
    Some(words.collect())
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;

    fn said(element: TokenStream) -> String {
        let element: Element = syn::parse2(element).expect("it parses");
        let mut errors = Errors::default();
        match element.into_type() {
            Ok(_) => "a type".to_owned(),
            Err(other) => {
                other.note(&GUARD, &mut errors);
                errors.messages().concat()
            }
        }
    }

    #[test]
    fn types_are_told_from_functions_and_values() {
        assert_eq!(said(quote!(auth::Guard)), "a type");
        assert_eq!(said(quote!(role_guard<Admin>)), "a type");
        assert_eq!(said(quote!((auth_guard))), "a type");
        assert_eq!(said(quote!(<auth as Guards>::Admin)), "a type");
        assert_eq!(said(quote!(RoleGuard::new("admin"))), TYPE_ALONE);
        assert_eq!(said(quote!(RoleGuard { role: "admin" })), TYPE_ALONE);
        assert!(
            said(quote!(auth::is_admin))
                .contains("`auth::is_admin` is not named like one: write `IsAdmin`,")
        );
        assert!(
            said(quote!(role("admin"))).contains("`role` is not named like one: write `Role`,")
        );
        for closure in [
            quote!(|request| Ok(())),
            quote!(async |request| Ok(())),
            quote!("admin"),
        ] {
            assert!(said(closure).starts_with("a guard is a type: write `AuthGuard`,"));
        }
    }
}
