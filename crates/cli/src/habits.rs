//! Answers to what people type out of habit with Docker, nerdctl or Weave Ignite: what to type instead.
//!
//! Where there is the same thing under another name, the flag is taken; this is for the rest.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands that there are not: the group (empty for none), its commands, and what to say of them.
const COMMANDS: &[(&str, &[&str], &str)] = &[
    (
        "",
        &["build", "buildx", "builder", "commit"],
        "Ignite builds no images: build one with Docker or Buildah, save it, then: ignite image import docker-archive:FILE",
    ),
    (
        "",
        &["pull"],
        "an image is pulled where it is used first, or before: ignite image import IMAGE",
    ),
    ("image", &["pull", "add"], "type: ignite image import IMAGE"),
    (
        "",
        &["load"],
        "type: ignite image import docker-archive:FILE",
    ),
    (
        "image",
        &["load"],
        "type: ignite image import docker-archive:FILE",
    ),
    (
        "",
        &["push", "save", "tag", "export"],
        "Ignite gives no images away: do it with the program that made the image",
    ),
    (
        "image",
        &["push", "save", "tag", "build", "history"],
        "Ignite only takes images: do it with the program that made the image",
    ),
    (
        "",
        &["import"],
        "type: ignite image import tar:FILE, or: ignite kernel import FILE",
    ),
    (
        "",
        &["login", "logout"],
        "passwords of registries are those of Docker's config.json: docker login, or --registry-config-dir DIR",
    ),
    (
        "",
        &["compose", "stack", "swarm", "service"],
        "describe each VM as a manifest and let the daemon keep them: ignited daemon",
    ),
    (
        "",
        &["daemon", "gitops"],
        "that is a program of its own: ignited daemon, ignited gitops REPO",
    ),
    (
        "",
        &["container", "containers"],
        "what Docker has containers for are VMs here: ignite vm",
    ),
    (
        "vm",
        &["create-network", "connect", "disconnect"],
        "a VM's networks are named when it is created: ignite create --network NAME",
    ),
    (
        "network",
        &["connect", "disconnect"],
        "a VM's networks are named when it is created, an interface each: ignite create --network NAME --network OTHER",
    ),
    (
        "network",
        &["create"],
        "a network is a CNI configuration list: write it into /etc/cni/net.d; one over several hosts: ignite overlay init",
    ),
    (
        "network",
        &["rm", "remove"],
        "a network goes with its file in /etc/cni/net.d; what VMs left in it: ignite network gc",
    ),
    ("network", &["prune"], "type: ignite network gc"),
    (
        "",
        &["volume", "volumes"],
        "a VM's disks are named when it is created: ignite create --volumes PATH:MOUNT_POINT",
    ),
    (
        "",
        &["info", "system"],
        "type: ignite doctor, which shows what this host can do; or: ignite config",
    ),
    (
        "",
        &["history", "search", "diff", "context", "plugin", "manifest"],
        "there is nothing like it here: see ignite help",
    ),
];

/// Flags that there are not, and what to say of them.
const FLAGS: &[(&[&str], &str)] = &[
    (
        &["--network-alias", "--net-alias", "--alias"],
        "a VM has no further names: others reach it by its address, which ignite ps shows, and --ip keeps",
    ),
    (&["--link"], "put both VMs on one network: --network NAME"),
    (
        &["--dns-search", "--dns-option", "--dns-opt"],
        "they are the network's: `dns` in its CNI configuration; servers: --dns IP",
    ),
    (
        &["--publish-all", "-P"],
        "name each port: -p HOST_PORT:VM_PORT",
    ),
    (
        &["--expose"],
        "leave it out: every port of a VM answers on its network; to the world: -p HOST_PORT:VM_PORT",
    ),
    (
        &[
            "--privileged",
            "--cap-add",
            "--cap-drop",
            "--security-opt",
            "--userns",
            "--pid",
            "--ipc",
            "--uts",
        ],
        "leave it out: a VM has a kernel of its own, and its root may do everything in there",
    ),
    (
        &["--entrypoint"],
        "put what should run after two dashes: ignite run IMAGE -- CMD",
    ),
    (
        &["--restart"],
        "the daemon starts VMs again: `restartPolicy` in a manifest, kept by ignited",
    ),
    (&["--mount", "--tmpfs"], "type: --volumes PATH:MOUNT_POINT"),
    (
        &["--env-file"],
        "name each variable: -e NAME=VALUE, or in a manifest: --config FILE",
    ),
    (
        &["--device", "--gpus"],
        "disks are given with --volumes PATH:MOUNT_POINT; other devices are the host's alone",
    ),
    (
        &[
            "--memory-swap",
            "--shm-size",
            "--ulimit",
            "--cpu-shares",
            "--cpu-quota",
            "--cpuset-cpus",
        ],
        "a VM is bounded by --memory, --cpus, --net-rate and --disk-rate",
    ),
];

/// Commands that boot an image.
const BOOTING: &[&str] = &["run", "create"];

/// Flags that some commands do not have, and what to say of them there.
const FLAGS_OF: &[(&[&str], &[&str], &str)] = &[
    (
        BOOTING,
        &["-m"],
        "type: --memory SIZE, such as --memory 1GB",
    ),
    (BOOTING, &["-c"], "type: --cpus N"),
    (
        BOOTING,
        &["-w", "--workdir", "-u", "--user"],
        "a command runs where and as whom its image says; for another program: ignite exec --user USER --workdir DIR VM CMD",
    ),
    (
        BOOTING,
        &["--pull"],
        "an image is fetched where it is missing; to fetch it anew: ignite rmi IMAGE, then: ignite image import IMAGE",
    ),
    (
        BOOTING,
        &["--platform"],
        "leave it out: a VM has this host's processor, and its image is the one for that",
    ),
    (
        &["exec"],
        &["-d", "--detach"],
        "let a shell put it into the background: ignite exec VM -- sh -c 'CMD >/dev/null 2>&1 &'",
    ),
    (
        &["logs"],
        &["--until"],
        "read up to a moment with another program: ignite logs --timestamps VM | awk '$1 < \"2026-01-31T12:00:00Z\"'",
    ),
    (
        &["logs"],
        &["--details"],
        "leave it out: a VM's log has nothing more; about the VM itself: ignite inspect VM",
    ),
    (
        &["kill", "stop"],
        &["-s", "--signal"],
        "ignite stop sends the signal that the image names; another: ignite exec VM -- kill -HUP PID",
    ),
];

/// What to say of a command line that clap does not understand, where a habit explains it; `words` are
/// all of it, the program's name first.
pub fn answer(words: &[String], error: &clap::Error) -> Option<String> {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => command(words, given(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let given = given(ContextKind::InvalidArg)?;
            flag(words, given).or_else(|| program(words, given))
        }
        _ => None,
    }
}

fn command(words: &[String], given: &str) -> Option<String> {
    let at = words.iter().position(|word| word == given)?;
    let before = words[..at].iter().skip(1).rev();
    let group = before.into_iter().find(|word| !word.starts_with('-'));
    let group = group.map_or("", |group| group.trim_end_matches('s'));
    let found = COMMANDS
        .iter()
        .find(|(of, names, _)| *of == group && names.contains(&given));
    let (of, _, instead) = found.or_else(|| {
        // The word before may be a flag's value.
        let is_group = COMMANDS.iter().any(|(of, ..)| *of == group);
        let mut all = COMMANDS.iter().filter(|_| !is_group);
        all.find(|(of, names, _)| of.is_empty() && names.contains(&given))
    })?;
    let path = [*of, given].join(" ");
    let path = path.trim_start();
    Some(format!(
        "error: there is no command {path:?}\nhint: {instead}"
    ))
}

fn flag(words: &[String], given: &str) -> Option<String> {
    let name = given.split('=').next().unwrap_or_default();
    let is_called = |commands: &[&str]| words.iter().any(|word| commands.contains(&word.as_str()));
    let of_command = FLAGS_OF
        .iter()
        .find(|(commands, names, _)| names.contains(&name) && is_called(commands))
        .map(|(_, _, instead)| instead);
    let of_all = || FLAGS.iter().find(|(names, _)| names.contains(&name));
    let instead = of_command.or_else(|| of_all().map(|(_, instead)| instead))?;
    Some(format!("error: there is no flag {name}\nhint: {instead}"))
}

/// Docker takes what should run right behind the image.
fn program(words: &[String], given: &str) -> Option<String> {
    let boots = words.iter().any(|word| BOOTING.contains(&word.as_str()));
    (boots && !given.starts_with('-')).then(|| {
        format!(
            "error: {given:?} is not understood\nhint: put what should run after two dashes: ignite run IMAGE -- {given} ..."
        )
    })
}

/// What people type, and what is said of it: commands first, then flags.
#[cfg(test)]
pub fn table() -> Vec<(String, &'static str)> {
    let list = |names: &[&str], before: &str| {
        let names = names.iter().map(|name| format!("`{before}{name}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let commands = COMMANDS.iter().map(|(group, names, instead)| {
        let before = if group.is_empty() {
            String::new()
        } else {
            format!("{group} ")
        };
        (list(names, &before), *instead)
    });
    let flags = FLAGS
        .iter()
        .map(|(names, instead)| (list(names, ""), *instead));
    let of_commands = FLAGS_OF.iter().map(|(commands, names, instead)| {
        let commands = list(commands, "");
        (format!("{} of {commands}", list(names, "")), *instead)
    });
    commands.chain(flags).chain(of_commands).collect()
}

#[cfg(test)]
mod tests {
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
                let Err(mut error) = Cli::command().try_get_matches_from(&words) else {
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
        ] {
            let [others, ours] = [others, ours].map(|line| format!("ignite {line}"));
            assert_eq!(parsed(&others), parsed(&ours), "{others}");
        }
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
}
