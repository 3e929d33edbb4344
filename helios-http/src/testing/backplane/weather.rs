//! How bad a link is.

use std::time::Duration;

/// How bad a link is. Rates are chances from 0 to 1. The default is fine weather.
///
/// ```
/// use helios::testing::backplane::Weather;
///
/// let mut foggy = Weather::fine();
/// foggy.drop = 0.01;
/// assert!(!foggy.is_made_good() && Weather::windy().is_made_good());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Weather {
    /// The longest delay of an event and of a publish.
    pub delay: Duration,
    /// Chance that an event stops the link for a while, up to 50 times `delay`.
    pub hold: f64,
    /// Chance that an event is lost without notice.
    pub drop: f64,
    /// Chance that the link breaks for a moment at an event. It loses some events and reports that.
    pub tear: f64,
    /// Chance that a request for history fails.
    pub no_history: f64,
    /// The longest delay of a request for history, of its answer, and of `unwatch`.
    pub slow: Duration,
    /// Chance that a publish fails. Half of those events were published.
    pub no_publish: f64,
    /// Chance that a watch fails. Half of those topics are watched.
    pub no_watch: f64,
}

impl Weather {
    /// Fine weather. Nothing is delayed, and nothing fails.
    #[must_use]
    pub fn fine() -> Self {
        Self::default()
    }

    /// The link delays, holds and tears, and publishes fail. Everything can be recovered, so no client is reset.
    #[must_use]
    pub fn windy() -> Self {
        Self {
            delay: Duration::from_millis(2),
            hold: 0.001,
            tear: 0.01,
            slow: Duration::from_millis(3),
            no_publish: 0.02,
            ..Self::default()
        }
    }

    /// The link loses events, some of them without notice.
    #[must_use]
    pub fn foggy() -> Self {
        Self {
            delay: Duration::from_millis(1),
            drop: 0.02,
            tear: 0.005,
            slow: Duration::from_millis(2),
            ..Self::default()
        }
    }

    /// Everything fails now and then, but nothing is lost without notice.
    #[must_use]
    pub fn stormy() -> Self {
        Self {
            delay: Duration::from_millis(1),
            hold: 0.001,
            drop: 0.0,
            tear: 0.01,
            no_history: 0.2,
            slow: Duration::from_millis(2),
            no_publish: 0.05,
            no_watch: 0.2,
        }
    }

    /// Everything at once.
    #[must_use]
    pub fn worst() -> Self {
        Self {
            drop: 0.01,
            ..Self::stormy()
        }
    }

    /// Whether all lost events can be recovered from history, so that no client needs a reset.
    #[must_use]
    pub fn is_made_good(&self) -> bool {
        self.drop <= 0.0 && self.no_history <= 0.0
    }
}
