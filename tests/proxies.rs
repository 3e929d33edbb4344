//! Streams through common proxies: nginx, HAProxy and Caddy, as Debian packages them.
//!
//! The configurations are those in the guide's chapter on deployment.
#![allow(clippy::unwrap_used)]

mod proxies {
    mod app;
    mod browser;
    mod caddy;
    mod checks;
    mod guide;
    mod haproxy;
    mod nginx;
    mod process;
    mod several;
}
