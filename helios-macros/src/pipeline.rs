//! Guards, interceptors and filters: the pipeline around the handlers of a server, a controller or a route.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprClosure, Type};

use crate::args::Arg;
use crate::attribute::list;
use crate::diagnostics::Errors;
use crate::lints;
use crate::listed::{Element, FILTER, GUARD, Other, TYPE_ALONE};
use crate::runtime::Runtime;
use crate::types::{name, shown};

const CLOSURE: &str = "|data, request, response| data";

#[derive(Default)]
pub(crate) struct Pipeline {
    guards: Vec<Type>,
    interceptors: Vec<Type>,
    mappers: Vec<Expr>,
    filters: Vec<Type>,
}

/// An element of `interceptors = [..]`.
pub(crate) enum Interceptor {
    /// Wraps the pipeline.
    Type(Type),
    /// Maps the data.
    Closure(Expr),
}

impl Parse for Interceptor {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        match input.parse::<Element>()?.into_type() {
            Ok(ty) => Ok(Self::Type(ty)),
            Err(Other::Expr(value)) => match *value {
                Expr::Closure(closure) if maps_data(&closure) => {
                    Ok(Self::Closure(Expr::Closure(closure)))
                }
                other => Err(Error::new_spanned(other, expected())),
            },
            Err(Other::Value(path)) => Err(Error::new_spanned(path, TYPE_ALONE)),
            Err(Other::Named(path, _)) => Err(Error::new_spanned(&path, uncalled(&shown(&path)))),
        }
    }
}

fn maps_data(closure: &ExprClosure) -> bool {
    closure.inputs.len() == 3 && closure.asyncness.is_none()
}

fn expected() -> String {
    format!(
        "an interceptor is a type, or a closure with three arguments that is not `async`: `{CLOSURE}`"
    )
}

fn uncalled(function: &str) -> String {
    format!(
        "an interceptor is a type or a closure, but `{function}` is not named like a type: write \
         `|data, request, response| {function}(data)`, or the name of a type with `impl Interceptor`"
    )
}

impl Pipeline {
    /// `guards = [..]`
    pub(crate) fn set_guards(&mut self, arg: &Arg, errors: &mut Errors) {
        self.guards = GUARD.of_key(arg, errors);
    }

    /// `interceptor = ..`
    pub(crate) fn set_interceptor(&mut self, arg: &Arg, errors: &mut Errors) {
        let found = arg.expression(&format!("interceptor = {CLOSURE}"), errors);
        let parsed = found.map(|found| syn::parse2(quote!(#found)));
        self.add(parsed.and_then(|parsed| errors.take(parsed)));
    }

    /// `interceptors = [..]`
    pub(crate) fn set_interceptors(&mut self, arg: &Arg, errors: &mut Errors) {
        self.add(arg.elements("a list", &format!("interceptors = [{CLOSURE}]"), errors));
    }

    /// `filters = [..]`
    pub(crate) fn set_filters(&mut self, arg: &Arg, errors: &mut Errors) {
        self.filters = FILTER.of_key(arg, errors);
    }

    /// `#[use_guards(..)]`
    pub(crate) fn use_guards(&mut self, attribute: &Attribute, errors: &mut Errors) {
        self.guards.extend(GUARD.of_attribute(attribute, errors));
    }

    /// `#[use_interceptors(..)]`
    pub(crate) fn use_interceptors(&mut self, attribute: &Attribute, errors: &mut Errors) {
        self.add(list(attribute, errors));
    }

    /// `#[use_filters(..)]`
    pub(crate) fn use_filters(&mut self, attribute: &Attribute, errors: &mut Errors) {
        self.filters.extend(FILTER.of_attribute(attribute, errors));
    }

    fn add(&mut self, interceptors: impl IntoIterator<Item = Interceptor>) {
        for interceptor in interceptors {
            match interceptor {
                Interceptor::Type(ty) => self.interceptors.push(ty),
                Interceptor::Closure(closure) => self.mappers.push(closure),
            }
        }
    }

    /// Returns a `PipelineTable`.
    pub(crate) fn expand(&self, runtime: &Runtime) -> TokenStream {
        let rt = runtime.path();
        let Self {
            guards,
            interceptors,
            mappers,
            filters,
        } = self;
        let empty = guards.is_empty() && interceptors.is_empty();
        if empty && mappers.is_empty() && filters.is_empty() {
            return quote!(#rt::PipelineTable::EMPTY);
        }
        let guards = entries(runtime, guards, "guard");
        let interceptors = entries(runtime, interceptors, "interceptor");
        let filters = entries(runtime, filters, "filter");
        let mappers = mappers.iter().map(|closure| data_mapper(runtime, closure));
        quote! {
            #rt::PipelineTable {
                guards: #guards,
                interceptors: #interceptors,
                mappers: &[#(#mappers),*],
                filters: #filters,
            }
        }
    }
}

/// Returns `&[..]` of `Entry`. `erase` is the function that erases the type.
fn entries(runtime: &Runtime, types: &[Type], erase: &str) -> TokenStream {
    let entries = types.iter().map(|ty| {
        let (span, rt, name) = (ty.span(), runtime.at(ty.span()), name(ty));
        let (resolved, erase) = (runtime.resolved(ty, span), Ident::new(erase, span));
        quote_spanned!(span=> #rt::Entry { name: #name, resolve: |resolver| #rt::#erase(#resolved) })
    });
    quote!(&[#(#entries),*])
}

/// Passes the closure directly to `data_mapper`, since it can infer its types only then.
fn data_mapper(runtime: &Runtime, closure: &Expr) -> TokenStream {
    let (span, rt) = (closure.span(), runtime.at(closure.span()));
    let closure = lints::kept(closure);
    quote_spanned!(span=> &#rt::data_mapper(#closure))
}
