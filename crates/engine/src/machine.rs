//! What the machine and the limits of this process tell about memory, in bytes and in page faults.
//!
//! Linux, with control groups of version 2. What is not told (another system, version 1, no such file) is `None`, never
//! a guess. Each call reads anew, some short files, from any thread and without locks. Decides nothing.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where control groups of version 2 are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// A limit and what counts against it, both in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Bytes that count against the limit at present; may exceed it for a moment.
    pub used: u64,
    /// Bytes that may be used.
    pub limit: u64,
}

impl Use {
    /// Bytes that are left; 0 above the limit.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// Bytes that can still be taken without swapping: `MemAvailable`, held down to what every limiting control group of
/// this process still has.
pub fn available() -> Option<u64> {
    let machine = read("/proc/meminfo").and_then(|text| kib(&text, "MemAvailable"));
    machine.into_iter().chain(group().map(|g| g.left())).min()
}

/// Bytes that this process could ever have: `MemTotal`, held down to the smallest `memory.max` of its control groups.
pub fn total() -> Option<u64> {
    total_of(&read("/proc/meminfo").unwrap_or_default(), &groups())
}

fn total_of(meminfo: &str, groups: &[PathBuf]) -> Option<u64> {
    let machine = kib(meminfo, "MemTotal");
    let groups = groups.iter().filter_map(|folder| limit(folder));
    machine.into_iter().chain(groups).min()
}

/// The control group that has the fewest bytes left, of this process's own one and its ancestors; `None` where none
/// sets `memory.max`.
///
/// `used` is the working set: page cache that the kernel gives back first is left out, since weights are mapped files.
pub fn group() -> Option<Use> {
    tightest(groups().iter().filter_map(|folder| group_use(folder)))
}

/// What is set by `setrlimit` and counts this process's memory: the limit of address space or of data, whichever has
/// fewer bytes left; `None` where both are unlimited.
///
/// Address space holds mapped weights whether they are read or not; data is private writable memory, touched or not.
pub fn process() -> Option<Use> {
    process_use(&read("/proc/self/limits")?, &read("/proc/self/status")?)
}

/// Bytes of this process that are in memory, mapped files with them.
pub fn resident() -> Option<u64> {
    kib(&read("/proc/self/status")?, "VmRSS")
}

/// Times that a thread of this process had to wait for the disk because a page was not in memory.
pub fn major_faults() -> Option<u64> {
    faults(&read("/proc/self/stat")?)
}

/// Share of the last ten seconds, in percent, in which some task of this process's control group waited for memory.
///
/// Where its own group does not tell, the nearest ancestor that does answers.
pub fn stall() -> Option<f32> {
    groups()
        .iter()
        .find_map(|folder| some_avg10(&read(folder.join("memory.pressure"))?))
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Folders of this process's control groups, its own first.
fn groups() -> Vec<PathBuf> {
    let own = read("/proc/self/cgroup");
    own.map_or_else(Vec::new, |text| group_folders(&text, Path::new(GROUPS)))
}

/// Folders from the group that `/proc/self/cgroup` names up to `root`.
///
/// A folder need not exist: where a container sees the host's path but only its own groups, `root` is its group. A path
/// with `..` lies beside what is mounted, whose limits do not hold for it.
fn group_folders(text: &str, root: &Path) -> Vec<PathBuf> {
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    let path = Path::new(path);
    if !path
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Vec::new();
    }
    path.ancestors().map(|part| root.join(part)).collect()
}

/// `memory.max` of one group; `None` where it is `max` or absent, as in the root group.
fn limit(folder: &Path) -> Option<u64> {
    number(&read(folder.join("memory.max"))?)
}

fn group_use(folder: &Path) -> Option<Use> {
    let limit = limit(folder)?;
    let current = number(&read(folder.join("memory.current"))?)?;
    let stat = read(folder.join("memory.stat")).unwrap_or_default();
    Some(Use {
        used: working_set(current, &stat),
        limit,
    })
}

/// `memory.current` without file pages: the kernel takes them back, and the mapped weights are among them. A group that
/// has too little room for these shows it in `stall`.
fn working_set(current: u64, stat: &str) -> u64 {
    let pages = ["inactive_file", "active_file"];
    let files: u64 = pages.iter().filter_map(|key| field(stat, key)).sum();
    current.saturating_sub(files)
}

fn process_use(limits: &str, status: &str) -> Option<Use> {
    let one = |limit: &str, used: &str| {
        Some(Use {
            limit: soft_limit(limits, limit)?,
            used: kib(status, used)?,
        })
    };
    let space = one("Max address space", "VmSize");
    let data = one("Max data size", "VmData");
    tightest(space.into_iter().chain(data))
}

/// The one where the next allocation fails first.
fn tightest(uses: impl Iterator<Item = Use>) -> Option<Use> {
    uses.min_by_key(Use::left)
}

/// Bytes of a line such as `MemTotal:  24684084 kB`.
fn kib(text: &str, key: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    number(rest.trim().strip_suffix("kB")?)?.checked_mul(1024)
}

/// The number of a line such as `inactive_file 4096`.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}

/// The first number after the name in a line such as `Max data size  unlimited  unlimited  bytes`.
fn soft_limit(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next().and_then(number)
}

/// Percent of a line such as `some avg10=0.12 avg60=0.03 avg300=0.00 total=49`.
fn some_avg10(text: &str) -> Option<f32> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix("some avg10="))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The twelfth field of `/proc/self/stat`; the second one, in brackets, may hold blanks and brackets itself.
fn faults(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(9).and_then(number)
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "\
MemTotal:       24684084 kB
MemFree:        22596624 kB
MemAvailable:   24017864 kB
HugePages_Total:       0
";
    const STATUS: &str = "\
Name:\tcat
VmPeak:\t    3060 kB
VmSize:\t    3060 kB
VmRSS:\t    1748 kB
VmData:\t     360 kB
Threads:\t1
";
    const STAT: &str = "\
anon 1000
file 7000
inactive_anon 50
active_file 2000
inactive_file 5000
workingset_refault_file 3
";

    fn limits(data: &str, space: &str) -> String {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max cpu time              unlimited            unlimited            seconds   \n\
             Max data size             {data:<20} unlimited            bytes     \n\
             Max address space         {space:<20} unlimited            bytes     \n"
        )
    }

    /// A tree of groups in a folder of its own, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let root = std::env::temp_dir().join(format!("wasi-nn-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Tree(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn kib_lines_are_bytes() {
        assert_eq!(kib(MEMINFO, "MemTotal"), Some(24_684_084 << 10));
        assert_eq!(kib(MEMINFO, "MemAvailable"), Some(24_017_864 << 10));
        assert_eq!(kib(STATUS, "VmRSS"), Some(1748 << 10));
    }

    #[test]
    fn absent_and_broken_lines_tell_nothing() {
        assert_eq!(kib(MEMINFO, "Mem"), None);
        assert_eq!(kib(MEMINFO, "HugePages_Total"), None);
        assert_eq!(kib("MemTotal: 18446744073709551615 kB", "MemTotal"), None);
        for text in ["", "MemTotal", "MemTotal:", "MemTotal: x kB", "\n\n"] {
            assert_eq!(kib(text, "MemTotal"), None);
            assert_eq!(field(text, "inactive_file"), None);
            assert_eq!(soft_limit(text, "Max address space"), None);
            assert_eq!(some_avg10(text), None);
            assert_eq!(number(text), None);
        }
    }

    #[test]
    fn folders_go_from_the_own_group_up_to_the_root() {
        let check = |text: &str, expect: &[&str]| {
            let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(group_folders(text, Path::new("/g")), expect, "{text}");
        };
        check("0::/\n", &["/g"]);
        check("0::/a.slice/b c\n", &["/g/a.slice/b c", "/g/a.slice", "/g"]);
        check("4:memory:/v1\n0::/a\n", &["/g/a", "/g"]);
        check("4:memory:/v1\n", &[]);
        check("0::/../beside\n", &[]);
        check("", &[]);
    }

    #[test]
    fn the_group_with_the_fewest_bytes_left_answers() {
        let tree = Tree::new(
            "tightest",
            &[
                ("pod/memory.max", "10000\n"),
                ("pod/memory.current", "16500\n"),
                ("pod/memory.stat", STAT),
                ("pod/box/memory.max", "4000\n"),
                ("pod/box/memory.current", "2000\n"),
                ("pod/box/memory.stat", "inactive_file 100\n"),
                ("pod/box/leaf/memory.max", "max\n"),
                ("pod/box/leaf/memory.current", "1900\n"),
            ],
        );
        let folders = group_folders("0::/pod/box/leaf\n", &tree.0);
        assert_eq!(folders.len(), 4);
        let pod = Use {
            used: 9500,
            limit: 10_000,
        };
        let uses = folders.iter().filter_map(|folder| group_use(folder));
        assert_eq!(tightest(uses), Some(pod));
        assert_eq!(total_of(MEMINFO, &folders), Some(4000));
        assert_eq!(total_of(MEMINFO, &[]), Some(24_684_084 << 10));
        assert_eq!(total_of("", &folders), Some(4000));
    }

    #[test]
    fn a_group_without_limit_or_count_tells_nothing() {
        let tree = Tree::new(
            "partial",
            &[("a/memory.max", "max\n"), ("b/memory.max", "9\n")],
        );
        assert_eq!(group_use(&tree.0.join("a")), None);
        assert_eq!(group_use(&tree.0.join("b")), None);
        assert_eq!(group_use(&tree.0.join("absent")), None);
    }

    #[test]
    fn reclaimable_page_cache_is_not_in_use() {
        assert_eq!(working_set(9000, STAT), 2000);
        // The two files are read one after the other.
        assert_eq!(working_set(4000, STAT), 0);
        assert_eq!(working_set(9000, ""), 9000);
    }

    #[test]
    fn only_limits_that_are_set_count() {
        let check = |data: &str, space: &str, expect: Option<(u64, u64)>| {
            let found = process_use(&limits(data, space), STATUS);
            assert_eq!(found.map(|u| (u.used, u.limit)), expect, "{data} {space}");
        };
        let space = 3060 << 10;
        let data = 360 << 10;
        check("unlimited", "unlimited", None);
        check("unlimited", "8388608", Some((space, 8_388_608)));
        check("8388608", "unlimited", Some((data, 8_388_608)));
        check("8388608", "8388608", Some((space, 8_388_608)));
        check("409600", "8388608", Some((data, 409_600)));
    }

    #[test]
    fn the_stall_is_the_ten_seconds_of_some() {
        let text = "some avg10=12.34 avg60=3.00 avg300=0.50 total=49\n\
                    full avg10=7.00 avg60=0.00 avg300=0.00 total=9\n";
        assert_eq!(some_avg10(text), Some(12.34));
        assert_eq!(some_avg10("full avg10=7.00 avg60=0.00"), None);
    }

    #[test]
    fn faults_are_found_behind_any_name() {
        let line = "7 (a) b 1 2 3 4 5 6 7 8 9) R 1 7 7 0 -1 4194304 107 0 42 0 1 0";
        assert_eq!(faults(line), Some(42));
        assert_eq!(faults("7 (a) R 1"), None);
        assert_eq!(faults(""), None);
    }

    #[test]
    fn nothing_is_left_above_a_limit() {
        let above = Use { used: 9, limit: 4 };
        assert_eq!(above.left(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_answers_within_its_own_bounds() {
        let total = total().unwrap();
        assert!(available().unwrap() <= total);
        assert!((1..total).contains(&resident().unwrap()));
        assert!(major_faults().is_some());
        if let Some(percent) = stall() {
            assert!((0.0..=100.0).contains(&percent));
        }
    }
}
