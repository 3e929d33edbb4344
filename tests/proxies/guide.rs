//! The guide shows what is tried here.

const CHAPTER: &str = include_str!("../../src/guide/deployment.md");

#[test]
fn the_guide_shows_the_configurations_that_are_tested() {
    let files = [
        ("nginx", include_str!("nginx.conf")),
        ("haproxy", include_str!("haproxy.cfg")),
        ("http", include_str!("away.http")),
        ("caddy", include_str!("Caddyfile")),
    ];
    for (language, file) in files {
        let block = format!("```{language}\n{file}```\n");
        assert!(CHAPTER.contains(&block), "{language}");
    }
}
