//! The output of `tracing_subscriber::fmt`, for Helios and the libraries it uses.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use support::eventually;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

type Lines = Arc<Mutex<Vec<u8>>>;

/// The log of this thread. It records until it is dropped.
pub(crate) struct Log {
    lines: Lines,
    _subscriber: tracing::subscriber::DefaultGuard,
}

struct Writer(Lines);

impl Log {
    /// Starts a log at the usual level.
    pub(crate) fn start() -> Self {
        Self::at(LevelFilter::INFO)
    }

    pub(crate) fn at(level: LevelFilter) -> Self {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_writer(Writer(Arc::clone(&lines)));
        Self {
            lines,
            _subscriber: subscriber.finish().set_default(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }

    /// Returns the lines with this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let all = self.text();
        let lines = all.split('\n').filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }

    /// Waits for the one line with this text.
    pub(crate) async fn line(&self, text: &str) -> String {
        eventually(|| !self.lines(text).is_empty()).await;
        let lines = self.lines(text);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines[0].clone()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Writer {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
