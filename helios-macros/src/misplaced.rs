//! The attributes of methods as macros of their own. They run if no `#[controller]` has removed them.

use proc_macro2::{Span, TokenStream};
use quote::quote;

/// `#[controller]` passes this to mark an attribute as used. Otherwise rustc would report its import as unused.
const TOUCH: &str = "__touch";

/// Refuses the attribute and returns the item, or returns nothing for a touch.
pub(crate) fn misplaced(name: &str, args: &TokenStream, item: &TokenStream) -> TokenStream {
    if args.to_string() == TOUCH {
        return TokenStream::new();
    }
    let message = format!("`#[{name}]` works on a method inside an `impl` marked `#[controller]`");
    let error = syn::Error::new(Span::call_site(), message).into_compile_error();
    quote!(#item #error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_misplaced_attribute_leaves_the_item() {
        let item = quote!(
            const _: () = ();
        );
        assert!(misplaced("get", &quote!(__touch), &item).is_empty());
        let refused = misplaced("get", &quote!("x"), &item).to_string();
        assert!(refused.starts_with(&item.to_string()));
        assert!(refused.contains("`#[get]` works on a method inside"));
    }
}
