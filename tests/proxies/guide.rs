//! The guide shows what is tried here.

use super::{caddy, haproxy, nginx};

const CHAPTER: &str = include_str!("../../src/guide/deployment.md");

#[test]
fn the_guide_shows_the_configurations_that_are_tested() {
    let files = [
        ("nginx", include_str!("nginx.conf")),
        ("haproxy", include_str!("haproxy.cfg")),
        ("http", include_str!("away.http")),
        ("caddy", include_str!("Caddyfile")),
        ("nginx", nginx::CROSS_ORIGIN),
        ("http", haproxy::CROSS_ORIGIN),
        ("caddy", caddy::CROSS_ORIGIN),
    ];
    for (language, file) in files {
        let block = format!("```{language}\n{file}```\n");
        assert!(CHAPTER.contains(&block), "{language}");
    }
}
