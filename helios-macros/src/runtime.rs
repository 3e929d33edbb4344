//! The path through which generated code names the runtime, and the entries of its tables.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Path, Type};

use crate::args::Arg;
use crate::diagnostics::Errors;

/// The facade's hidden module, `::helios::__rt` unless `crate = path` says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    facade: Option<Path>,
}

impl Runtime {
    pub(crate) fn new(facade: Option<Path>) -> Self {
        Self { facade }
    }

    /// `crate = path`
    pub(crate) fn given(arg: &Arg, errors: &mut Errors) -> Self {
        Self::new(arg.path("crate = path::to::helios", errors))
    }

    /// The module's path.
    pub(crate) fn path(&self) -> TokenStream {
        match &self.facade {
            Some(facade) => quote!(#facade::__rt),
            None => quote!(::helios::__rt),
        }
    }

    /// The module's path, which errors blame on `span`. All of it, or they blame the attribute.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        let moved = self.path().into_iter().map(|mut token: TokenTree| {
            token.set_span(token.span().located_at(span));
            token
        });
        match self.facade {
            Some(_) => moved.collect(),
            None => quote_spanned!(span=> ::helios::__rt),
        }
    }

    /// `&[..]` of `ControllerEntry`.
    pub(crate) fn controllers(&self, types: &[Type]) -> TokenStream {
        let entries = types.iter().map(|ty| {
            let (span, rt) = (ty.span(), self.at(ty.span()));
            quote_spanned!(span=> #rt::ControllerEntry::of::<#ty>())
        });
        quote!(&[#(#entries),*])
    }

    /// An `Option<Arc<T>>` out of the `resolver` that is in scope with the same span.
    pub(crate) fn resolved(&self, ty: &Type, span: Span) -> TokenStream {
        let rt = self.at(span);
        let resolver = Ident::new("resolver", span);
        quote_spanned!(span=> #rt::Dependency::<#ty>::NEW.resolve(#resolver))
    }
}

/// The `#[cfg]`s of an item: what is generated from it comes and goes with it.
pub(crate) fn cfgs(attributes: &[Attribute]) -> Vec<Attribute> {
    let cfgs = attributes.iter().filter(|attr| attr.path().is_ident("cfg"));
    cfgs.cloned().collect()
}

/// An optional value as tokens of the runtime's `Option`.
pub(crate) fn option(rt: &TokenStream, value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(#rt::Some(#value)),
        None => quote!(#rt::None),
    }
}
