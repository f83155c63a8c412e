//! How much memory the process's control group may have.

use std::fs::read_to_string;
use std::path::Path;

/// Where the hierarchies are mounted, of each version.
const V2: &str = "sys/fs/cgroup";
const V2_BESIDE_V1: &str = "sys/fs/cgroup/unified";
const V1: &str = "sys/fs/cgroup/memory";
/// Version 1 says so, or more, when there is no limit: the largest count of pages.
const UNLIMITED: usize = 1 << 62;

/// The lowest limit of the process's group and those above it; `root`: where `/proc` and `/sys`
/// are.
pub(super) fn of_container(root: &Path) -> Option<usize> {
    let groups = read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups.lines().filter_map(|line| of_line(root, line)).min()
}

/// `0::/path` is of version 2, `4:memory:/path` of version 1.
fn of_line(root: &Path, line: &str) -> Option<usize> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    if controllers.is_empty() {
        let places = [V2, V2_BESIDE_V1];
        return places.iter().filter_map(|v2| lowest(&root.join(v2), path, "memory.max")).min();
    }
    let is_memory = controllers.split(',').any(|controller| controller == "memory");
    if is_memory { lowest(&root.join(V1), path, "memory.limit_in_bytes") } else { None }
}

/// Of the group and those above it. In a container the path may be one that only the host has:
/// then the group at the mount is its own.
fn lowest(mount: &Path, path: &str, file: &str) -> Option<usize> {
    let mut place = mount.to_owned();
    let mut limits = Vec::from([limit(&mount.join(file))]);
    for part in path.split('/').filter(|part| !part.is_empty() && *part != "..") {
        place.push(part);
        limits.push(limit(&place.join(file)));
    }
    limits.into_iter().flatten().min()
}

fn limit(file: &Path) -> Option<usize> {
    let bytes: usize = read_to_string(file).ok()?.trim().parse().ok()?;
    // The largest count of pages is a little below this.
    (bytes < UNLIMITED).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::of_container;
    use std::fs::{File, create_dir_all, remove_dir_all};
    use std::io::Write;
    use std::path::Path;

    fn check(files: &[(&str, &str)], expected: Option<usize>) {
        let name = format!("ceiling-{}-{}", std::process::id(), files.len());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name);
        for (path, text) in files {
            let path = root.join(path);
            create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
        }
        let found = of_container(&root);
        remove_dir_all(&root).unwrap_or_default();
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn the_lowest_limit_of_the_group_and_those_above_it_counts() {
        check(&[], None);
        check(&[("proc/self/cgroup", "0::/a/b\n")], None);
        check(
            &[
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/memory.max", "1000\n"),
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ],
            Some(1000),
        );
        check(
            &[
                ("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/x\n0::/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "5000\n"),
                ("sys/fs/cgroup/memory/x/memory.max", "1\n"),
            ],
            Some(5000),
        );
    }

    #[test]
    fn in_a_container_the_mount_is_the_own_group() {
        check(
            &[
                ("proc/self/cgroup", "4:memory:/kubepods/pod1/c1\n0::/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n"),
                ("sys/a", ""),
                ("sys/b", ""),
                ("sys/c", ""),
            ],
            Some(7000),
        );
    }
}
