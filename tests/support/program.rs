//! Programs that listen, in processes of their own.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::within;

/// Starts a program of Helios on this port, and returns the address that it prints. It ends when the child is dropped.
pub async fn listening(mut program: Command, port: u16) -> (Child, SocketAddr) {
    let mut child = program
        .env_remove("HELIOS_HOST")
        .env("HELIOS_PORT", port.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let addr = within(async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some((_, addr)) = line.split_once("listening on http://") {
                break addr.parse().unwrap();
            }
        }
    });
    let addr = addr.await;
    (child, addr)
}
