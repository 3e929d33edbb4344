//! `#[derive(JsonSchema)]` runs the derive of schemars through the facade, so that a package needs no dependency on
//! schemars.
//!
//! A derive cannot change the item, so it cannot add the attribute that tells schemars the path of its crate. So it
//! derives schemars' trait on a copy of the item with that attribute, and forwards the schema. The copy has the item's
//! name, in a scope of its own, because schemas are named after it. The copy names the original wherever it would name itself.

mod own_paths;
mod rules;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Field, Fields, GenericParam, Generics, Ident, LitStr, Token,
    Type, TypeParamBound, Visibility, WherePredicate, parse_quote,
};

use self::own_paths::Original;
use crate::args::{Args, Key, refuse_helpers};
use crate::diagnostics::Errors;
use crate::lints::rewritten;
use crate::runtime::Runtime;

/// The attributes that schemars reads.
const READ: [&str; 6] = [
    "schemars",
    "serde",
    "validate",
    "garde",
    "doc",
    "deprecated",
];

/// The keys by which another type, or none, stands in a schema.
const REPLACING: [&str; 11] = [
    "with",
    "schema_with",
    "serialize_with",
    "deserialize_with",
    "skip",
    "skip_serializing",
    "skip_deserializing",
    "from",
    "try_from",
    "into",
    "remote",
];

/// The keys of fields whose own types are not looked at.
const UNSEEN: [&str; 5] = [
    "with",
    "schema_with",
    "serialize_with",
    "deserialize_with",
    "skip",
];

/// The keys of serde that name functions which convert a value.
const CONVERTING: [&str; 3] = ["with", "serialize_with", "deserialize_with"];

const EXAMPLE: &str = "crate = path::to::helios";

/// The attributes that a variant or a field may have instead.
const INSTEAD: &str = "write `#[schemars(..)]` or `#[serde(..)]`";

const KEYS: [Key<Runtime>; 1] = [("crate", |runtime, arg, errors| {
    *runtime = Runtime::given(arg, errors);
})];

/// Expands the derive.
pub(crate) fn json_schema(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let mut runtime = Runtime::default();
    let args = Args::of_helpers("schema", &item.attrs, EXAMPLE, &mut errors);
    args.set(&mut runtime, "schema", &KEYS, &mut errors);
    refuse_inside(&item.data, &mut errors);
    if !runtime.locate("schema", &mut errors) || !errors.is_empty() {
        return errors.compile_errors();
    }
    implementation(&runtime, item)
}

/// Refuses `#[schema(..)]` on variants and fields.
fn refuse_inside(data: &Data, errors: &mut Errors) {
    match data {
        Data::Struct(data) => refuse_on_fields(&data.fields, errors),
        Data::Enum(data) => {
            for variant in &data.variants {
                refuse_helpers("schema", &variant.attrs, INSTEAD, errors);
                refuse_on_fields(&variant.fields, errors);
            }
        }
        Data::Union(_) => {}
    }
}

fn refuse_on_fields(fields: &Fields, errors: &mut Errors) {
    for field in fields {
        refuse_helpers("schema", &field.attrs, INSTEAD, errors);
    }
}

fn implementation(runtime: &Runtime, item: DeriveInput) -> TokenStream {
    let rt = runtime.path();
    let name = item.ident.clone();
    let asked = asked(&item).into_iter().map(|ty| {
        let ty = rewritten(ty.into_token_stream());
        quote!(#rt::has_schema::<#ty>();)
    });
    let path = quote!(#rt::schemars).to_string();
    let renamed = with_arguments(&item).map(|name| quote!(#[schemars(rename = #name)]));
    let alias = Ident::new("__Original", Span::call_site());
    let original = Original::new(&item, &alias);
    let open = quote!(#rt::open_schema).to_string();
    let copy = copy(item, &original, &open);
    let generics = copy.generics.clone();
    let copy = rewritten(copy.into_token_stream());
    let bare = without_bounds(&generics);
    let (_, type_generics, _) = generics.split_for_impl();
    let has_schema = parse_quote!(#name #type_generics: #rt::schemars::JsonSchema);
    let bounded = where_the_copy_has_a_schema(&generics, has_schema);
    let (impl_generics, _, where_clause) = bounded.split_for_impl();
    let copied = quote!(<#name #type_generics as #rt::schemars::JsonSchema>);
    quote! {
        #rt::described! {
            const _: () = {
                fn __asked() {
                    #(#asked)*
                }
                type #alias #bare = #name #type_generics;
                const _: () = {
                    #[derive(#rt::schemars::JsonSchema)]
                    #[schemars(crate = #path)]
                    #renamed
                    #copy

                    #[automatically_derived]
                    impl #impl_generics #rt::schemars::JsonSchema for #alias #type_generics #where_clause {
                        fn inline_schema() -> bool {
                            #copied::inline_schema()
                        }

                        fn schema_name() -> ::std::borrow::Cow<'static, str> {
                            #copied::schema_name()
                        }

                        fn schema_id() -> ::std::borrow::Cow<'static, str> {
                            #copied::schema_id()
                        }

                        fn json_schema(generator: &mut #rt::schemars::SchemaGenerator) -> #rt::schemars::Schema {
                            #copied::json_schema(generator)
                        }
                    }
                };
            };
        }
    }
}

/// Returns the name of a generic type's schemas with those of its arguments, such as `Page_of_{T}`. Without that, schemars numbers
/// them in the order in which it meets them.
///
/// The name leaves out an argument that need not have a schema. `None` if it leaves out all, if the type has another name, and if
/// bounds of its own say which arguments have schemas.
fn with_arguments(item: &DeriveInput) -> Option<String> {
    let fields = fields_without(&[], item).flat_map(|it| &it.attrs);
    let mut of_schemars = fields
        .chain(&item.attrs)
        .filter(|it| it.path().is_ident("schemars"));
    if of_schemars.any(|it| names(&it.meta, &["bound"])) || has_key(&item.attrs, &["rename"]) {
        return None;
    }
    let seen: TokenStream = fields_without(&["skip"], item).filter_map(seen).collect();
    let params = item.generics.type_params().map(|it| it.ident.to_string());
    let mut params = params.filter(|param| names(&seen, &[param]));
    let (first, name) = (params.next()?, item.ident.unraw());
    let more: String = params.map(|it| format!("_and_{{{it}}}")).collect();
    Some(format!("{name}_of_{{{first}}}{more}"))
}

/// Returns the type that schemars looks at for a field, without the arguments of a `PhantomData`, which need no schema.
fn seen(field: &Field) -> Option<TokenStream> {
    let of_schemars = field
        .attrs
        .iter()
        .filter(|it| it.path().is_ident("schemars"));
    let lists = of_schemars.filter_map(|it| it.meta.require_list().ok());
    let mut tokens = lists.flat_map(|list| list.tokens.clone());
    if tokens.any(|token| token.to_string() == "with") {
        let given = tokens.nth(1)?.to_token_stream();
        return syn::parse2::<LitStr>(given).ok()?.parse().ok();
    }
    let has_type = !has_key(&field.attrs, &UNSEEN);
    has_type.then(|| without_markers(field.ty.to_token_stream()))
}

/// Removes each `PhantomData` with its arguments.
fn without_markers(tokens: TokenStream) -> TokenStream {
    let (mut depth, mut is_in_marker, mut is_arrow) = (0, false, false);
    let mut kept = TokenStream::new();
    for token in tokens {
        let punct = match &token {
            TokenTree::Punct(punct) => punct.as_char(),
            _ => ' ',
        };
        match punct {
            '<' => depth += 1,
            '>' if !is_arrow => depth -= 1,
            _ => {}
        }
        is_arrow = punct == '-';
        match token {
            TokenTree::Ident(name) if name == "PhantomData" => (is_in_marker, depth) = (true, 0),
            _ if is_in_marker => is_in_marker = depth > 0,
            TokenTree::Group(group) => kept.extend(without_markers(group.stream())),
            token => kept.extend([token]),
        }
    }
    kept
}

/// The types of fields that need a schema for certain. The error of schemars' own derive does not say which derive is missing.
///
/// Left out are generic items, whose parameters have bounds, and fields for which an attribute may name another type.
fn asked(item: &DeriveInput) -> Vec<Type> {
    if !item.generics.params.is_empty() || has_key(&item.attrs, &REPLACING) {
        return Vec::new();
    }
    let types = fields_without(&REPLACING, item).map(|it| &it.ty);
    types.filter(|ty| !names(ty, &["Self"])).cloned().collect()
}

/// The fields that have none of the keys, and whose variants have none.
fn fields_without<'a>(keys: &'a [&str], item: &'a DeriveInput) -> impl Iterator<Item = &'a Field> {
    let all: Vec<&Fields> = match &item.data {
        Data::Struct(data) => vec![&data.fields],
        Data::Enum(data) => {
            let variants = data.variants.iter();
            let kept = variants.filter(|variant| !has_key(&variant.attrs, keys));
            kept.map(|variant| &variant.fields).collect()
        }
        Data::Union(_) => Vec::new(),
    };
    let fields = all.into_iter().flatten();
    fields.filter(|field| !has_key(&field.attrs, keys))
}

fn has_key(attributes: &[Attribute], keys: &[&str]) -> bool {
    let mut read = attributes.iter().filter(|it| is_of_schema(it));
    read.any(|attribute| names(&attribute.meta, keys))
}

/// Whether schemars takes names and types from the attribute.
fn is_of_schema(attribute: &Attribute) -> bool {
    let path = attribute.path();
    path.is_ident("schemars") || path.is_ident("serde")
}

/// Whether one of these names is among the tokens.
fn names(tokens: &impl ToTokens, known: &[&str]) -> bool {
    let mut open: Vec<TokenTree> = tokens.to_token_stream().into_iter().collect();
    while let Some(token) = open.pop() {
        match token {
            TokenTree::Group(group) => open.extend(group.stream()),
            TokenTree::Ident(name) if known.iter().any(|known| name == known) => return true,
            _ => {}
        }
    }
    false
}

/// Returns the item with only the attributes that schemars reads.
fn copy(mut item: DeriveInput, original: &Original, open: &str) -> DeriveInput {
    item.vis = Visibility::Inherited;
    let context = rules::context(&item.attrs);
    let of_copy = OfCopy {
        original,
        context: context.as_deref(),
        open,
    };
    retain(&mut item.attrs);
    original.redirect_item(&mut item.attrs);
    original.redirect_generics(&mut item.generics);
    match &mut item.data {
        Data::Struct(data) => of_copy.fields(&mut data.fields, true),
        Data::Enum(data) => {
            for variant in &mut data.variants {
                retain(&mut variant.attrs);
                of_copy.open_converted(&mut variant.attrs);
                original.redirect(&mut variant.attrs);
                // Schemas show no discriminants, and only the original has the type that they need.
                variant.discriminant = None;
                of_copy.fields(&mut variant.fields, false);
            }
        }
        Data::Union(_) => {}
    }
    item
}

/// The knowledge about the item that its fields need.
struct OfCopy<'a> {
    original: &'a Original,
    /// The name of garde's context.
    context: Option<&'a str>,
    /// The path of the function that returns a schema for any value.
    open: &'a str,
}

impl OfCopy<'_> {
    fn fields(&self, all: &mut Fields, have_visibility: bool) {
        for Field { attrs, vis, ty, .. } in all.iter_mut() {
            retain(attrs);
            rules::remove_computed(attrs, self.context);
            self.open_converted(attrs);
            self.original.redirect(attrs);
            self.original.redirect_part(ty);
            if have_visibility {
                *vis = Visibility::Inherited;
            }
        }
    }

    /// Leaves the schema of a converted value open, since its functions do not say into what they convert it.
    fn open_converted(&self, attributes: &mut Vec<Attribute>) {
        let has = |path, keys: &[&str]| {
            let mut of_path = attributes.iter().filter(|it| it.path().is_ident(path));
            of_path.any(|it| names(&it.meta, keys))
        };
        if has("serde", &CONVERTING) && !has("schemars", &["with", "schema_with"]) {
            let open = self.open;
            attributes.push(parse_quote!(#[schemars(schema_with = #open)]));
        }
    }
}

fn retain(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| READ.iter().any(|name| attribute.path().is_ident(name)));
}

/// An alias does not check bounds, and rustc warns about them.
fn without_bounds(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    generics.where_clause = None;
    for param in &mut generics.params {
        match param {
            GenericParam::Type(param) => {
                param.bounds = Punctuated::<TypeParamBound, Token![+]>::new();
                param.default = None;
            }
            GenericParam::Lifetime(param) => param.bounds = Punctuated::new(),
            GenericParam::Const(param) => {
                param.default = None;
            }
        }
    }
    generics
}

/// Adds the bound that the copy has a schema. Thus the bounds are those that schemars finds.
fn where_the_copy_has_a_schema(generics: &Generics, has_schema: WherePredicate) -> Generics {
    let mut generics = generics.clone();
    if generics.type_params().next().is_some() {
        generics.make_where_clause().predicates.push(has_schema);
    }
    generics
}
