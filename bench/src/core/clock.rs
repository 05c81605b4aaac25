//! Where time is read: the wall clock, and the processor time of the calling thread, which neighbours disturb less.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long something took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    /// Of the calling thread alone. The wall time where the system does not tell.
    pub(crate) cpu: Duration,
}

/// Runs `work` and says how long it took.
#[expect(clippy::disallowed_methods, reason = "time is what a benchmark measures")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let (began, cpu) = (Instant::now(), own_cpu());
    let done = work();
    let wall = began.elapsed();
    let cpu = cpu.zip(own_cpu()).map_or(wall, |(before, after)| after.saturating_sub(before));
    (done, Took { wall, cpu })
}

fn own_cpu() -> Option<Duration> {
    cpu_of(Path::new("/proc/thread-self"))
}

/// The processor time of this process's thread of that name.
pub(crate) fn thread_cpu(name: &str) -> Option<Duration> {
    let mut threads = std::fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let is_named =
        |thread: &PathBuf| std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim() == name);
    cpu_of(&threads.find(is_named)?)
}

/// Linux: the first number is nanoseconds on a processor (Documentation/scheduler/sched-stats.rst).
fn cpu_of(thread: &Path) -> Option<Duration> {
    let stat = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The value below which `percent` of them lie.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}

pub(crate) fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
