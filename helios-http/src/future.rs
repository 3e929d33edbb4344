//! The boxed future in the interfaces of this crate.

use std::pin::Pin;

/// A boxed future, as generated handler functions and a backplane's methods return it.
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
