//! Names of headers and cookies, which are tokens of HTTP.

use syn::LitStr;

use crate::diagnostics::Errors;

/// Returns a header's name in lower case.
pub(crate) fn header(text: &LitStr, errors: &mut Errors) -> Option<LitStr> {
    let name = text.value().to_ascii_lowercase();
    if !is_token(&name) {
        errors.at(
            text,
            "the name of a header is made of letters, digits and `-`",
        );
        return None;
    }
    Some(LitStr::new(&name, text.span()))
}

/// Returns a cookie's name. A cookie with another name is never sent, so it would always be absent.
pub(crate) fn cookie(text: &LitStr, errors: &mut Errors) -> Option<LitStr> {
    if !is_token(&text.value()) {
        errors.at(
            text,
            "the name of a cookie is made of letters, digits, `-` and `_`",
        );
        return None;
    }
    Some(text.clone())
}

/// [RFC 9110 5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)
fn is_token(name: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(in_token)
}
