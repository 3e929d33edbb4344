//! What generated code takes from the container, beyond plain `Arc<T>`s.

use std::sync::Arc;

use helios_core::bind;
use helios_core::call::Call;
use helios_core::container::Resolver;
use helios_core::filter::{DynFilter, Filter};
use helios_core::guard::{DynGuard, Guard};
use helios_core::interceptor::{DynInterceptor, Interceptor};
use http::{HeaderName, HeaderValue};

use crate::sse::SseService;

/// A resolved guard, its type forgotten.
pub fn guard<G: Guard>(guard: Option<Arc<G>>) -> Option<Arc<dyn DynGuard>> {
    guard.map(|guard| guard as Arc<dyn DynGuard>)
}

/// A resolved interceptor, its type forgotten.
pub fn interceptor<I: Interceptor>(interceptor: Option<Arc<I>>) -> Option<Arc<dyn DynInterceptor>> {
    interceptor.map(|interceptor| interceptor as Arc<dyn DynInterceptor>)
}

/// A resolved filter, its type forgotten.
pub fn filter<F: Filter>(filter: Option<Arc<F>>) -> Option<Arc<dyn DynFilter>> {
    filter.map(|filter| filter as Arc<dyn DynFilter>)
}

/// An `SseService` field of an injectable type.
pub fn field_sse(resolver: &mut Resolver<'_>) -> Option<SseService> {
    resolver.provided::<SseService>().map(|sse| (*sse).clone())
}

/// An `#[inject_sse]` argument.
pub fn inject_sse(call: &mut Call) -> Option<SseService> {
    bind::inject::<SseService>(call).map(|sse| (*sse).clone())
}

/// A `#[header(name, value)]` of a route; both were checked when they were compiled.
pub fn set_header(call: &mut Call, name: &'static str, value: &'static str) {
    let (name, value) = (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    call.response_head().append_header(name, value);
}
