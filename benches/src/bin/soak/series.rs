//! A figure that is sampled each second.

use std::fmt;

#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// Seconds, and values in MiB.
    samples: Vec<(f64, f64)>,
}

/// How many samples the averages at the start and at the end take.
const EDGE: usize = 10;

impl Series {
    pub(crate) fn add(&mut self, second: f64, bytes: u64) {
        self.samples.push((second, bytes as f64 / 1_048_576.0));
    }

    /// Returns the samples from this second on.
    pub(crate) fn since(&self, second: f64) -> Self {
        let late = self.samples.iter().filter(|(at, _)| *at >= second);
        Self {
            samples: late.copied().collect(),
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|(_, value)| *value)
    }

    pub(crate) fn least(&self) -> f64 {
        self.values().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn most(&self) -> f64 {
        self.values().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(crate) fn start(&self) -> f64 {
        mean(self.samples.iter().take(EDGE))
    }

    pub(crate) fn end(&self) -> f64 {
        mean(self.samples.iter().rev().take(EDGE))
    }

    /// Returns the growth per minute, as the slope of the line that fits best.
    pub(crate) fn slope(&self) -> f64 {
        let count = self.samples.len() as f64;
        let mean_at = self.samples.iter().map(|(at, _)| at).sum::<f64>() / count;
        let mean_value = self.values().sum::<f64>() / count;
        let (mut both, mut square) = (0.0, 0.0);
        for (at, value) in &self.samples {
            both += (at - mean_at) * (value - mean_value);
            square += (at - mean_at).powi(2);
        }
        60.0 * both / square
    }

    /// Returns whether the end is within a tenth of the start.
    pub(crate) fn is_flat(&self) -> bool {
        self.end() <= self.start() * 1.1
    }
}

fn mean<'a>(samples: impl Iterator<Item = &'a (f64, f64)>) -> f64 {
    let values: Vec<_> = samples.map(|(_, value)| *value).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MiB at first, {:.1} at last",
            self.start(),
            self.end()
        )?;
        write!(f, " ({:.1} to {:.1}, ", self.least(), self.most())?;
        write!(f, "{:+.2} a minute)", self.slope())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_shows_in_the_slope_and_at_the_end() {
        let mut leaking = Series::default();
        let mut flat = Series::default();
        for second in 0..60_u32 {
            leaking.add(f64::from(second), (100 + u64::from(second)) << 20);
            flat.add(f64::from(second), 100 << 20);
        }
        assert!((leaking.slope() - 60.0).abs() < 1e-6);
        assert!(!leaking.is_flat());
        assert!(flat.is_flat() && flat.slope().abs() < 1e-6);
    }
}
