//! Host metrics from `sysinfo`, for systems without `/proc`: memory, load, disk space, networks and this process.
//! Processor modes, descriptors and disk traffic are missing.

use std::fmt;

use parking_lot::Mutex;
use sysinfo::{Disks, Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::exposition::Exposition;

/// Keeps the readers between scrapes. A reader that the system does not support is left out.
pub(super) struct Portable {
    readers: Mutex<Readers>,
}

struct Readers {
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
}

impl fmt::Debug for Portable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Portable")
    }
}

impl Portable {
    pub(super) fn new() -> Portable {
        Portable {
            readers: Mutex::new(Readers {
                system: System::new().ok(),
                disks: Disks::new().ok(),
                networks: Networks::new().ok(),
            }),
        }
    }

    pub(super) fn render(&self, out: &mut Exposition<'_>) {
        let readers = &mut *self.readers.lock();
        if let Ok(load) = System::load_average() {
            for (name, value) in [
                ("node_load1", load.one),
                ("node_load5", load.five),
                ("node_load15", load.fifteen),
            ] {
                out.gauge(name, "Load average.").value(value);
            }
        }
        if let Some(system) = &mut readers.system {
            memory(system, out);
            process(system, out);
        }
        if let Some(disks) = &mut readers.disks {
            space(disks, out);
        }
        if let Some(networks) = &mut readers.networks {
            traffic(networks, out);
        }
    }
}

fn memory(system: &mut System, out: &mut Exposition<'_>) {
    system.refresh_memory();
    for (name, bytes) in [
        ("node_memory_MemTotal_bytes", system.total_memory()),
        ("node_memory_MemAvailable_bytes", system.available_memory()),
        ("node_memory_MemFree_bytes", system.free_memory()),
        ("node_memory_SwapTotal_bytes", system.total_swap()),
        ("node_memory_SwapFree_bytes", system.free_swap()),
    ] {
        out.gauge(name, "Memory information field.").value(bytes);
    }
}

fn space(disks: &mut Disks, out: &mut Exposition<'_>) {
    disks.refresh(true);
    type Figure = fn(&sysinfo::Disk) -> u64;
    let figures: [(&str, Figure); 2] = [
        ("node_filesystem_size_bytes", sysinfo::Disk::total_space),
        (
            "node_filesystem_avail_bytes",
            sysinfo::Disk::available_space,
        ),
    ];
    for (name, figure) in figures {
        let mut family = out.gauge(name, "Filesystem space in bytes.");
        for disk in disks.iter() {
            let labels = [
                ("device", &*disk.name().to_string_lossy()),
                ("fstype", &*disk.file_system().to_string_lossy()),
                ("mountpoint", &*disk.mount_point().to_string_lossy()),
            ];
            family.sample(&labels, figure(disk));
        }
    }
}

fn traffic(networks: &mut Networks, out: &mut Exposition<'_>) {
    networks.refresh(true);
    type Figure = fn(&sysinfo::NetworkData) -> u64;
    let figures: [(&str, Figure); 6] = [
        (
            "node_network_receive_bytes_total",
            sysinfo::NetworkData::total_received,
        ),
        (
            "node_network_receive_packets_total",
            sysinfo::NetworkData::total_packets_received,
        ),
        (
            "node_network_receive_errs_total",
            sysinfo::NetworkData::total_errors_on_received,
        ),
        (
            "node_network_transmit_bytes_total",
            sysinfo::NetworkData::total_transmitted,
        ),
        (
            "node_network_transmit_packets_total",
            sysinfo::NetworkData::total_packets_transmitted,
        ),
        (
            "node_network_transmit_errs_total",
            sysinfo::NetworkData::total_errors_on_transmitted,
        ),
    ];
    for (name, figure) in figures {
        let mut family = out.counter(name, "Network device statistic.");
        for (device, data) in networks.iter() {
            family.sample(&[("device", &*device.to_string_lossy())], figure(data));
        }
    }
}

fn process(system: &mut System, out: &mut Exposition<'_>) {
    let pid = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[pid]),
        false,
        ProcessRefreshKind::nothing().with_memory().with_cpu(),
    );
    let Some(process) = system.process(pid) else {
        return;
    };
    out.counter(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
    )
    .value(process.accumulated_cpu_time() as f64 / 1e3);
    out.gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
    )
    .value(process.memory());
    out.gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
    )
    .value(process.start_time());
}
