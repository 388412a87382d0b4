use super::*;

fn written(write: impl FnOnce(&mut Exposition<'_>)) -> Vec<String> {
    let mut text = String::new();
    write(&mut Exposition::Text(&mut text));
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn processor_times_are_seconds_by_mode() {
    let stat = "cpu  1 2 3 4 5 6 7 8 9 0\ncpu0 150 2 300 4000 5 0 7 8 9 0\nintr 1 2\nctxt 77\nbtime 1700000000\nprocs_running 2\nprocs_blocked 0\n";
    assert_eq!(
        written(|out| cpu(stat, out)),
        [
            "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1.5",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"nice\"} 0.02",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"system\"} 3",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 40",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 0.05",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"irq\"} 0",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"softirq\"} 0.07",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 0.08",
            "node_context_switches_total 77",
            "node_boot_time_seconds 1700000000",
            "node_procs_running 2",
            "node_procs_blocked 0",
        ]
    );
}

#[test]
fn memory_fields_are_bytes_under_their_own_names() {
    let meminfo = "MemTotal:        2 kB\nActive(anon):  3 kB\nHugePages_Total:       4\nodd\n";
    assert_eq!(
        written(|out| memory(meminfo, out)),
        [
            "node_memory_MemTotal_bytes 2048",
            "node_memory_Active_anon_bytes 3072",
            "node_memory_HugePages_Total 4"
        ]
    );
}

#[test]
fn partitions_are_not_counted_beside_their_disks() {
    for (device, whole) in [
        ("sda", true),
        ("sda1", false),
        ("vda", true),
        ("vda2", false),
        ("xvdb1", false),
        ("nvme0n1", true),
        ("nvme0n1p2", false),
        ("mmcblk0", true),
        ("mmcblk0p1", false),
        ("loop3", false),
        ("ram0", false),
        ("zram0", false),
        ("dm-0", true),
        ("md127", true),
        ("sr0", true),
    ] {
        assert_eq!(is_whole_disk(device), whole, "{device}");
    }
    let diskstats = " 254       0 vda 10 1 20 3000 40 4 60 7000 1 9000 10000 0 0 0 0 0 0\n 254 1 vda1 1 1 1 1 1 1 1 1 1 1 1\n";
    let lines = written(|out| disks(diskstats, out));
    for line in [
        "node_disk_reads_completed_total{device=\"vda\"} 10",
        "node_disk_read_bytes_total{device=\"vda\"} 10240",
        "node_disk_read_time_seconds_total{device=\"vda\"} 3",
        "node_disk_written_bytes_total{device=\"vda\"} 30720",
        "node_disk_io_now{device=\"vda\"} 1",
        "node_disk_io_time_seconds_total{device=\"vda\"} 9",
    ] {
        assert!(lines.iter().any(|l| l == line), "{line} in {lines:#?}");
    }
    assert_eq!(lines.len(), 9);
}

#[test]
fn networks_are_counted_in_both_directions() {
    let net_dev = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: 11 12 13 14 15 16 17 18 21 22 23 24 25 26 27 28\n";
    assert_eq!(
        written(|out| networks(net_dev, out)),
        [
            "node_network_receive_bytes_total{device=\"lo\"} 11",
            "node_network_receive_packets_total{device=\"lo\"} 12",
            "node_network_receive_errs_total{device=\"lo\"} 13",
            "node_network_receive_drop_total{device=\"lo\"} 14",
            "node_network_transmit_bytes_total{device=\"lo\"} 21",
            "node_network_transmit_packets_total{device=\"lo\"} 22",
            "node_network_transmit_errs_total{device=\"lo\"} 23",
            "node_network_transmit_drop_total{device=\"lo\"} 24",
        ]
    );
}

#[test]
fn odd_files_leave_figures_out_and_break_nothing() {
    for odd in [
        "",
        "x",
        "cpu0",
        "cpu0 a b",
        "a:",
        ":",
        "1 2",
        "Inter\nface\n:\nlo:x",
    ] {
        written(|out| {
            cpu(odd, out);
            memory(odd, out);
            load(odd, out);
            disks(odd, out);
            networks(odd, out);
        });
    }
}
