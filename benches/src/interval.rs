//! The confidence interval of a ratio that was measured several times.

use helios_benches::Error;
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// How often the interval contains the true ratio.
const CONFIDENCE: f64 = 0.95;

/// The mean of a ratio, and its interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) mean: f64,
    pub(crate) high: f64,
}

/// How an interval compares with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it reaches the bound.
    NotWorse,
    /// None of it reaches the bound.
    Worse,
    /// The bound is within the interval. More rounds may decide.
    Unclear,
}

impl Interval {
    /// Returns the geometric mean, with Student's interval of the logarithms. In logarithms, a half is as far from 1 as
    /// a double.
    ///
    /// # Errors
    ///
    /// Returns an error if there are fewer than two ratios, or if one is not a positive number.
    pub(crate) fn of(ratios: &[f64]) -> Result<Self, Error> {
        let logs: Vec<_> = ratios.iter().map(|ratio| ratio.ln()).collect();
        if logs.len() < 2 || !logs.iter().all(|log| log.is_finite()) {
            return Err(format!("no interval of the ratios {ratios:?}").into());
        }
        let count = logs.len() as f64;
        let student = StudentsT::new(0.0, 1.0, count - 1.0)?;
        let quantile = student.inverse_cdf((1.0 + CONFIDENCE) / 2.0);
        let mean = logs.iter().mean();
        let margin = quantile * logs.iter().std_dev() / count.sqrt();
        Ok(Self {
            low: (mean - margin).exp(),
            mean: mean.exp(),
            high: (mean + margin).exp(),
        })
    }

    pub(crate) fn verdict(&self, bound: f64) -> Verdict {
        if self.high < bound {
            Verdict::Worse
        } else if self.low >= bound {
            Verdict::NotWorse
        } else {
            Verdict::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_near(one: f64, other: f64) -> bool {
        (one / other - 1.0).abs() < 1e-6
    }

    /// The logarithms are 1 to 5. They have a mean of 3 and a deviation of `sqrt(2.5)`, and Student's table gives
    /// 2.776445 for 4 degrees of freedom.
    #[test]
    fn a_known_series_has_its_known_interval() {
        let ratios: Vec<_> = (1..=5).map(|log| f64::from(log).exp()).collect();
        let Interval { low, mean, high } = Interval::of(&ratios).unwrap();
        let margin = 2.776_445_1 * 2.5_f64.sqrt() / 5_f64.sqrt();
        assert!(is_near(mean, 3_f64.exp()));
        assert!(is_near(low, (3.0 - margin).exp()), "{low}");
        assert!(is_near(high, (3.0 + margin).exp()), "{high}");
    }

    #[test]
    fn a_half_and_a_double_cancel_out() {
        let interval = Interval::of(&[0.5, 2.0]).unwrap();
        assert!(is_near(interval.mean, 1.0));
        assert!(is_near(interval.low * interval.high, 1.0));
    }

    #[test]
    fn ratios_that_never_differ_leave_no_doubt() {
        let Interval { low, mean, high } = Interval::of(&[0.9; 10]).unwrap();
        assert!([low, mean, high].iter().all(|end| is_near(*end, 0.9)));
    }

    #[test]
    fn no_interval_of_one_ratio_or_of_a_nonsensical_one() {
        for ratios in [
            &[1.0][..],
            &[],
            &[1.0, f64::NAN],
            &[1.0, 0.0],
            &[1.0, -1.0],
            &[1.0, f64::INFINITY],
        ] {
            assert!(Interval::of(ratios).is_err(), "{ratios:?}");
        }
    }

    #[test]
    fn only_an_interval_wholly_below_the_bound_is_worse() {
        let verdict = |low, high| {
            let mean = f64::midpoint(low, high);
            Interval { low, mean, high }.verdict(0.97)
        };
        assert_eq!(verdict(0.90, 0.96), Verdict::Worse);
        assert_eq!(verdict(0.90, 0.97), Verdict::Unclear);
        assert_eq!(verdict(0.90, 1.10), Verdict::Unclear);
        assert_eq!(verdict(0.97, 1.10), Verdict::NotWorse);
        assert_eq!(verdict(1.10, 1.20), Verdict::NotWorse);
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_mean_and_turns_with_the_ratios(
            ratios in prop::collection::vec(0.01..100.0, 2..30),
        ) {
            let Interval { low, mean, high } = Interval::of(&ratios).unwrap();
            prop_assert!(low <= mean && mean <= high);
            let inverse: Vec<f64> = ratios.iter().map(|ratio| 1.0 / ratio).collect();
            let inverse = Interval::of(&inverse).unwrap();
            prop_assert!(is_near(inverse.mean * mean, 1.0));
            prop_assert!(is_near(inverse.low * high, 1.0));
        }
    }
}
