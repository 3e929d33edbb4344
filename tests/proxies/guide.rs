//! The guide shows the configurations that the tests use.

use super::{caddy, haproxy, nginx};

const CHAPTERS: [&str; 2] = [
    include_str!("../../src/guide/deployment.md"),
    include_str!("../../src/guide/websockets.md"),
];

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
        ("nginx", nginx::WEBSOCKET),
    ];
    for (language, file) in files {
        let block = format!("```{language}\n{file}```\n");
        let is_shown = CHAPTERS.iter().any(|chapter| chapter.contains(&block));
        assert!(is_shown, "{language}: {file}");
    }
}
