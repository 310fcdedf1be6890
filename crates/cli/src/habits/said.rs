//! What there is not, and what to say of it.

/// Commands that there are not: the group (empty for none), its commands, and what to say of them.
pub(super) const COMMANDS: &[(&str, &[&str], &str)] = &[
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
pub(super) const FLAGS: &[(&[&str], &str)] = &[
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
            "--cgroupns",
            "--isolation",
            "--init",
            "--systemd",
            "--read-only",
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
    (
        &["--mount", "--tmpfs", "--volume-driver", "--volumes-from"],
        "type: --volumes PATH:MOUNT_POINT",
    ),
    (
        &["--env-file", "--label-file"],
        "name each: -e NAME=VALUE, -l KEY=VALUE, or all in a manifest: --config FILE",
    ),
    (
        &["--annotation"],
        "`annotations` are a manifest's: --config FILE; on the command line: -l KEY=VALUE",
    ),
    (
        &["--device", "--device-cgroup-rule", "--gpus"],
        "disks are given with --volumes PATH:MOUNT_POINT; other devices are the host's alone",
    ),
    (
        &[
            "--memory-reservation",
            "--memory-swap",
            "--memory-swappiness",
            "--kernel-memory",
            "--shm-size",
            "--ulimit",
            "--pids-limit",
            "--oom-kill-disable",
            "--oom-score-adj",
            "--cgroup-parent",
            "--cpu-shares",
            "--cpu-count",
            "--cpu-percent",
            "--cpu-period",
            "--cpu-quota",
            "--cpu-rt-period",
            "--cpu-rt-runtime",
            "--cpuset-cpus",
            "--cpuset-mems",
            "--blkio-weight",
            "--blkio-weight-device",
            "--device-read-bps",
            "--device-read-iops",
            "--device-write-bps",
            "--device-write-iops",
        ],
        "a VM is bounded by --memory, --cpus, --net-rate and --disk-rate",
    ),
    (&["--storage-opt"], "type: --size SIZE, such as --size 10GB"),
    (
        &["--sysctl"],
        "a VM's kernel is its own: ignite exec VM -- sysctl -w NAME=VALUE",
    ),
    (
        &["--stop-signal", "--stop-timeout"],
        "the signal is the image's, and the time is said when it is stopped: ignite stop --time DURATION VM",
    ),
    (
        &["--log-driver", "--log-opt"],
        "a VM's console is its log, which Ignite keeps: ignite logs VM",
    ),
    (
        &[
            "--health-cmd",
            "--health-interval",
            "--health-retries",
            "--health-start-period",
            "--health-timeout",
            "--no-healthcheck",
        ],
        "Ignite asks no VM for its health: ask it with ignite exec VM -- CMD",
    ),
    (
        &["--cidfile", "--pidfile"],
        "a VM's uid is all there is on standard output: ignite run --quiet IMAGE > FILE",
    ),
    (&["--domainname"], "type: --hostname NAME.DOMAIN"),
    (&["--link-local-ip"], "type: --ip ADDRESS"),
    (
        &["--disable-content-trust"],
        "leave it out: what comes is compared with its digests, and signatures are not asked for",
    ),
    (
        &["--sig-proxy"],
        "leave it out: keys go to the VM, and signals end the command that watches it",
    ),
    (
        &["--no-trunc"],
        "leave it out: what is shown is shown whole",
    ),
];

/// Commands that boot an image.
pub(super) const BOOTING: &[&str] = &["run", "create"];

/// Flags that some commands do not have, and what to say of them there.
pub(super) const FLAGS_OF: &[(&[&str], &[&str], &str)] = &[
    (
        BOOTING,
        &["-m"],
        "type: --memory SIZE, such as --memory 1GB",
    ),
    (BOOTING, &["-c"], "type: --cpus N"),
    (
        BOOTING,
        &["-w", "--workdir", "-u", "--user", "--group-add", "--umask"],
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
        BOOTING,
        &["--rootfs"],
        "name it as an image: ignite run dir:DIRECTORY",
    ),
    (
        &["update"],
        &["-m", "--memory", "--cpus", "-c"],
        "memory and processors are a VM's for life; what can be changed is how much of its memory it gives back: --balloon SIZE",
    ),
    (
        &["ps"],
        &["-s", "--size"],
        "leave it out: SIZE is always shown",
    ),
    (
        &["images", "image"],
        &["-a", "--all", "--digests", "--tree", "--names"],
        "leave it out: all images are listed; for the digest of one: ignite inspect image IMAGE",
    ),
    (
        &["rm"],
        &["-l", "--link"],
        "leave it out: a VM has no links",
    ),
    (
        &["rmi", "prune"],
        &["--no-prune", "--volumes"],
        "leave it out: what a VM or an image has goes with it, and your files and disks stay",
    ),
    (
        &["start"],
        &["--checkpoint", "--checkpoint-dir"],
        "a VM that should go on where it was: ignite pause VM, and later ignite unpause VM",
    ),
    (
        &["inspect"],
        &["-s", "--size", "-v", "--verbose"],
        "leave it out: all that is known is shown",
    ),
    (
        &["inspect"],
        &["--type"],
        "name the kind before the objects: ignite inspect vm|image|kernel|network OBJECT",
    ),
    (
        &["stats", "events", "version"],
        &["-f", "--format"],
        "type: -o json",
    ),
    (
        &["kill", "stop", "restart"],
        &["-s", "--signal"],
        "ignite stop sends the signal that the image names; another: ignite exec VM -- kill -HUP PID",
    ),
];
