//! Reasons why a server does not start, or stops.
//!
//! ```
//! use helios::error::{Error, StartupFault};
//! use helios::prelude::*;
//!
//! #[derive(Injectable)]
//! struct Clock;
//!
//! #[controller(prefix = "clock")]
//! impl Clock {
//!     #[sse("ticks")]
//!     fn ticks(&self) -> impl Stream<Item = SseEvent> {
//!         stream! { yield SseEvent::text("tick"); }
//!     }
//! }
//!
//! #[server(controllers = [Clock])] // without `sse(enabled = true)`
//! struct App;
//!
//! let Err(Error::Startup(faults)) = Helios::new(App).into_service() else {
//!     panic!("it starts");
//! };
//! assert!(matches!(&*faults.0, [StartupFault::SseDisabled { .. }]));
//! ```

use std::fmt;
use std::io;

use helios_core::backplane::BackplaneError;
pub use helios_core::container::InjectError;
pub use helios_core::lifecycle::StartError;
use helios_core::route::Verb;

/// The reason why `listen` or `into_service` failed. Its text is for the person who starts the server. `{:?}` gives the
/// same text, because Rust prints that form for a `main` that returns the error.
///
/// ```
/// use helios::{Error, prelude::*};
///
/// #[server(controllers = [])]
/// struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let port = taken.local_addr()?.port();
/// match Helios::new(App).host("127.0.0.1").port(port).listen().await {
///     Err(Error::Bind { address, source, .. }) => eprintln!("{address}: {source}; is it running?"),
///     other => other?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The app is wired wrongly. Lists every fault.
    #[error("{0}")]
    Startup(StartupFaults),
    /// A setting cannot be used.
    #[error("{name}={value:?} is not usable: {expected}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values that are accepted.
        expected: &'static str,
    },
    /// The server cannot listen on the address.
    #[error("{}", not_bound(address, source, advice))]
    #[non_exhaustive]
    Bind {
        /// The address.
        address: String,
        /// The cause.
        source: io::Error,
        /// The advice on what to change, or an empty string if there is none.
        advice: &'static str,
    },
    /// The backplane did not connect.
    #[error("{}", not_connected(.0))]
    Backplane(#[source] BackplaneError),
    /// A service's start hook failed.
    #[error(transparent)]
    Start(StartError),
    /// The listener or a signal handler failed.
    #[error("{}", of_the_app(.0))]
    Io(#[from] io::Error),
}

fn not_connected(error: &BackplaneError) -> String {
    let error = crate::failure::with_causes(error);
    format!("the backplane did not connect: {error}")
}

/// An error from a listener that the app has bound does not name the address.
fn of_the_app(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another server listens there, or has left the file of its Unix socket behind: remove the file, or let Helios bind the path \
             with `Helios::unix_socket`"
        }
        _ => "",
    };
    format!("{error}{advice}")
}

fn not_bound(address: &str, source: &io::Error, advice: &str) -> String {
    let separator = if advice.is_empty() { "" } else { "; " };
    format!("cannot listen on {address}: {source}{separator}{advice}")
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Everything that is wrong with an app's wiring. Its text is a list with one fault per line.
///
/// ```
/// use helios::{Error, prelude::*};
///
/// struct Pool;
///
/// #[derive(Injectable)]
/// struct Users { _pool: Arc<Pool> }
///
/// #[controller(prefix = "users")]
/// impl Users {}
///
/// #[server(controllers = [Users])]
/// struct App;
///
/// if let Err(Error::Startup(faults)) = Helios::new(App).into_service() {
///     assert_eq!(faults.0.len(), 1);
///     assert!(faults.to_string().contains("nothing provides `Pool`, needed by `Users`"));
/// }
/// ```
#[derive(Debug)]
pub struct StartupFaults(pub Vec<StartupFault>);

impl fmt::Display for StartupFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the app cannot start, {} fault(s):", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  - {fault}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong with an app's wiring. Its text says what to change.
///
/// ```
/// use helios::error::{Error, StartupFault};
///
/// fn collisions(error: &Error) -> Vec<&str> {
///     let Error::Startup(faults) = error else { return Vec::new() };
///     let paths = faults.0.iter().filter_map(|fault| match fault {
///         StartupFault::Collision { path, .. } => Some(path.as_str()),
///         _ => None,
///     });
///     paths.collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartupFault {
    /// A dependency is missing or circular.
    #[error(transparent)]
    Inject(InjectError),
    /// An SSE route on a server without SSE.
    #[error(
        "{place} serves events at {path}, but the server did not enable SSE: write `sse(enabled = true)` in `#[server(..)]`"
    )]
    SseDisabled {
        /// The handler.
        place: Place,
        /// Its whole path.
        path: String,
    },
    /// Two handlers for the same requests.
    #[error("{}", collision(first, second, *verb, path))]
    Collision {
        /// The handler that was found first.
        first: Place,
        /// The other one.
        second: Place,
        /// The method.
        verb: Verb,
        /// The path.
        path: String,
    },
    /// The router cannot tell a path from another one.
    #[error("{place} at {path} cannot be told from another route: {reason}")]
    Ambiguous {
        /// The handler.
        place: Place,
        /// Its path.
        path: String,
        /// The reason that the router gives.
        reason: String,
    },
    /// A path that no request can have. It joins the prefixes of server, modules and controllers with the handler's path.
    #[error("{place} is at {path}, which no request can have: {mistake}")]
    InvalidPath {
        /// The handler.
        place: Place,
        /// Its path.
        path: String,
        /// The mistake, and what to write instead.
        mistake: &'static str,
    },
    /// `#[param(outer)]` without such a parameter in the prefixes.
    #[error("{place} takes `#[param(outer)] {name}`, but {path} has no `{{{name}}}`")]
    NoOuterParam {
        /// The handler.
        place: Place,
        /// The parameter.
        name: &'static str,
        /// The handler's whole path.
        path: String,
    },
    /// Two parameters of one path with the same name.
    #[error("{place} is at {path}, which has `{{{name}}}` twice: rename one of them")]
    RepeatedParam {
        /// The handler.
        place: Place,
        /// The parameter.
        name: String,
        /// The handler's whole path.
        path: String,
    },
    /// An argument that no request can bind.
    #[error("{place} can never be called: its argument `{argument}` cannot be bound. {mistake}")]
    NeverBound {
        /// The handler or hook.
        place: Place,
        /// The argument.
        argument: &'static str,
        /// The reason, and what to write instead.
        mistake: String,
    },
    /// The options of an SSE route cannot be used together.
    #[error("{place} cannot stream as it is set: {mistake}")]
    StreamOptions {
        /// The handler.
        place: Place,
        /// The mistake, and what to write instead.
        mistake: &'static str,
    },
    /// A mounted service that no request can reach.
    #[error("the mount at {prefix} can never be reached: {reason}")]
    UnreachableMount {
        /// The prefix of the mount.
        prefix: String,
        /// The reason, and what to write instead.
        reason: String,
    },
    /// An environment variable needs a feature that this program was built without.
    #[error(
        "`{variable}` is set, but this program was built without the feature `{feature}` of helios-rs: \
        run `cargo add helios-rs --features {feature}`, or unset the variable"
    )]
    NeedsFeature {
        /// The environment variable.
        variable: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// Two environment variables each name a backplane, but a hub has only one.
    #[error("`{0}` and `{1}` are both set, but a hub has only one backplane: unset one of them")]
    TwoBackplanes(&'static str, &'static str),
    /// Two operations of the OpenAPI document with the same id.
    #[error("{}", same_operation(id, place, paths))]
    SameOperation {
        /// The id.
        id: String,
        /// The handler.
        place: Place,
        /// The paths of both.
        paths: [String; 2],
    },
    /// A controller is nested in itself.
    #[error("the controller `{0}` is nested in itself")]
    NestedInItself(&'static str),
}

fn same_operation(id: &str, place: &Place, [first, second]: &[String; 2]) -> String {
    format!(
        "{place} is at {first} and at {second}, but `{id}` can be the id of one operation only in the OpenAPI document: give one of the \
         two another name, or if it is one controller, one of its type arguments or prefixes"
    )
}

fn collision(first: &Place, second: &Place, verb: Verb, path: &str) -> String {
    let (first, second) = (first.to_string(), second.to_string());
    if first == second {
        return format!(
            "{first} answers {verb} {path} twice: list its controller once, or give it another prefix"
        );
    }
    format!("{first} and {second} both answer {verb} {path}: change one of the paths or methods")
}

/// A handler, as error messages name it.
///
/// ```
/// use helios::error::{Error, Place, StartupFault};
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct User;
///
/// #[controller(prefix = "user")]
/// impl User {
///     #[sse]
///     fn updates(&self) -> SseStream { SseStream::new() }
/// }
///
/// #[server(controllers = [User])] // without `sse(enabled = true)`
/// struct App;
///
/// fn first_place(error: &Error) -> Option<Place> {
///     let Error::Startup(faults) = error else { return None };
///     faults.0.iter().find_map(|fault| match fault {
///         StartupFault::SseDisabled { place, .. } => Some(*place),
///         _ => None,
///     })
/// }
/// let error = Helios::new(App).into_service().err().unwrap();
/// assert_eq!(first_place(&error).unwrap().to_string(), "`User::updates`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The controller's name.
    pub controller: &'static str,
    /// The method's name.
    pub handler: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}::{}`", self.controller, self.handler)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_main_that_returns_the_error_prints_its_text() {
        let faults = StartupFaults(vec![StartupFault::NestedInItself("Users")]);
        let printed = format!("Error: {:?}", Error::Startup(faults));
        assert_eq!(
            printed,
            "Error: the app cannot start, 1 fault(s):\n  - the controller `Users` is nested in itself"
        );
    }
}
