//! What a handler answers with, and the status, headers and cookies that it sets beside it.
#![allow(clippy::unwrap_used)]

mod replies {
    mod cookies;
    mod kept;
    mod kinds;
}
