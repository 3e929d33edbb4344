//! Why a server does not start or stops.
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

/// Why `listen` or `into_service` gave up. Its text is for the person who starts the server, and `{:?}` gives the same
/// text: it is what Rust prints for a `main` that returns the error.
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
    /// The app is wired wrongly. Every fault is listed.
    #[error("{0}")]
    Startup(StartupFaults),
    /// A setting cannot be used.
    #[error("{name}={value:?} is not usable: {expected}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be.
        expected: &'static str,
    },
    /// The address could not be listened on.
    #[error("{}", not_bound(address, source, advice))]
    #[non_exhaustive]
    Bind {
        /// The address.
        address: String,
        /// The cause.
        source: io::Error,
        /// What to change; empty if that is not known.
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

/// Of what the app itself has bound, no error of the system says where that was.
fn of_the_app(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another server listens there, or has left the file of its Unix socket behind: remove that, or let Helios bind the path \
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

/// Everything that is wrong with an app's wiring. Its text is a list with one fault on each line.
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
        /// The handler that was there first.
        first: Place,
        /// The other one.
        second: Place,
        /// The method.
        verb: Verb,
        /// The path.
        path: String,
    },
    /// The router cannot tell a path from another.
    #[error("{place} at {path} cannot be told from another route: {reason}")]
    Ambiguous {
        /// The handler.
        place: Place,
        /// Its path.
        path: String,
        /// What the router says.
        reason: String,
    },
    /// A path that no request can have, put together from the prefixes of server, modules and controllers.
    #[error("{place} is at {path}, which no request can have: {mistake}")]
    InvalidPath {
        /// The handler.
        place: Place,
        /// Its path.
        path: String,
        /// What is wrong, and what to write.
        mistake: &'static str,
    },
    /// `#[param(outer)]` without such a parameter.
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
    #[error("{place} can never be called: its argument `{argument}` is not to be bound. {mistake}")]
    NeverBound {
        /// The handler or hook.
        place: Place,
        /// The argument.
        argument: &'static str,
        /// Why, and what to write.
        mistake: String,
    },
    /// The options of an SSE route cannot be used together.
    #[error("{place} cannot stream as it is set: {mistake}")]
    StreamOptions {
        /// The handler.
        place: Place,
        /// What is wrong, and what to write.
        mistake: &'static str,
    },
    /// A mounted service that no request can reach.
    #[error("what is mounted at {prefix} can never be reached: {reason}")]
    UnreachableMount {
        /// The prefix that it was mounted at.
        prefix: String,
        /// Why, and what to write.
        reason: String,
    },
    /// A variable names what this program is built without.
    #[error(
        "`{variable}` is set, and this program is built without the feature `{feature}` of helios-rs: \
        `cargo add helios-rs --features {feature}`, or unset it"
    )]
    NeedsFeature {
        /// The variable of the environment.
        variable: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// Two variables name a backplane each, and a hub has one.
    #[error("`{0}` and `{1}` are both set, and a hub has one backplane: unset one of them")]
    TwoBackplanes(&'static str, &'static str),
    /// Two operations of the OpenAPI document with one id.
    #[error("{}", same_operation(place, paths))]
    SameOperation {
        /// The handler.
        place: Place,
        /// The paths of both.
        paths: [String; 2],
    },
    /// A controller stands below itself.
    #[error("the controller `{0}` is nested in itself")]
    NestedInItself(&'static str),
}

fn same_operation(place: &Place, [first, second]: &[String; 2]) -> String {
    format!(
        "{place} is at {first} and at {second}, and the OpenAPI document knows operations by controller and method: give one of the \
         two another name"
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

/// A handler, for error messages.
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
