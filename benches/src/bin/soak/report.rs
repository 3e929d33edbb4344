//! The results of a soak.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use crate::drain::Drained;
use crate::hostile::{Fate, Fates};
use crate::ledger::FaultKind;
use crate::run::Watched;
use crate::server::{Hooks, Stats};
use crate::world::World;

/// Resources that the server still holds after all clients have left.
pub(crate) struct Left {
    pub(crate) connections: usize,
    pub(crate) descriptors: usize,
    pub(crate) topics: usize,
    pub(crate) hooks: Hooks,
}

impl Left {
    pub(crate) fn is_nothing(&self) -> bool {
        // One connection is that of the request for these figures.
        self.connections == 0 && self.descriptors <= 1 && self.topics == 0 && self.unclosed() == 0
    }

    /// Returns the number of connections whose close hook did not run.
    fn unclosed(&self) -> u64 {
        let closed: u64 = self.hooks.closed.values().sum();
        self.hooks.opened.abs_diff(closed)
    }
}

pub(crate) struct Report {
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
    pub(crate) clients: usize,
    pub(crate) watched: Watched,
    /// The statistics after the last publish.
    pub(crate) stats: Stats,
    pub(crate) left: Left,
    pub(crate) memory_left: u64,
    pub(crate) drained: Drained,
    pub(crate) fates: Arc<Fates>,
    /// Sockets that only the kernel still had after all clients had left.
    pub(crate) orphans: u64,
    /// The latency of most events in the same run without hostile peers.
    pub(crate) peaceful: Option<Duration>,
    pub(crate) world: Arc<World>,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.world.tally.lock().faults.is_empty()
            && self.stats.failures == 0
            && self.left.is_nothing()
            && self.watched.memory.is_flat()
            && self.drained.is_clean()
            && self.is_unimpressed()
    }

    /// Returns the latency that 99 % of the events did not exceed, in the middle third of the time.
    pub(crate) fn latency_of_most(&self) -> Duration {
        self.world.tally.lock().middle.quantile(0.99)
    }

    /// Returns whether hostile peers hold nothing and cost the others little.
    fn is_unimpressed(&self) -> bool {
        let held: u64 = self.fates.lock().values().map(|fate| fate.held).sum();
        let is_slow = |peaceful| self.latency_of_most() > 2 * peaceful;
        held == 0 && self.orphans == 0 && !self.peaceful.is_some_and(is_slow)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs_f64();
        row(f, "duration", format_args!("{seconds:.0} s"))?;
        row(f, "seed", self.seed)?;
        self.clients(f)?;
        self.load(f)?;
        self.faults(f)?;
        self.resources(f)?;
        self.drain(f)?;
        if let Some(peaceful) = self.peaceful {
            self.attacks(f, peaceful)?;
        }
        let verdict = if self.is_clean() { "clean" } else { "FAULTY" };
        row(f, "verdict", verdict)
    }
}

pub(crate) fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<20}{value}")
}

/// `a 1, b 2`
fn list<K: Display, V: Display>(pairs: impl IntoIterator<Item = (K, V)>) -> String {
    let pairs = pairs
        .into_iter()
        .map(|(key, value)| format!("{key} {value}"));
    let pairs: Vec<_> = pairs.collect();
    match pairs.is_empty() {
        true => "none".to_owned(),
        false => pairs.join("; "),
    }
}

impl Report {
    fn clients(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.world.tally.lock();
        let open = self.watched.connections;
        row(
            f,
            "clients",
            format_args!("{}, of which {open:.0} were connected", self.clients),
        )?;
        let connections = counts.total(|kind| kind.connections);
        let resumes = counts.total(|kind| kind.resumes);
        row(
            f,
            "connections made",
            format_args!("{connections}, of which {resumes} resumed"),
        )?;
        for (name, of_kind) in &counts.kinds {
            row(f, &format!("  {name}"), of_kind)?;
        }
        Ok(())
    }

    fn load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.world.tally.lock();
        let Stats {
            published,
            delivered,
            bytes,
            dropped,
            slow_closes,
            ..
        } = &self.stats;
        let seconds = self.duration.as_secs_f64();
        row(f, "events published", published)?;
        let rate = *delivered as f64 / seconds;
        row(
            f,
            "events delivered",
            format_args!("{delivered}, {rate:.0} a second; {bytes} bytes"),
        )?;
        let received = counts.total(|kind| kind.received);
        let private = counts.private;
        row(
            f,
            "events received",
            format_args!("{received}, and {private} private"),
        )?;
        row(f, "keep-alives", counts.keep_alives)?;
        row(f, "clients' acts", list(&counts.acts))?;
        row(
            f,
            "slow closes",
            format_args!("{slow_closes}, which dropped {dropped} private events"),
        )?;
        row(f, "ended by server", list(&counts.ends))?;
        row(f, "resets", list(&counts.resets))?;
        let latency = &counts.latency;
        let (half, most, all) = (
            latency.quantile(0.5),
            latency.quantile(0.99),
            latency.longest(),
        );
        row(
            f,
            "latency",
            format_args!("{half:?} (median), {most:?} (99 %), {all:?} (longest)"),
        )
    }

    fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.world.tally.lock();
        row(f, "lost", counts.faults_of(FaultKind::Lost))?;
        row(f, "duplicated", counts.faults_of(FaultKind::Duplicated))?;
        row(f, "out of order", counts.faults_of(FaultKind::OutOfOrder))?;
        row(f, "undue resets", counts.faults_of(FaultKind::Reset))?;
        row(f, "hangs", counts.faults_of(FaultKind::Hangs))?;
        row(f, "other faults", counts.faults_of(FaultKind::Other))?;
        row(f, "not published", self.stats.failures)
    }

    fn resources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Left {
            connections,
            descriptors,
            topics,
            hooks,
        } = &self.left;
        row(f, "leaked connections", connections)?;
        row(f, "leaked descriptors", descriptors.saturating_sub(1))?;
        row(f, "leaked topics", topics)?;
        let (opened, unclosed) = (hooks.opened, self.left.unclosed());
        row(
            f,
            "hooks",
            format_args!(
                "{opened} opened, {unclosed} not closed; {}",
                list(&hooks.closed)
            ),
        )?;
        row(f, "memory", &self.watched.memory)?;
        row(f, "resident", &self.watched.resident)?;
        let left = self.memory_left as f64 / 1_048_576.0;
        row(
            f,
            "memory left",
            format_args!("{left:.1} MiB after all had left"),
        )?;
        let Watched {
            server_cpu,
            own_cpu,
            own_delay,
            ..
        } = &self.watched;
        let (server, own) = (100.0 * server_cpu, 100.0 * own_cpu);
        row(
            f,
            "processor",
            format_args!(
                "server {server:.0} %, clients {own:.0} % of a core each; clients held up for {own_delay:?} at most"
            ),
        )
    }

    fn attacks(&self, f: &mut fmt::Formatter<'_>, peaceful: Duration) -> fmt::Result {
        row(f, "hostile peers", "")?;
        for (name, fate) in self.fates.lock().iter() {
            let Fate { tried, ended, held } = fate;
            let held = match held {
                0 => String::new(),
                held => format!(", {held} HELD"),
            };
            row(
                f,
                &format!("  {name}"),
                format_args!(": {tried} times, {ended} ended by the server{held}"),
            )?;
        }
        row(
            f,
            "orphans",
            format_args!("{} after all had left", self.orphans),
        )?;
        let most = self.latency_of_most();
        row(
            f,
            "latency meanwhile",
            format_args!("{most:?} (99 %), {peaceful:?} with as many good clients instead"),
        )
    }

    fn drain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drained {
            idle,
            sleepers,
            told,
            all_told,
            exit,
            succeeded,
            hooks,
        } = &self.drained;
        row(
            f,
            "drain",
            format_args!("{told} of {idle} idle streams told to reconnect within {all_told:?}"),
        )?;
        let well = if *succeeded {
            "with success"
        } else {
            "WITH A FAILURE"
        };
        row(
            f,
            "exit",
            format_args!("after {exit:?} {well}; {sleepers} more did not read"),
        )?;
        row(
            f,
            "hooks at exit",
            format_args!("{} opened; {}", hooks.opened, list(&hooks.closed)),
        )
    }
}
