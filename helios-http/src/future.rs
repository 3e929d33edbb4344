//! The boxed future that crosses the borders of this crate.

use std::pin::Pin;

/// A boxed future, as the hidden handler functions return it, and a backplane's methods.
///
/// ```
/// use helios::backplane::BoxFuture;
///
/// fn double(n: u32) -> BoxFuture<'static, u32> {
///     Box::pin(async move { 2 * n })
/// }
/// # let _ = double(2);
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
