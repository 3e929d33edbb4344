//! The errors of a backplane.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// An error of a backplane. It says whether the operation may be repeated.
///
/// ```
/// use helios::backplane::{BackplaneError, BackplaneErrorKind};
///
/// let error = BackplaneError::new(BackplaneErrorKind::Full, "no space left on device");
/// assert_eq!(error.to_string(), "the backplane is full");
/// assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no space left on device");
/// ```
#[derive(Clone, Debug)]
pub struct BackplaneError {
    kind: BackplaneErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kinds of [`BackplaneError`].
///
/// ```
/// use helios::backplane::BackplaneErrorKind;
/// use helios::prelude::*;
///
/// /// Returns whether the event may be published again without the risk of a duplicate.
/// fn may_repeat(error: &SseError) -> bool {
///     match error {
///         SseError::Backplane(error) => error.kind() != BackplaneErrorKind::Unknown,
///         _ => false,
///     }
/// }
/// # assert!(!may_repeat(&SseError::Full));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackplaneErrorKind {
    /// Nothing was published, and nothing will be. The operation may be repeated.
    NotPublished,
    /// The event may have been published, or may yet be, because the answer was lost or took too long. Publish it again
    /// with the same key (`PublishOptions::key`), and it is published only once.
    Unknown,
    /// The topic is finished, so nothing was published.
    Finished,
    /// There is no room, so nothing was published. The operation may be repeated when there is room.
    Full,
    /// The backplane refuses this for good, for example for lack of a permission. Nothing was published.
    Refused,
    /// The backplane cannot be reached, so nothing was published. The operation may be repeated when it can.
    Down,
}

impl BackplaneError {
    /// Creates an error of this kind. The source is the error that caused it, or a text for the log.
    #[must_use]
    pub fn new(kind: BackplaneErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = Some(Arc::from(source.into()));
        Self { kind, source }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> BackplaneErrorKind {
        self.kind
    }
}

impl From<BackplaneErrorKind> for BackplaneError {
    fn from(kind: BackplaneErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for BackplaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            BackplaneErrorKind::NotPublished => "the backplane has not published it",
            BackplaneErrorKind::Unknown => "the backplane may or may not have published it",
            BackplaneErrorKind::Finished => "the topic is finished",
            BackplaneErrorKind::Full => "the backplane is full",
            BackplaneErrorKind::Refused => "the backplane refused it",
            BackplaneErrorKind::Down => "the backplane cannot be reached",
        })
    }
}

impl Error for BackplaneError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
