//! The path by which generated code names the runtime, and the entries of its tables.

use proc_macro_crate::{Error, FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Path, Type};

use crate::args::Arg;
use crate::diagnostics::Errors;

/// The facade's package.
const PACKAGE: &str = "helios-rs";

/// The facade's crate, unless the dependency is renamed.
const CRATE: &str = "helios";

/// The facade's hidden module, `__rt`.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// The path of `crate = path`.
    given: Option<Path>,
    /// The crate's name, if no path is given.
    name: String,
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Runtime {
    pub(crate) fn new(given: Option<Path>) -> Self {
        let name = CRATE.to_owned();
        Self { given, name }
    }

    /// Reads `crate = path`.
    pub(crate) fn given(arg: &Arg, errors: &mut Errors) -> Self {
        Self::new(arg.path("crate = path::to::helios", errors))
    }

    /// Finds the name of the facade in the user's package, unless `crate = path` is given. Returns false, with an
    /// error, if the package does not depend on it.
    pub(crate) fn locate(&mut self, attribute: &str, errors: &mut Errors) -> bool {
        if self.given.is_some() {
            return true;
        }
        match name_in(crate_name(PACKAGE)) {
            Some(name) => self.name = name,
            None => {
                let message = format!(
                    "this package does not depend on `{PACKAGE}`: add it to `Cargo.toml`, or give the path by which it \
                     has Helios: `#[{attribute}(crate = path::to::helios)]`"
                );
                errors.at_span(Span::call_site(), message);
                return false;
            }
        }
        true
    }

    /// Returns the module's path.
    pub(crate) fn path(&self) -> TokenStream {
        match &self.given {
            Some(given) => quote!(#given::__rt),
            None => self.at(Span::call_site()),
        }
    }

    /// Returns the module's path with this span on all tokens, so that errors do not point to the attribute.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        let Some(given) = &self.given else {
            let name = Ident::new(&self.name, span);
            return quote_spanned!(span=> ::#name::__rt);
        };
        let path = quote!(#given::__rt);
        let moved = path.into_iter().map(|mut token: TokenTree| {
            token.set_span(token.span().located_at(span));
            token
        });
        moved.collect()
    }

    /// Returns `&[..]` of `ControllerEntry`.
    pub(crate) fn controllers(&self, types: &[Type]) -> TokenStream {
        let entries = types.iter().map(|ty| {
            let (span, rt) = (ty.span(), self.at(ty.span()));
            quote_spanned!(span=> #rt::ControllerEntry::of::<#ty>())
        });
        quote!(&[#(#entries),*])
    }

    /// Returns an `Option<Arc<T>>` from the `resolver` that is in scope with the same span.
    pub(crate) fn resolved(&self, ty: &Type, span: Span) -> TokenStream {
        let rt = self.at(span);
        let resolver = Ident::new("resolver", span);
        quote_spanned!(span=> #rt::Dependency::<#ty>::NEW.resolve(#resolver))
    }
}

/// Returns the facade's name in a package's manifest, or `None` if it is not a dependency. The facade itself, and a
/// build without Cargo, use its own name.
fn name_in(manifest: Result<FoundCrate, Error>) -> Option<String> {
    let name = match manifest {
        Ok(FoundCrate::Name(name)) => name,
        Err(Error::CrateNotFound { .. }) => return None,
        Ok(FoundCrate::Itself) | Err(_) => CRATE.to_owned(),
    };
    // A dependency that is not renamed has the package's name here, but the library's name in code.
    let is_own = name == PACKAGE.replace('-', "_");
    Some(if is_own { CRATE.to_owned() } else { name })
}

/// Returns the `#[cfg]`s of an item, which also apply to the code that is generated from it.
pub(crate) fn cfgs(attributes: &[Attribute]) -> Vec<Attribute> {
    let cfgs = attributes.iter().filter(|attr| attr.path().is_ident("cfg"));
    cfgs.cloned().collect()
}

/// Returns the lines of an item's doc comment, or an empty string.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(line),
                    ..
                }) => Some(line.value()),
                _ => None,
            },
            _ => None,
        });
    let lines: Vec<_> = lines
        .map(|line| {
            line.strip_prefix(' ')
                .unwrap_or(&line)
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.join("\n").trim().to_owned()
}

/// Returns an optional value as tokens of the runtime's `Option`.
pub(crate) fn option(rt: &TokenStream, value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(#rt::Some(#value)),
        None => quote!(#rt::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_has_the_name_that_its_key_gives_it() {
        let named = |key: &str| name_in(Ok(FoundCrate::Name(key.to_owned())));
        assert_eq!(named("hl").as_deref(), Some("hl"));
        assert_eq!(named("helios").as_deref(), Some("helios"));
        assert_eq!(named("helios_rs").as_deref(), Some("helios"));
        assert_eq!(name_in(Ok(FoundCrate::Itself)).as_deref(), Some("helios"));
    }

    #[test]
    fn only_a_missing_dependency_is_an_error() {
        let lacking = Error::CrateNotFound {
            crate_name: PACKAGE.to_owned(),
            path: "Cargo.toml".into(),
        };
        assert_eq!(name_in(Err(lacking)), None);
        let no_cargo = name_in(Err(Error::CargoManifestDirNotSet));
        assert_eq!(no_cargo.as_deref(), Some("helios"));
    }
}
