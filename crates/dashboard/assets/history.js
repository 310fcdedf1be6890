// What VMs used over the last minutes.

/** Milliseconds that are shown. */
export const SPAN = 300_000;

/** Points in time: { time, vms: { uid: usage } }. */
export class History {
  #points = [];

  /** Takes all of them anew. */
  reset(points) {
    this.#points = points;
  }

  /** Adds the newest. */
  push(point) {
    this.#points.push(point);
    const oldest = point.time - SPAN - 2000;
    while (this.#points[0].time < oldest) this.#points.shift();
  }

  /** The newest moment. */
  get now() {
    return this.#points.at(-1)?.time ?? Date.now();
  }

  /** What a VM uses now, if that is known. */
  latest(uid) {
    return this.#points.at(-1)?.vms[uid];
  }

  /** [time, value] of a VM, null where it is not known. */
  of(uid, pick) {
    return this.#points.map((point) => {
      const usage = point.vms[uid];
      return [point.time, usage ? pick(usage) ?? null : null];
    });
  }

  /** [time, value] of all VMs together. */
  total(pick) {
    return this.#points.map((point) => [point.time, sum(Object.values(point.vms), pick)]);
  }
}

/** All that is known together. */
export const sum = (list, pick) => list.reduce((total, each) => total + (pick(each) ?? 0), 0);

/** Bytes a second to and from a VM. */
export const received = (usage) => sum(usage.interfaces, (it) => it.rx);
export const sent = (usage) => sum(usage.interfaces, (it) => it.tx);
export const traffic = (usage) => received(usage) + sent(usage);
export const cpu = (usage) => usage.cpu;
export const memory = (usage) => usage.memory;
