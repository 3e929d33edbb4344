//! The errors of the container, written for people.

/// The reason why a dependency could not be resolved, with the types that led to it.
///
/// ```
/// use helios::error::{InjectError, StartupFault};
///
/// fn wanted(fault: &StartupFault) -> Option<&str> {
///     match fault {
///         StartupFault::Inject(InjectError::Missing { wanted, .. }) => Some(wanted),
///         _ => None,
///     }
/// }
/// # let _ = wanted;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// Nothing provides the type.
    #[error(
        "nothing provides `{wanted}`{}: call {}",
        needed_by(.path),
        hint(.wanted, *.shared, *.by_factory)
    )]
    Missing {
        /// The type's name.
        wanted: String,
        /// The types that need it, outermost first.
        path: Vec<String>,
        /// Whether an `Arc` of the type was provided as a value.
        shared: bool,
        /// Whether an async factory needs it.
        by_factory: bool,
    },
    /// The async factory that makes the type failed.
    #[error("`{wanted}` could not be made{}: {reason}", needed_by(.path))]
    Failed {
        /// The type's name.
        wanted: String,
        /// The types that need it, outermost first.
        path: Vec<String>,
        /// The factory's error, with its sources.
        reason: String,
    },
    /// An async factory makes the type, but it has not been run.
    #[error(
        "`{wanted}` is made by an async factory{}: call `.prepare().await` on the app before it becomes a service",
        needed_by(.path)
    )]
    NotPrepared {
        /// The type's name.
        wanted: String,
        /// The types that need it, outermost first.
        path: Vec<String>,
    },
    /// Building the type needs the type itself.
    #[error("a cycle of dependencies: {}; break it with `.provide(..)` for one of them", chain(.path))]
    Cycle {
        /// The types, ending with the one that it starts with.
        path: Vec<String>,
    },
}

fn chain(path: &[String]) -> String {
    let quoted: Vec<_> = path.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" -> ")
}

fn needed_by(path: &[String]) -> String {
    match path {
        [] => String::new(),
        path => format!(", needed by {}", chain(path)),
    }
}

fn hint(wanted: &str, shared: bool, by_factory: bool) -> String {
    if shared {
        return format!(
            "`.provide(..)` with a value (an `Arc<{wanted}>` was provided: hand it in with `.provide_as(..)`)"
        );
    }
    if wanted.starts_with("dyn ") {
        return format!("`.provide_as::<{wanted}>(Arc::new(..))` with a value that implements it");
    }
    let or = match by_factory {
        true => {
            "with a factory, because types that derive `Injectable` are built after the factories have run"
        }
        false => "derive `Injectable` on the type",
    };
    format!("`.provide(..)` with a value or {or}")
}
