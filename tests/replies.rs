//! The responses of handlers, and the status, headers and cookies that handlers set.
#![allow(clippy::unwrap_used)]

mod replies {
    mod cookies;
    mod kept;
    mod kinds;
}
