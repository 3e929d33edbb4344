//! Functions by which generated code reads from the container, except for plain `Arc<T>`s.

use std::sync::Arc;

use helios_core::bind;
use helios_core::call::Call;
use helios_core::container::Resolver;
use helios_core::filter::{DynFilter, Filter};
use helios_core::guard::{DynGuard, Guard};
use helios_core::interceptor::{DynInterceptor, Interceptor};
use http::{HeaderName, HeaderValue};

use crate::sse::SseService;

/// Erases the type of a resolved guard.
pub fn guard<G: Guard>(guard: Option<Arc<G>>) -> Option<Arc<dyn DynGuard>> {
    guard.map(|guard| guard as Arc<dyn DynGuard>)
}

/// Erases the type of a resolved interceptor.
pub fn interceptor<I: Interceptor>(interceptor: Option<Arc<I>>) -> Option<Arc<dyn DynInterceptor>> {
    interceptor.map(|interceptor| interceptor as Arc<dyn DynInterceptor>)
}

/// Erases the type of a resolved filter.
pub fn filter<F: Filter>(filter: Option<Arc<F>>) -> Option<Arc<dyn DynFilter>> {
    filter.map(|filter| filter as Arc<dyn DynFilter>)
}

/// Returns an `SseService` for a field of an injectable type.
pub fn field_sse(resolver: &mut Resolver<'_>) -> Option<SseService> {
    resolver.provided::<SseService>().map(|sse| (*sse).clone())
}

/// Returns the value of an `#[inject_sse]` argument.
pub fn inject_sse(call: &mut Call) -> Option<SseService> {
    bind::inject::<SseService>(call).map(|sse| (*sse).clone())
}

/// Sets a `#[header(name, value)]` of a route. Both were checked at compile time.
pub fn set_header(call: &mut Call, name: &'static str, value: &'static str) {
    let (name, value) = (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    call.response_head().append_header(name, value);
}
