//! The documents of the examples. `examples.txt` lists what they leave open, and why.

#![allow(dead_code, unused_imports)]

use helios::Helios;
use helios::openapi::Unknown;

macro_rules! examples {
    ($($name:ident $path:literal)*) => {
        $(
            #[path = $path]
            pub(crate) mod $name;
        )*
    };
}

examples! {
    auth "../../examples/auth.rs"
    chat "../../examples/chat/main.rs"
    cluster "../../examples/cluster/main.rs"
    danet "../../examples/danet.rs"
    dashboard "../../examples/dashboard/main.rs"
    dwex "../../examples/dwex/main.rs"
    heliosjs "../../examples/heliosjs/main.rs"
    htmx "../../examples/htmx.rs"
    llm "../../examples/llm/main.rs"
    mcp "../../examples/mcp/main.rs"
    mount "../../examples/mount.rs"
    nestjs "../../examples/nestjs.rs"
    providers "../../examples/providers.rs"
    s42core "../../examples/s42core.rs"
    tracing_ "../../examples/tracing.rs"
    upload "../../examples/upload.rs"
    user "../../examples/user.rs"
    websocket "../../examples/websocket.rs"
}

pub(crate) fn apps() -> [(&'static str, Helios); 18] {
    [
        ("auth", Helios::new(auth::App)),
        ("chat", Helios::new(chat::App).sse_options(chat::options)),
        ("cluster", Helios::new(cluster::node::App)),
        ("danet", Helios::new(danet::App)),
        ("dashboard", Helios::new(dashboard::App)),
        ("dwex", Helios::new(dwex::App)),
        ("heliosjs", Helios::new(heliosjs::App)),
        ("htmx", Helios::new(htmx::App)),
        ("llm", Helios::new(llm::App)),
        ("mcp", mcp::app()),
        ("mount", Helios::new(mount::App)),
        ("nestjs", Helios::new(nestjs::App)),
        ("providers", providers::app()),
        ("s42core", Helios::new(s42core::App)),
        ("tracing", Helios::new(tracing_::App)),
        ("upload", Helios::new(upload::App)),
        ("user", Helios::new(user::App)),
        ("websocket", Helios::new(websocket::App)),
    ]
}

#[test]
fn every_example_has_a_document_with_known_gaps() {
    let mut open: Vec<(String, String)> = Vec::new();
    for (name, app) in apps() {
        let document = app.openapi_document().unwrap();
        for Unknown {
            verb, path, what, ..
        } in document.unknown()
        {
            let (fault, route) = (format!("{name}: {what}"), format!("{verb} {path}"));
            match open.iter_mut().find(|(known, _)| *known == fault) {
                Some((_, routes)) => *routes += &format!(", {route}"),
                None => open.push((fault, route)),
            }
        }
    }
    let open = open.into_iter();
    let open: Vec<_> = open
        .map(|(fault, routes)| format!("{fault}: {routes}"))
        .collect();
    let known = include_str!("examples.txt").lines();
    let known: Vec<_> = known.filter(|line| !line.starts_with('#')).collect();
    assert_eq!(open, known, "{}", open.join("\n"));
}
