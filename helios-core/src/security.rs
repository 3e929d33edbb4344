//! [`Security`], which describes the credentials that a guard requires for the OpenAPI document.

/// The credentials that a guard accepts: one kind, or one of several. See
/// [`Guard::security`](crate::guard::Guard::security).
///
/// ```
/// use helios::http::Security;
///
/// let programs_and_pages = Security::bearer().or(Security::cookie("session"));
/// assert_eq!(programs_and_pages.schemes().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security(Vec<Scheme>);

/// One kind of credentials.
///
/// ```
/// use helios::http::{Scheme, Security};
///
/// assert_eq!(Security::header("x-api-key").schemes(), [Scheme::Header("x-api-key".into())]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// `Authorization: Bearer ..`
    Bearer,
    /// `Authorization: Basic ..`
    Basic,
    /// A header of this name.
    Header(String),
    /// A cookie of this name.
    Cookie(String),
}

impl Security {
    /// Requires `Authorization: Bearer ..`.
    #[must_use]
    pub fn bearer() -> Self {
        Self(vec![Scheme::Bearer])
    }

    /// Requires `Authorization: Basic ..`.
    #[must_use]
    pub fn basic() -> Self {
        Self(vec![Scheme::Basic])
    }

    /// Requires a key in the header `name`.
    #[must_use]
    pub fn header(name: impl Into<String>) -> Self {
        Self(vec![Scheme::Header(name.into())])
    }

    /// Requires the cookie `name`.
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(vec![Scheme::Cookie(name.into())])
    }

    /// Accepts `other` as well.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Returns the kinds of credentials. One of them is enough.
    #[must_use]
    pub fn schemes(&self) -> &[Scheme] {
        &self.0
    }
}
