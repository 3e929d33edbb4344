//! CPU and memory of this process, from the operating system.

use sysinfo::{Error, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

pub(crate) struct Process {
    system: System,
    pid: Pid,
}

#[derive(Default)]
pub(crate) struct Usage {
    /// Percent of one core.
    pub(crate) cpu: f32,
    /// Resident bytes.
    pub(crate) memory: u64,
}

impl Process {
    pub(crate) fn current() -> Result<Self, Error> {
        let pid = Pid::from_u32(std::process::id());
        let system = System::new()?;
        let mut process = Self { system, pid };
        // The share of the CPU is measured between two refreshes, and this is the first.
        process.usage();
        Ok(process)
    }

    pub(crate) fn usage(&mut self) -> Usage {
        let only = ProcessesToUpdate::Some(&[self.pid]);
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(only, false, what);
        let process = self.system.process(self.pid);
        process.map_or_else(Usage::default, |process| Usage {
            cpu: process.cpu_usage(),
            memory: process.memory(),
        })
    }
}
