//! Helios and its peers, over real sockets. This compares what each of them does where a server of events can go wrong.
//!
//! `cargo xtask test` runs it. The table has the expected behaviour of each, and the README shows it.
#![allow(clippy::unwrap_used)]

mod peers {
    mod actix;
    mod axum;
    pub(crate) mod behaviours;
    mod client;
    mod helios;
    mod nest;
    mod poem;
    mod salvo;
    mod server;
    mod site;
    pub(crate) mod table;
}

use peers::behaviours;
use peers::table::{self, each};

#[test]
fn the_readme_shows_the_table() {
    let readme = include_str!("../../README.md");
    let table = table::markdown();
    assert!(readme.contains(&table), "the README lacks\n{table}");
}

#[tokio::test]
async fn a_newline_in_a_name_or_an_id() {
    each(|peer| peer.newline, behaviours::newline).await;
}

#[tokio::test]
async fn a_crlf_in_data() {
    each(|peer| peer.crlf, behaviours::crlf).await;
}

#[tokio::test]
async fn a_cr_in_data() {
    each(|peer| peer.cr, behaviours::cr).await;
}

#[tokio::test]
async fn a_silent_stream() {
    each(|peer| peer.silence, behaviours::silence).await;
}

#[tokio::test]
async fn a_client_that_leaves() {
    each(|peer| peer.leaving, behaviours::leaving).await;
}

#[tokio::test]
async fn a_client_that_comes_back() {
    each(|peer| peer.coming_back, behaviours::coming_back).await;
}

#[tokio::test]
async fn a_client_that_comes_back_to_a_finished_stream() {
    each(|peer| peer.finished, behaviours::finished).await;
}

#[tokio::test]
async fn a_head_request() {
    each(|peer| peer.head, behaviours::head).await;
}

#[tokio::test]
async fn a_graceful_shutdown() {
    each(|peer| peer.shutdown, behaviours::shutdown).await;
}
