//! The end of a connection. If the client may still be sending, that is a lingering close (RFC 9112, section 9.6).
//!
//! The kernel resets a socket that is closed with unread data. The client's kernel then discards data that the client
//! has not read yet, such as the 413 that explains the close. So the server first closes its own side. It then reads
//! and discards data until the client closes its side, or time is up.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a client may take to close its side, and how long it may be silent meanwhile.
const LONGEST: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(2);

/// The limit while the server shuts down.
const DRAINING: Duration = Duration::from_secs(1);

/// Closes our side of a connection whose client has no more to send.
pub(super) async fn close(mut io: impl AsyncWrite + Unpin) -> io::Result<()> {
    io.shutdown().await
}

/// Closes our side of a connection, and reads the other side until it is closed or time is up.
pub(super) async fn linger<I>(mut io: I, draining: CancellationToken) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    io.shutdown().await?;
    let mut forgotten = vec![0; 4096];
    let rest = async {
        while let Ok(read) = timeout(SILENCE, io.read(&mut forgotten)).await {
            if read? == 0 {
                break;
            }
        }
        Ok(())
    };
    let drained = async {
        draining.cancelled().await;
        sleep(DRAINING).await;
    };
    tokio::select! {
        ended = rest => ended,
        () = sleep(LONGEST) => Ok(()),
        () = drained => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::time::{Instant, interval};

    use super::*;

    async fn lingers(
        client: impl AsyncFnOnce(tokio::io::DuplexStream),
        draining: bool,
    ) -> Duration {
        let (io, other) = duplex(64);
        let token = CancellationToken::new();
        if draining {
            token.cancel();
        }
        let begin = Instant::now();
        tokio::select! {
            ended = linger(io, token) => ended.unwrap(),
            () = async { client(other).await; std::future::pending().await } => {}
        }
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_closes_is_not_waited_for() {
        let took = lingers(
            async |mut client| client.write_all(&[b'x'; 10_000]).await.unwrap(),
            false,
        );
        assert_eq!(took.await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_has_less_time_during_a_drain() {
        let silent = async |client| {
            let _open = client;
            std::future::pending::<()>().await;
        };
        assert_eq!(lingers(silent, false).await.as_secs(), SILENCE.as_secs());
        assert_eq!(lingers(silent, true).await.as_secs(), DRAINING.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_for_ever_is_left() {
        let sends = async |mut client: tokio::io::DuplexStream| {
            let mut often = interval(SILENCE / 2);
            while client.write_all(b"x").await.is_ok() {
                often.tick().await;
            }
        };
        assert_eq!(lingers(sends, false).await.as_secs(), LONGEST.as_secs());
    }
}
