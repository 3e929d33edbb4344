//! Reads the attribute of one argument.

use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, Meta};

use super::model::{Argument, Name, Naming, Parentheses, Source, SourceKind};
use crate::args::{Args, Key, Value, literal, names, string_literal};
use crate::attribute::{self, short_name};
use crate::diagnostics::{Errors, similar};
use crate::types;

/// Reads an attribute of this kind.
pub(super) fn read(
    argument: &Argument,
    attribute: &Attribute,
    kind: &'static SourceKind,
    errors: &mut Errors,
) -> Source {
    let reader = Reader {
        argument,
        attribute,
        attribute_name: short_name(attribute),
    };
    let mut source = Source::of(kind);
    match &kind.parentheses {
        Parentheses::Nothing => reader.nothing(errors),
        Parentheses::Keys { keys, no_value } => reader.keys(&mut source, keys, no_value, errors),
        Parentheses::Name { naming, keys } => reader.named(&mut source, naming, keys, errors),
    }
    (kind.check)(argument, &mut source, errors);
    source
}

struct Reader<'a> {
    argument: &'a Argument,
    attribute: &'a Attribute,
    attribute_name: String,
}

impl Reader<'_> {
    fn nothing(&self, errors: &mut Errors) {
        if !matches!(self.attribute.meta, Meta::Path(_)) {
            let name = &self.attribute_name;
            errors.at(
                &self.attribute.meta,
                format_args!("`#[{name}]` takes nothing: write `#[{name}]`"),
            );
        }
    }

    fn keys(&self, source: &mut Source, keys: &[Key<Source>], no_value: &str, errors: &mut Errors) {
        let args = attribute::args(self.attribute, errors);
        for value in &args.positional {
            errors.at(value, no_value);
        }
        args.set(source, &self.attribute_name, keys, errors);
    }

    fn named(
        &self,
        source: &mut Source,
        naming: &Naming,
        keys: &[Key<Source>],
        errors: &mut Errors,
    ) {
        let mut args = attribute::args(self.attribute, errors);
        source.name = Some(self.name(&args, naming, errors));
        self.suggest_string(&mut args, &names(keys), errors);
        args.set(source, &self.attribute_name, keys, errors);
        if source.default.is_some() && types::is_named(&self.argument.bound, "Option") {
            errors.at(
                &self.argument.declared,
                "`default` fills in what is absent: write the type without `Option`",
            );
        }
    }

    /// Returns the given literal, or the argument's own name.
    fn name(&self, args: &Args, naming: &Naming, errors: &mut Errors) -> Name {
        for second in args.positional.iter().skip(1) {
            let name = &self.attribute_name;
            errors.at(
                second,
                format_args!("on an argument `#[{name}(\"..\")]` takes one name"),
            );
        }
        match args.positional.first() {
            Some(given) => self.given_name(given, naming, errors),
            None => self.own_name(naming, errors),
        }
    }

    fn given_name(&self, given: &Expr, naming: &Naming, errors: &mut Errors) -> Name {
        let text = literal(given).and_then(string_literal);
        if text.is_none() {
            let name = &self.attribute_name;
            errors.at(
                given,
                format_args!("a name is a string literal: `#[{name}(\"..\")]`"),
            );
        }
        let checked = text.and_then(|text| (naming.given)(&text, errors));
        Name {
            text: checked.map_or_else(String::new, |text| text.value()),
            span: given.span(),
        }
    }

    fn own_name(&self, naming: &Naming, errors: &mut Errors) -> Name {
        let Some(ident) = &self.argument.name else {
            let name = &self.attribute_name;
            errors.at(
                self.attribute.path(),
                format_args!("give the name: `#[{name}(\"id\")]`"),
            );
            return Name {
                text: String::new(),
                span: self.attribute.span(),
            };
        };
        Name {
            text: (naming.own)(&ident.unraw().to_string()),
            span: ident.span(),
        }
    }

    /// Removes `#[param(id)]` if `#[param("id")]` is meant.
    fn suggest_string(&self, args: &mut Args, keys: &[&str], errors: &mut Errors) {
        args.named.retain(|arg| {
            let name = arg.name();
            let bare = matches!(arg.value, Value::Nothing);
            let meant = bare && !keys.contains(&name.as_str()) && similar(&name, keys).is_none();
            if meant {
                let attribute = &self.attribute_name;
                errors.at(
                    &arg.key,
                    format_args!("a name is a string literal: `#[{attribute}(\"{name}\")]`"),
                );
            }
            !meant
        });
    }
}
