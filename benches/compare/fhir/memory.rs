//! What a process has of the machine's memory, as Linux tells.

use std::fs;

/// The most that was resident since the last call, in KiB; `None` where the system does not tell.
pub(crate) fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    // From here on the peak counts anew.
    fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(peak)
}
