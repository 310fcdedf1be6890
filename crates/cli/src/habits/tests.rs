//! What others type, line by line.

use super::*;
use crate::args::Cli;
use clap::{CommandFactory, Parser};

fn answered(line: &str) -> Option<String> {
    let words: Vec<String> = line.split(' ').map(String::from).collect();
    let error = Cli::try_parse_from(&words).expect_err(line);
    answer(&words, &error)
}

#[test]
fn habits_are_answered() {
    let lines = [
        "ignite build .",
        "ignite --quiet pull nginx",
        "ignite --id-prefix lab login",
        "ignite network connect lan web",
        "ignite networks rm lan",
        "ignite images pull nginx",
        "ignite compose up",
        "ignite run --network-alias db nginx",
        "ignite create --privileged nginx",
        "ignite run --entrypoint=sh nginx",
        "ignite run --link db nginx",
        "ignite run busybox ls -l",
        "ignite vm create busybox ls",
        "ignite run -m 1g nginx",
        "ignite run -w /srv nginx",
        "ignite run --pull always nginx",
        "ignite exec -d web sleep 9",
        "ignite kill -s HUP web",
        "ignite stop --signal HUP web",
        "ignite logs --until 5m web",
        "ignite logs --details web",
        "ignite top web aux",
        "ignite update -m 1g web",
    ];
    let report: Vec<String> = lines
        .iter()
        .map(|line| answered(line).unwrap_or_else(|| panic!("no answer to {line}")))
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn what_is_no_habit_is_left_to_the_nearest_word() {
    for line in [
        "ignite pss",
        "ignite network lss",
        "ignite run --memroy 1GB a",
    ] {
        assert_eq!(answered(line), None, "{line}");
    }
}

/// Neither a slip in a flag that help shows nor a flag of Docker's leads to one that it hides.
#[test]
fn what_help_hides_is_never_suggested() {
    fn all<'c>(command: &'c clap::Command, path: &[&'c str], out: &mut Vec<Vec<&'c str>>) {
        out.push(path.to_vec());
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path: Vec<&str> = path.iter().copied().chain([sub.get_name()]).collect();
            all(sub, &path, out);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut paths = Vec::new();
    all(&root, &["ignite"], &mut paths);
    let mut parser = root.clone();
    let foreign = FLAGS.iter().map(|(names, _)| *names);
    let foreign = foreign.chain(FLAGS_OF.iter().map(|(_, names, _)| *names));
    let foreign: Vec<String> = foreign
        .flatten()
        .filter_map(|name| Some(name.strip_prefix("--")?.to_owned()))
        .collect();
    for path in paths {
        let command = path[1..].iter().fold(&root, |command, name| {
            command.find_subcommand(name).expect("it is listed")
        });
        let longs = |hidden: bool| {
            let shown = command.get_arguments();
            let shown = shown.filter(move |arg| arg.is_hide_set() == hidden);
            shown.filter_map(clap::Arg::get_long).map(str::to_owned)
        };
        let hidden: Vec<String> = longs(true).map(|name| format!("'--{name}'")).collect();
        let slips = longs(false).flat_map(|name| {
            let shorter = name[..name.len() - 1].to_owned();
            [format!("{name}x"), shorter, format!("x{name}")]
        });
        for slip in slips.chain(foreign.iter().cloned()) {
            let flag = format!("--{slip}");
            let words: Vec<&str> = path.iter().copied().chain([flag.as_str()]).collect();
            let Err(mut error) = parser.try_get_matches_from_mut(&words) else {
                continue;
            };
            ignite_program::suggest_visible(&mut error, &root, words.iter().copied());
            let text = error.render().to_string();
            let told = hidden.iter().find(|name| text.contains(*name));
            assert_eq!(told, None, "{words:?}: {text}");
        }
    }
}

/// Whatever is there needs no answer.
#[test]
fn nothing_is_answered_that_there_is() {
    let mut root = Cli::command();
    root.build();
    for (group, names, instead) in COMMANDS {
        let parent = match *group {
            "" => &root,
            group => root.find_subcommand(group).expect(group),
        };
        for name in *names {
            assert!(
                parent.find_subcommand(name).is_none(),
                "{group} {name}: {instead}"
            );
        }
    }
    let run = root.find_subcommand("run").expect("there");
    for name in FLAGS.iter().flat_map(|(names, _)| *names) {
        let of = |arg: &clap::Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long()
                .into_iter()
                .chain(aliases)
                .any(|it| format!("--{it}") == *name)
        };
        assert!(!run.get_arguments().any(of), "{name}");
    }
}

/// Both lines are understood, and as the same.
#[test]
fn flags_of_others_are_read_as_our_own() {
    let parsed = |line: &str| match Cli::try_parse_from(line.split(' ')) {
        Ok(cli) => format!("{cli:#?}"),
        Err(error) => panic!("{line}: {error}"),
    };
    for (others, ours) in [
        ("run --net lan nginx", "run --network lan nginx"),
        ("run --publish 8080:80 nginx", "run --ports 8080:80 nginx"),
        ("run -p 8080:80/udp nginx", "run --ports 8080:80/udp nginx"),
        (
            "create --mac-address 02:00:00:00:00:07 nginx",
            "create --mac 02:00:00:00:00:07 nginx",
        ),
        (
            "run --ip 10.0.0.7 --ip6 fd00::7 nginx",
            "run --ip 10.0.0.7 --ip fd00::7 nginx",
        ),
        ("start --attach web", "start --interactive web"),
        ("start -a web", "start -i web"),
        ("images list", "image ls"),
        ("kernels list", "kernel ls"),
        ("vms list", "vm ls"),
        ("stop -t 5 web", "stop --timeout 5 web"),
        ("restart -t 5 web", "restart --timeout 5 web"),
        ("inspect -f {{.Name}} web", "inspect -t {{.Name}} web"),
        (
            "image inspect -f {{.Name}} a",
            "image inspect -t {{.Name}} a",
        ),
        (
            "network inspect -f {{.Name}} lan",
            "network inspect -t {{.Name}} lan",
        ),
        ("run --volume /a:/b nginx", "run -v /a:/b nginx"),
    ] {
        let [others, ours] = [others, ours].map(|line| format!("ignite {line}"));
        assert_eq!(parsed(&others), parsed(&ours), "{others}");
    }
}

/// Docker's flags, by command; what stands behind each makes the line whole.
const THEIRS: &[(&str, &[&str], &str)] = &[
    (
        "run",
        &[
            "-a stdin",
            "--attach stdin",
            "--add-host a:10.0.0.7",
            "--annotation a=b",
            "--blkio-weight 10",
            "--blkio-weight-device a:1",
            "--cap-add ALL",
            "--cap-drop ALL",
            "--cgroup-parent a",
            "--cgroupns host",
            "--cidfile f",
            "--cpu-count 1",
            "--cpu-percent 5",
            "--cpu-period 5",
            "--cpu-quota 5",
            "--cpu-rt-period 5",
            "--cpu-rt-runtime 5",
            "-c 5",
            "--cpu-shares 5",
            "--cpus 2",
            "--cpuset-cpus 0",
            "--cpuset-mems 0",
            "-d",
            "--detach",
            "--detach-keys ctrl-a",
            "--device /dev/fuse",
            "--device-cgroup-rule r",
            "--device-read-bps a:1",
            "--device-read-iops a:1",
            "--device-write-bps a:1",
            "--device-write-iops a:1",
            "--disable-content-trust",
            "--dns 9.9.9.9",
            "--dns-opt a",
            "--dns-option a",
            "--dns-search a",
            "--domainname a",
            "--entrypoint sh",
            "-e A=b",
            "--env A=b",
            "--env-file f",
            "--expose 80",
            "--gpus all",
            "--group-add a",
            "--health-cmd a",
            "--health-interval 1s",
            "--health-retries 1",
            "--health-start-period 1s",
            "--health-timeout 1s",
            "--no-healthcheck",
            "--hostname a",
            "--init",
            "-i",
            "--interactive",
            "--ip 10.0.0.7",
            "--ip6 fd00::7",
            "--ipc host",
            "--isolation a",
            "--kernel-memory 1",
            "-l a=b",
            "--label a=b",
            "--label-file f",
            "--link a",
            "--link-local-ip 169.254.0.7",
            "--log-driver none",
            "--log-opt a=b",
            "--mac-address 02:00:00:00:00:07",
            "-m 1g",
            "--memory 1GB",
            "--memory-reservation 1g",
            "--memory-swap 1g",
            "--memory-swappiness 1",
            "--mount type=bind,src=/a,dst=/b",
            "--name a",
            "--net lan",
            "--network lan",
            "--net-alias a",
            "--network-alias a",
            "--oom-kill-disable",
            "--oom-score-adj 1",
            "--pid host",
            "--pids-limit 1",
            "--platform linux/amd64",
            "--privileged",
            "-p 8080:80",
            "--publish 8080:80",
            "-P",
            "--publish-all",
            "--pull always",
            "-q",
            "--quiet",
            "--read-only",
            "--restart always",
            "--rm",
            "--runtime runc",
            "--security-opt a",
            "--shm-size 1",
            "--sig-proxy",
            "--stop-signal HUP",
            "--stop-timeout 5",
            "--storage-opt size=1G",
            "--sysctl a=b",
            "--tmpfs /tmp",
            "-t",
            "--tty",
            "--ulimit a=1",
            "-u a",
            "--user a",
            "--userns host",
            "--uts host",
            "-v /a:/b",
            "--volume /a:/b",
            "--volume-driver a",
            "--volumes-from a",
            "-w /",
            "--workdir /",
            "--umask 022",
            "--pidfile f",
            "--rootfs",
            "--systemd always",
        ],
        "nginx",
    ),
    (
        "exec",
        &[
            "-d",
            "--detach",
            "--detach-keys ctrl-a",
            "-e A=b",
            "--env A=b",
            "--env-file f",
            "-i",
            "--interactive",
            "--privileged",
            "-t",
            "--tty",
            "-u a",
            "--user a",
            "-w /",
            "--workdir /",
        ],
        "web ls",
    ),
    (
        "ps",
        &[
            "-a",
            "--all",
            "-f name=a",
            "--filter name=a",
            "--format json",
            "-n 1",
            "--last 1",
            "-l",
            "--latest",
            "--no-trunc",
            "-q",
            "--quiet",
            "-s",
            "--size",
        ],
        "",
    ),
    (
        "logs",
        &[
            "--details",
            "-f",
            "--follow",
            "--since 5m",
            "-n 5",
            "--tail 5",
            "-t",
            "--timestamps",
            "--until 5m",
        ],
        "web",
    ),
    (
        "rm",
        &["-f", "--force", "-l", "--link", "-v", "--volumes"],
        "web",
    ),
    (
        "start",
        &[
            "-a",
            "--attach",
            "--checkpoint a",
            "--checkpoint-dir a",
            "--detach-keys ctrl-a",
            "-i",
            "--interactive",
        ],
        "web",
    ),
    (
        "stop",
        &["-s HUP", "--signal HUP", "-t 5", "--time 5", "--timeout 5"],
        "web",
    ),
    (
        "restart",
        &["-s HUP", "--signal HUP", "-t 5", "--time 5", "--timeout 5"],
        "web",
    ),
    ("kill", &["-s HUP", "--signal HUP"], "web"),
    (
        "attach",
        &["--detach-keys ctrl-a", "--no-stdin", "--sig-proxy"],
        "web",
    ),
    (
        "inspect",
        &[
            "-f {{.Id}}",
            "--format {{.Id}}",
            "-s",
            "--size",
            "--type container",
        ],
        "web",
    ),
    (
        "cp",
        &["-a", "--archive", "-L", "--follow-link", "-q", "--quiet"],
        "web:/a b",
    ),
    (
        "stats",
        &["-a", "--all", "--format json", "--no-stream", "--no-trunc"],
        "web",
    ),
    ("top", &["aux", "-eo pid"], "web"),
    (
        "events",
        &[
            "-f event=die",
            "--filter event=die",
            "--since 5m",
            "--until 1m",
            "--format json",
        ],
        "",
    ),
    (
        "update",
        &[
            "--blkio-weight 1",
            "--cpu-period 1",
            "--cpu-quota 1",
            "-c 1",
            "--cpu-shares 1",
            "--cpus 2",
            "--cpuset-cpus 0",
            "--cpuset-mems 0",
            "--kernel-memory 1",
            "-m 1g",
            "--memory 1g",
            "--memory-reservation 1",
            "--memory-swap 1",
            "--pids-limit 1",
            "--restart always",
        ],
        "web",
    ),
    (
        "images",
        &[
            "-a",
            "--all",
            "--digests",
            "-f reference=a",
            "--filter reference=a",
            "--format json",
            "--no-trunc",
            "-q",
            "--quiet",
            "--tree",
            "--names",
        ],
        "",
    ),
    ("rmi", &["-f", "--force", "--no-prune"], "nginx"),
    ("version", &["-f {{.Version}}", "--format json"], ""),
    (
        "prune",
        &[
            "-a",
            "--all",
            "-f",
            "--force",
            "--filter until=1h",
            "--volumes",
        ],
        "",
    ),
    (
        "network ls",
        &[
            "-f name=a",
            "--filter name=a",
            "--format json",
            "--no-trunc",
            "-q",
            "--quiet",
        ],
        "",
    ),
    (
        "network inspect",
        &["-f {{.Name}}", "--format json", "-v", "--verbose"],
        "lan",
    ),
    ("login", &["-u a"], ""),
];

/// Each of Docker's flags is taken, or answered with what to type instead.
#[test]
fn every_flag_of_dockers_is_taken_or_answered() {
    let mut silent = Vec::new();
    for (command, flags, rest) in THEIRS {
        for flag in *flags {
            let line = format!("ignite {command} {flag} {rest}");
            let words: Vec<String> = line.split_whitespace().map(String::from).collect();
            let Err(error) = Cli::try_parse_from(&words) else {
                continue;
            };
            if answer(&words, &error).is_none() {
                silent.push(format!("{line}: {error}"));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn flags_of_others_mean_the_same() {
    for line in [
        "ignite run --net lan --ip 10.0.0.7 --ip6 fd00::7 --mac-address 02:00:00:00:00:07 nginx",
        "ignite run -d --publish 8080:80 --dns 9.9.9.9 nginx",
        "ignite run --hostname db --add-host a:10.0.0.7 --add-host gate:host-gateway nginx",
        "ignite run --detach nginx",
        "ignite start -d web",
        "ignite start --debug --ignore-preflight-checks=all,port web",
        "ignite create --require-name --name a --sandbox-image x --runtime docker nginx",
        "ignite --runtime=docker --network-plugin=cni run nginx",
        "ignite images list",
        "ignite kernels",
        "ignite vms list",
        "ignite vm",
        "ignite vm -a -q -f status=exited -o wide",
        "ignite vms -t {{.ObjectMeta.Name}}",
        "ignite ls -a",
    ] {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}
