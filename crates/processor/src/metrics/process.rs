//! Processor time and memory of this process, and how much memory it may use.

use std::time::{SystemTime, UNIX_EPOCH};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{
    Metrics,
    catalogue::{BUILD_INFO, MEMORY_LIMIT, PROCESS_CPU, PROCESS_MEMORY, PROCESS_START_TIMESTAMP},
    registry::{Gauge, SecondsCounter},
};

/// Looks at this process.
pub(super) struct ProcessMeter {
    system: Option<(System, Pid)>,
    cpu: SecondsCounter,
    memory: Gauge,
    cpu_ms_before: u64,
}

impl ProcessMeter {
    /// Begins; `memory_limit` is the configured one.
    pub(super) fn new(metrics: &Metrics, memory_limit: Option<u64>) -> Self {
        let system = System::new().ok().zip(sysinfo::get_current_pid().ok());
        metrics.gauge(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        let mut meter = Self {
            cpu: metrics.seconds(&PROCESS_CPU, &[]),
            memory: metrics.gauge(&PROCESS_MEMORY, &[]),
            cpu_ms_before: 0,
            system,
        };
        if let Some((system, _)) = &mut meter.system {
            system.refresh_memory();
            metrics.gauge(&MEMORY_LIMIT, &[]).set(limit(system, memory_limit) as f64);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        metrics.gauge(&PROCESS_START_TIMESTAMP, &[]).set(now.as_secs_f64());
        meter.look();
        meter
    }

    /// Takes the values of now.
    pub(super) fn look(&mut self) {
        let Some((system, pid)) = &mut self.system else { return };
        let what = ProcessRefreshKind::nothing().with_memory().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*pid]), false, what);
        let Some(process) = system.process(*pid) else { return };
        self.memory.set(process.memory() as f64);
        let cpu_ms = process.accumulated_cpu_time();
        self.cpu.inc_by(cpu_ms.saturating_sub(self.cpu_ms_before) as f64 / 1e3);
        self.cpu_ms_before = self.cpu_ms_before.max(cpu_ms);
    }
}

/// The memory the process may use: configured, of its control group, of the machine.
fn limit(system: &System, configured: Option<u64>) -> u64 {
    let group = system.cgroup_limits().map(|limits| limits.total_memory).filter(|bytes| *bytes > 0);
    configured.or(group).unwrap_or_else(|| system.total_memory())
}

/// The memory the process may use, by the configuration, its control group or the machine; `None` if nobody says.
pub(crate) fn memory_limit(configured: Option<u64>) -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    Some(limit(&system, configured)).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_uses_time() {
        let metrics = Metrics::new();
        let mut meter = ProcessMeter::new(&metrics, Some(1 << 40));
        let begun = std::time::Instant::now();
        let cpu = metrics.seconds(&PROCESS_CPU, &[]);
        let before = cpu.get();
        while cpu.get() < before + 0.02 {
            assert!(begun.elapsed().as_secs() < 30, "no time was used");
            meter.look();
        }
        let memory = metrics.gauge(&PROCESS_MEMORY, &[]).get();
        assert!(memory > 1e6 && memory < 1e12, "{memory}");
        assert!((metrics.gauge(&MEMORY_LIMIT, &[]).get() - (1_u64 << 40) as f64).abs() < 1.0);
    }
}
