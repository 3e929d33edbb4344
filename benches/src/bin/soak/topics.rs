//! The topics: a few busy ones, and many quiet ones that are almost forgotten before their next event.

use fastrand::Rng;

pub(crate) const HOT: usize = 5;
pub(crate) const WARM: usize = 45;
pub(crate) const RARE: usize = 1_000;
/// The number of jobs that run at a time.
pub(crate) const JOBS: usize = 8;

/// The topic that private events refer to.
pub(crate) const CHORUS: &str = "chorus";
/// The topic of large events for clients that do not read.
pub(crate) const FLOOD: &str = "flood";

pub(crate) fn hot(n: usize) -> String {
    format!("hot-{n}")
}

pub(crate) fn warm(n: usize) -> String {
    format!("warm-{n}")
}

pub(crate) fn rare(n: usize) -> String {
    format!("rare-{n}")
}

pub(crate) fn job(slot: usize, round: usize) -> String {
    format!("job:{slot}-{round}")
}

/// Returns a random topic that a client may join.
pub(crate) fn any(rng: &mut Rng) -> String {
    match rng.u32(..100) {
        0..15 => hot(rng.usize(..HOT)),
        15..80 => warm(rng.usize(..WARM)),
        80..90 => rare(rng.usize(..RARE)),
        _ => CHORUS.to_owned(),
    }
}

/// Returns one to four topics.
pub(crate) fn some(rng: &mut Rng) -> Vec<String> {
    let mut topics: Vec<_> = (0..rng.usize(1..=4)).map(|_| any(rng)).collect();
    topics.sort();
    topics.dedup();
    topics
}
