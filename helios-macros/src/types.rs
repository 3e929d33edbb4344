//! Properties of a type that are known without resolving its names.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::visit_mut::{self, VisitMut};
use syn::{
    GenericArgument, Generics, Ident, Lifetime, ParenthesizedGenericArguments, PathArguments,
    PathSegment, Type, TypeFnPtr, TypeImplTrait, TypeParamBound, TypeReference, TypeSlice,
    parse_quote,
};

/// Returns a type without its parentheses, and without the invisible ones around a parameter of `macro_rules`.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        other => other,
    }
}

/// Returns the last segment of a type's path.
pub(crate) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match bare(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Returns the last identifier of a type's path, for messages.
pub(crate) fn name(ty: &Type) -> String {
    last_segment(ty).map_or_else(String::new, |segment| segment.ident.unraw().to_string())
}

/// Returns a type or a path as text, for messages.
pub(crate) fn shown(tokens: impl ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    let joined = text
        .replace(" < ", "<")
        .replace(" >", ">")
        .replace(" :: ", "::");
    joined.replace(" ,", ",").replace("& ", "&")
}

/// Returns the `T` of `wrapper<T>`, whatever the path of the wrapper.
pub(crate) fn inside<'a>(ty: &'a Type, wrapper: &str) -> Option<&'a Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident == wrapper)?;
    match &type_arguments(segment)[..] {
        [inner] => Some(inner),
        _ => None,
    }
}

/// Returns the types in a segment's angle brackets, or nothing if they contain anything else.
pub(crate) fn type_arguments(segment: &PathSegment) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Vec::new();
    };
    let types = arguments.args.iter().map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect::<Option<_>>().unwrap_or_default()
}

/// Returns the `T` of a `Result<T, ..>`, or the type itself.
pub(crate) fn in_result(ty: &Type) -> &Type {
    let result = last_segment(ty).filter(|segment| segment.ident == "Result");
    let arguments = result.map(type_arguments).unwrap_or_default();
    arguments.first().copied().unwrap_or(ty)
}

pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == name)
}

/// Whether a type contains one of this name, at any depth.
pub(crate) fn mentions(ty: &Type, name: &str) -> bool {
    struct Finder<'a> {
        name: &'a str,
        found: bool,
    }

    impl VisitMut for Finder<'_> {
        fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
            self.found |= segment.ident == self.name;
            visit_mut::visit_path_segment_mut(self, segment);
        }
    }

    let mut finder = Finder { name, found: false };
    finder.visit_type_mut(&mut ty.clone());
    finder.found
}

/// Returns the first `impl Trait` in a type.
pub(crate) fn impl_trait(ty: &Type) -> Option<TypeImplTrait> {
    struct Finder(Option<TypeImplTrait>);

    impl VisitMut for Finder {
        fn visit_type_impl_trait_mut(&mut self, found: &mut TypeImplTrait) {
            self.0.get_or_insert_with(|| found.clone());
        }
    }

    let mut finder = Finder(None);
    finder.visit_type_mut(&mut ty.clone());
    finder.0
}

/// Whether a type depends on a type parameter of the impl, including through `Self`.
pub(crate) fn mentions_param(ty: &Type, generics: &Generics) -> bool {
    struct Finder {
        params: Vec<Ident>,
        found: bool,
    }

    impl VisitMut for Finder {
        fn visit_path_mut(&mut self, path: &mut syn::Path) {
            let first = path.segments.first().map(|segment| &segment.ident);
            self.found |= path.leading_colon.is_none()
                && first.is_some_and(|first| first == "Self" || self.params.contains(first));
            visit_mut::visit_path_mut(self, path);
        }
    }

    let params: Vec<_> = generics
        .type_params()
        .map(|param| param.ident.clone())
        .collect();
    if params.is_empty() {
        return false;
    }
    let found = false;
    let mut finder = Finder { params, found };
    finder.visit_type_mut(&mut ty.clone());
    finder.found
}

/// Wrappers that hold the values of their type arguments. Other types may hold none, or a `'static` reference.
const HOLDING: [&str; 12] = [
    "Option", "Result", "Vec", "VecDeque", "HashSet", "BTreeSet", "HashMap", "BTreeMap", "Json",
    "Form", "Query", "Path",
];

/// Returns a type with owned types, under their usual names, in place of references. `None` if there are none. `'static` ones stay.
pub(crate) fn owning(ty: &Type) -> Option<Type> {
    struct Owner {
        found: bool,
    }

    impl VisitMut for Owner {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::Reference(reference) = bare(ty)
                && !is_static(reference)
            {
                self.found = true;
                *ty = match bare(&reference.elem) {
                    Type::Slice(TypeSlice { elem, .. }) => parse_quote!(Vec<#elem>),
                    text if is_named(text, "str") => parse_quote!(String),
                    other => other.clone(),
                };
            }
            visit_mut::visit_type_mut(self, ty);
        }

        fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
            if HOLDING.iter().any(|name| segment.ident == name) {
                visit_mut::visit_path_segment_mut(self, segment);
            }
        }
    }

    let (mut owner, mut ty) = (Owner { found: false }, ty.clone());
    owner.visit_type_mut(&mut ty);
    owner.found.then_some(ty)
}

fn is_static(reference: &TypeReference) -> bool {
    let lifetime = reference.lifetime.as_ref();
    lifetime.is_some_and(|lifetime| lifetime.ident == "static")
}

/// Returns the first lifetime or reference in a type that makes it borrow. Those in the signature of a function do not.
pub(crate) fn borrowed(ty: &Type) -> Option<TokenStream> {
    struct Finder(Option<TokenStream>);

    impl VisitMut for Finder {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            if lifetime.ident != "static" {
                self.0.get_or_insert_with(|| lifetime.to_token_stream());
            }
        }

        fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
            if reference.lifetime.is_none() {
                self.0.get_or_insert_with(|| reference.to_token_stream());
            }
            visit_mut::visit_type_reference_mut(self, reference);
        }

        fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}

        fn visit_parenthesized_generic_arguments_mut(
            &mut self,
            _: &mut ParenthesizedGenericArguments,
        ) {
        }
    }

    let mut finder = Finder(None);
    finder.visit_type_mut(&mut ty.clone());
    finder.0
}

/// Adds the bounds of the container's services to every type parameter, since all threads share them for the life of
/// the app.
pub(crate) fn shared(rt: &TokenStream, generics: &Generics) -> Generics {
    bounded(generics, &parse_quote!(#rt::Shared))
}

/// Adds a bound to every type parameter.
pub(crate) fn bounded(generics: &Generics, bound: &TypeParamBound) -> Generics {
    let mut generics = generics.clone();
    for param in generics.type_params_mut() {
        param.bounds.push(bound.clone());
    }
    generics
}

/// Replaces the lifetimes that a method declares, because the generated function does not have them.
pub(crate) fn erase_lifetimes(ty: &mut Type, declared: &[Lifetime]) {
    struct Eraser<'a>(&'a [Lifetime]);

    impl VisitMut for Eraser<'_> {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            if self.0.contains(lifetime) {
                lifetime.ident = Ident::new("_", lifetime.ident.span());
            }
            visit_mut::visit_lifetime_mut(self, lifetime);
        }
    }

    Eraser(declared).visit_type_mut(ty);
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn the_inside_of_a_wrapper_is_found_through_any_path() {
        let ty: Type = parse_quote!(std::sync::Arc<dyn Mailer>);
        assert_eq!(inside(&ty, "Arc"), Some(&parse_quote!(dyn Mailer)));
        assert_eq!(inside(&ty, "Option"), None);
        assert_eq!(inside(&parse_quote!(Arc), "Arc"), None);
        assert_eq!(inside(&parse_quote!(&Arc<T>), "Arc"), None);
    }

    #[test]
    fn types_are_shown_as_people_write_them() {
        let ty: Type = parse_quote!(di::Both<Option<Db>, &'a dyn Store>);
        assert_eq!(shown(ty), "di::Both<Option<Db>, &'a dyn Store>");
    }

    #[test]
    fn only_declared_lifetimes_are_erased() {
        let mut ty: Type = parse_quote!(Both<'a, 'static, &'a str>);
        erase_lifetimes(&mut ty, &[parse_quote!('a)]);
        let expected: Type = parse_quote!(Both<'_, 'static, &'_ str>);
        assert_eq!(
            ty.to_token_stream().to_string(),
            expected.to_token_stream().to_string()
        );
    }

    #[test]
    fn references_are_owned_where_a_value_holds_them() {
        let owned = |ty: Type| owning(&ty).map(shown);
        let found = owned(parse_quote!(Option<Vec<(u8, &'a str)>>));
        assert_eq!(found.as_deref(), Some("Option<Vec<(u8, String)>>"));
        let found = owned(parse_quote!(Result<Json<&[&str]>, Refused<&str>>));
        let expected = "Result<Json<Vec<String>>, Refused<&str>>";
        assert_eq!(found.as_deref(), Some(expected));
        assert_eq!(owned(parse_quote!(Option<Code<&str>>)), None);
        assert_eq!(owned(parse_quote!(Option<Cow<'_, str>>)), None);
        assert_eq!(owned(parse_quote!(Option<&'static Code>)), None);
    }

    #[test]
    fn a_type_borrows_through_lifetimes_and_references() {
        let borrowed = |ty: Type| borrowed(&ty).map(|found| found.to_string());
        assert_eq!(borrowed(parse_quote!(User<'_>)).as_deref(), Some("'_"));
        assert_eq!(borrowed(parse_quote!(User<&str>)).as_deref(), Some("& str"));
        assert_eq!(borrowed(parse_quote!(User<&'static str>)), None);
        assert_eq!(borrowed(parse_quote!(User<fn(&str)>)), None);
        assert_eq!(borrowed(parse_quote!(User<dyn Fn(&str) -> u8>)), None);
    }

    #[test]
    fn type_parameters_are_found_at_any_depth() {
        let item: syn::ItemImpl = parse_quote!(
            impl<S, const N: usize> User<S> {}
        );
        let mentions = |ty: Type| mentions_param(&ty, &item.generics);
        assert!(mentions(parse_quote!(S)));
        assert!(mentions(parse_quote!(Json<Vec<S::Item>>)));
        assert!(mentions(parse_quote!(<S as Store>::Item)));
        assert!(mentions(parse_quote!(Json<Self::Item>)));
        assert!(!mentions(parse_quote!(Json<dto::S>)));
        assert!(!mentions(parse_quote!([Dto; N])));
        let plain: syn::ItemImpl = parse_quote!(impl User {});
        assert!(!mentions_param(&parse_quote!(Self), &plain.generics));
    }

    #[test]
    fn a_name_is_found_at_any_depth() {
        let mentions = |ty: Type| mentions(&ty, "SseReply");
        assert!(mentions(parse_quote!(helios::SseReply<SseStream>)));
        assert!(mentions(parse_quote!(
            Result<Option<SseReply<impl Stream<Item = String>>>, HttpError>
        )));
        assert!(!mentions(parse_quote!(Result<SseStream, HttpError>)));
    }

    #[test]
    fn impl_trait_is_found_at_any_depth() {
        assert!(impl_trait(&parse_quote!(Vec<(u8, impl Display)>)).is_some());
        assert!(impl_trait(&parse_quote!(Vec<(u8, Display)>)).is_none());
    }
}
