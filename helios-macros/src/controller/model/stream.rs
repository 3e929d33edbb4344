//! The options of an SSE route.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Path;

/// The options of a route's streams, each with the field of the runtime's `StreamTable` that it sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamOptions {
    pub(crate) settings: Vec<(&'static str, Setting)>,
    /// `events = T`
    pub(crate) events: Option<Path>,
}

/// The value of an option.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    Flag(bool),
    Millis(u64),
    Status(u16),
    /// A variant of the runtime's enum.
    Choice(&'static str, &'static str),
}

impl StreamOptions {
    /// Returns the runtime's `StreamTable`. Options that are not written keep the server's values.
    pub(crate) fn expand(&self, rt: &TokenStream, may_join: bool, may_reply: bool) -> TokenStream {
        let fields = self.settings.iter().map(|(field, setting)| {
            let field = Ident::new(field, Span::call_site());
            match setting {
                Setting::Flag(on) if field == "restart" => quote!(#field: #on,),
                setting => {
                    let value = setting.expand(rt);
                    quote!(#field: #rt::Some(#value),)
                }
            }
        });
        quote! {
            #rt::StreamTable { may_join: #may_join, may_reply: #may_reply, #(#fields)* ..#rt::StreamTable::EMPTY }
        }
    }
}

impl Setting {
    fn expand(self, rt: &TokenStream) -> TokenStream {
        match self {
            Self::Flag(on) => on.to_token_stream(),
            Self::Millis(millis) => millis.to_token_stream(),
            Self::Status(status) => status.to_token_stream(),
            Self::Choice(ty, variant) => {
                let [ty, variant] = [ty, variant].map(|name| Ident::new(name, Span::call_site()));
                quote!(#rt::#ty::#variant)
            }
        }
    }
}
