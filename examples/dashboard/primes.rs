//! The work of a job. It takes time and has a result.

use std::ops::Range;

/// Counts the primes in the range by trial division.
pub(crate) fn count(range: Range<u32>) -> u32 {
    range.filter(|n| is_prime(*n)).count() as u32
}

fn is_prime(n: u32) -> bool {
    let mut divisors = (3..).step_by(2).take_while(|d| d * d <= n);
    n == 2 || n > 2 && !n.is_multiple_of(2) && !divisors.any(|d| n.is_multiple_of(d))
}
