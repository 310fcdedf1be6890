// Where everything of the map is: numbers alone, no element.
//
//   lan ●────────────────            a network is a line from its name downwards
//       │   mesh ●───────
//       │        │
//       ●────────┼── eth0 10.0.0.2 ──[ web ]     an attachment is a line to its VM
//       │        ●── eth1 10.1.0.2 ──[     ]
//       ●────────┼── eth0 10.0.0.3 ──[ db  ]
//                ■── host 192.0.2.7              another host of an overlay

const HEAD = 40;
const LINE = 34;
const BETWEEN = 14;
const MOST = 300;

/** Who is on which network: VMs with their attachments, and others. */
function members(state) {
  const vms = state.vms.map((vm) => ({
    key: `vm:${vm.uid}`, kind: "vm", uid: vm.uid, title: vm.name, vm,
    links: (vm.interfaces ?? []).map((it) => ({ network: it.network, name: it.name, address: it.addresses[0] ?? "" })),
  }));
  const others = state.networks.flatMap((network) => network.attachments
    .filter((attachment) => attachment.owner !== "vm")
    .map((attachment) => ({
      key: `other:${attachment.containerId}:${attachment.interface}`, kind: "other",
      title: attachment.owner === "other" ? `container ${attachment.containerId}` : `left over ${attachment.containerId}`,
      links: [{ network: network.name, name: attachment.interface, address: attachment.addresses[0] ?? "" }],
    })));
  const hosts = state.overlays.flatMap((overlay) => overlay.peers.map((peer) => ({
    key: `host:${overlay.name}:${peer.subnet}`, kind: "host", title: `host ${peer.address}`,
    links: [{ network: overlay.network, name: "overlay", address: peer.subnet }],
  })));
  return [...vms, ...others, ...hosts];
}

const rank = { running: 0, paused: 0, starting: 0 };

/** The networks there are, those that only VMs name included. */
function networks(state, all) {
  const named = new Map(state.networks.map((network) => [network.name, network]));
  for (const { network } of all.flatMap((member) => member.links)) {
    if (network && !named.has(network)) named.set(network, { name: network, plugins: [], attachments: [], gone: false });
  }
  return [...named.values()];
}

/** Whether the map would have nothing on it. */
export const isEmpty = (state) => networks(state, members(state)).length + state.vms.length === 0;

/** Places networks, members and the lines between them in `width` pixels. */
export function layout(state, width) {
  const all = members(state).sort((a, b) => weight(a) - weight(b) || a.title.localeCompare(b.title));
  const shown = all.slice(0, MOST);
  const known = networks(state, all);
  const narrow = width < 560;
  const step = Math.max(20, Math.min(narrow ? 22 : 44, (width * 0.4) / Math.max(1, known.length)));
  const trunks = known.map((network, index) => ({
    key: `network:${network.name}`, kind: "network", title: network.name, network, slot: index % 8,
    x: 14 + index * step, y: 16 + index * HEAD, width: width - 20 - index * step, bottom: 16 + index * HEAD,
    overlay: state.overlays.find((overlay) => overlay.network === network.name),
  }));
  const byName = new Map(trunks.map((trunk) => [trunk.title, trunk]));
  const card = { width: narrow ? Math.max(112, width * 0.36) : Math.min(236, width * 0.34) };
  card.x = width - card.width - 2;
  let y = 16 + known.length * HEAD + 8;
  for (const member of shown) y = place(member, y, card, byName);
  return { nodes: shown, trunks, height: y + 4, hidden: all.length - shown.length, step };
}

const weight = (member) => (member.kind === "vm" ? rank[member.vm.state] ?? 1 : member.kind === "host" ? 2 : 3);

function place(member, y, card, byName) {
  const height = Math.max(1, member.links.length) * LINE + 10;
  Object.assign(member, { x: card.x, y, width: card.width, height });
  member.lines = member.links.flatMap((link, index) => {
    const trunk = byName.get(link.network);
    if (!trunk) return [];
    const at = y + 5 + LINE / 2 + index * LINE;
    trunk.bottom = at;
    return [{ ...link, trunk, y: at }];
  });
  return y + height + BETWEEN;
}
