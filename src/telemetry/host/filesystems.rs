//! Size and free space of the mounted file systems on Linux, under the node exporter's names. On other systems
//! `portable` reports them. To report another kind of file system, change the lists below.

use std::collections::HashSet;
use std::fs;

use super::exposition::Exposition;

/// File systems that are not reported: virtual ones, read-only images (always full), and those that use the space of
/// another mount.
const WITHOUT_SPACE: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];
/// Remote file systems. They are reported only as `/`, because `statvfs` blocks for minutes if their server does not
/// answer.
const REMOTE: [&str; 10] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "afs",
    "ncpfs",
    "glusterfs",
    "9p",
];
/// Mount points that are not reported, with everything below them: devices, kernel interfaces, and the mounts of
/// containers.
const HIDDEN_ROOTS: [&str; 5] = [
    "/dev",
    "/proc",
    "/sys",
    "/var/lib/docker",
    "/var/lib/containers/storage",
];

/// A reported mount, and the answer of `statvfs` for it.
struct Filesystem {
    mount: Mount,
    space: rustix::fs::StatVfs,
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: String,
    kind: String,
}

/// Writes one sample for each reported mount and figure. A mount that `statvfs` refuses is left out.
pub(super) fn render(out: &mut Exposition<'_>) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let filesystems: Vec<Filesystem> = shown(&mounts)
        .into_iter()
        .filter_map(|mount| {
            let space = rustix::fs::statvfs(mount.point.as_str()).ok()?;
            Some(Filesystem { mount, space })
        })
        .collect();
    type Figure = fn(&rustix::fs::StatVfs) -> u64;
    let figures: [(&str, &str, Figure); 5] = [
        (
            "node_filesystem_size_bytes",
            "Filesystem size in bytes.",
            |s| s.f_blocks.saturating_mul(s.f_frsize),
        ),
        (
            "node_filesystem_free_bytes",
            "Filesystem free space in bytes.",
            |s| s.f_bfree.saturating_mul(s.f_frsize),
        ),
        (
            "node_filesystem_avail_bytes",
            "Filesystem space available to non-root users in bytes.",
            |s| s.f_bavail.saturating_mul(s.f_frsize),
        ),
        (
            "node_filesystem_files",
            "Filesystem total file nodes.",
            |s| s.f_files,
        ),
        (
            "node_filesystem_files_free",
            "Filesystem total free file nodes.",
            |s| s.f_ffree,
        ),
    ];
    for (name, help, figure) in figures {
        let mut family = out.gauge(name, help);
        for Filesystem { mount, space } in &filesystems {
            let labels = [
                ("device", mount.device.as_str()),
                ("fstype", mount.kind.as_str()),
                ("mountpoint", mount.point.as_str()),
            ];
            family.sample(&labels, figure(space));
        }
    }
}

/// The mounts to report, each mount point once, because the last mount hides earlier ones. The root is always reported:
/// in a container it is an overlay, or comes from a remote host.
fn shown(mounts: &str) -> Vec<Mount> {
    let mut seen = HashSet::new();
    let mut shown: Vec<Mount> = mounts
        .lines()
        .rev()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            Some(Mount {
                device: unescape(fields.next()?),
                point: unescape(fields.next()?),
                kind: fields.next()?.to_owned(),
            })
        })
        .filter(|mount| seen.insert(mount.point.clone()))
        .filter(is_shown)
        .collect();
    shown.reverse();
    shown
}

fn is_shown(mount: &Mount) -> bool {
    if mount.point == "/" {
        return true;
    }
    let hidden = HIDDEN_ROOTS.iter().any(|root| {
        mount
            .point
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let kind = mount.kind.as_str();
    // `fuseblk` is a local disk (NTFS, exFAT); the other FUSE file systems may wait for a network.
    let may_block = REMOTE.contains(&kind) || kind.starts_with("fuse") && kind != "fuseblk";
    !(hidden || may_block || WITHOUT_SPACE.contains(&kind))
}

/// Decodes a field of `/proc/self/mounts`, where space, tab, newline and backslash are written as a
/// backslash and three octal digits.
fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match code {
            Some(code) if code.is_ascii() => {
                text.push(char::from(code));
                text.push_str(&part[3..]);
            }
            _ => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_file_systems_with_their_own_space_are_reported() {
        let mounts = "overlay / overlay rw 0 0\n/dev/vda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n\
                      tmpfs /dev/shm tmpfs rw 0 0\n/dev/vdb /data\\040one ext4 rw 0 0\n\
                      server:/x /mnt nfs4 rw 0 0\noverlay /var/lib/docker/overlay2/a overlay rw 0 0\n\
                      tmpfs /tmp tmpfs rw 0 0\nsshfs /s fuse.sshfs rw 0 0\nodd\n";
        let points: Vec<_> = shown(mounts)
            .into_iter()
            .map(|m| (m.point, m.kind))
            .collect();
        let expected = [("/", "ext4"), ("/data one", "ext4"), ("/tmp", "tmpfs")];
        assert_eq!(points, expected.map(|(p, k)| (p.to_owned(), k.to_owned())));
        assert_eq!(shown("overlay / overlay rw 0 0\n").len(), 1);
    }

    #[test]
    fn invalid_escapes_are_unchanged() {
        assert_eq!(unescape("a\\134b\\0\\999\\é"), "a\\b\\0\\999\\é");
    }
}
