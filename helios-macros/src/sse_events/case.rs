//! `rename_all`, with the names and rules of serde.

use syn::LitStr;

use crate::diagnostics::{Errors, similar};

/// A naming convention for variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

const CASES: [(&str, Case); 8] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("PascalCase", Case::Pascal),
    ("camelCase", Case::Camel),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
    ("SCREAMING-KEBAB-CASE", Case::ScreamingKebab),
];

impl Case {
    pub(super) fn parse(text: &LitStr, errors: &mut Errors) -> Option<Self> {
        let name = text.value();
        let found = CASES.iter().find(|(known, _)| *known == name);
        if found.is_none() {
            let names = CASES.map(|(known, _)| known);
            match similar(&name, &names) {
                Some(similar) => errors.at(
                    text,
                    format_args!("unknown case: did you mean {similar:?}?"),
                ),
                None => errors.at(
                    text,
                    format_args!("unknown case: write one of `{}`", names.join("`, `")),
                ),
            }
        }
        found.map(|(_, case)| *case)
    }

    /// Renames a variant, whose name is in Pascal case.
    pub(super) fn apply(self, name: &str) -> String {
        match self {
            Self::Pascal => name.to_owned(),
            Self::Lower => name.to_lowercase(),
            Self::Upper => name.to_uppercase(),
            Self::Camel => camel(name),
            Self::Snake => snake(name),
            Self::ScreamingSnake => snake(name).to_uppercase(),
            Self::Kebab => snake(name).replace('_', "-"),
            Self::ScreamingKebab => snake(name).to_uppercase().replace('_', "-"),
        }
    }
}

fn camel(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, c) in name.char_indices() {
        if index > 0 && c.is_uppercase() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_serde() {
        let named = CASES.map(|(_, case)| case.apply("OrderShipped"));
        let expected = [
            "ordershipped",
            "ORDERSHIPPED",
            "OrderShipped",
            "orderShipped",
            "order_shipped",
            "ORDER_SHIPPED",
            "order-shipped",
            "ORDER-SHIPPED",
        ];
        assert_eq!(named, expected);
    }
}
