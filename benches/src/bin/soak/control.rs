//! Requests to the server, each on a connection of its own.

use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;

/// Returns the body of the response, which must be a success.
pub(crate) async fn ask(server: SocketAddr, method: &str, target: &str) -> Result<String, Error> {
    let mut socket = TcpStream::connect(server).await?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    match head.starts_with("HTTP/1.1 2") {
        true => Ok(body.to_owned()),
        false => Err(format!("{target}: {answer}").into()),
    }
}

pub(crate) async fn get<T: DeserializeOwned>(server: SocketAddr, target: &str) -> Result<T, Error> {
    Ok(serde_json::from_str(&ask(server, "GET", target).await?)?)
}
