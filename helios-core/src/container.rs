//! The dependency container. It holds one instance of each type, which is provided or built on demand. All dependencies
//! are checked at start-up.

mod error;
mod factory;
mod providers;
mod resolver;
mod store;

pub use error::InjectError;
pub use factory::Factory;
#[doc(hidden)]
pub use factory::FactoryFuture;
pub use providers::Providers;
pub use resolver::{Dependency, Injectable, Provided, Resolver, Shared};
pub use store::Container;
#[doc(hidden)]
pub use store::TypeKey;
