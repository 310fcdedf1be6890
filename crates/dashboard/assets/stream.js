// The host's words: one stream of events, and answers to questions.
//
// The key comes behind the # of the address, which browsers never send. It is kept for this tab alone and
// taken out of the address; each request carries it in a header.

const KEPT = "ignite-key";
const LIMIT = 64 << 20;

function takeKey() {
  const given = location.hash.slice(1);
  const isKey = /^[0-9a-f]{32}$/.test(given);
  try {
    if (isKey) {
      sessionStorage.setItem(KEPT, given);
      history.replaceState(null, "", location.pathname);
    }
    return sessionStorage.getItem(KEPT);
  } catch {
    // A browser that keeps nothing: the key stays in the address.
    return isKey ? given : null;
  }
}

let key = null;

/** Asks for a path; an answer that is no success is an error with its status. */
export async function get(path, signal) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch(path, { headers, signal, cache: "no-store" });
  if (!response.ok) {
    const error = new Error((await response.text()).trim());
    error.status = response.status;
    throw error;
  }
  return response;
}

/** Cuts a stream into events: a name and a value. */
async function read(response, handlers) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += value;
    if (waiting.length > LIMIT) throw new Error("an event without an end");
    const blocks = waiting.split("\n\n");
    waiting = blocks.pop();
    for (const block of blocks) {
      const [first, second] = block.split("\n");
      handlers[first.replace("event: ", "")]?.(JSON.parse(second.slice("data: ".length)));
    }
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/**
 * Follows the events for ever. `handlers` has history, state and point for what comes, and link for how the
 * connection is: "live", "lost", or "refused" with why.
 */
export async function follow(handlers) {
  key = takeKey();
  addEventListener("hashchange", () => {
    if (/^#[0-9a-f]{32}$/.test(location.hash)) location.reload();
  });
  let wait = 500;
  for (;;) {
    try {
      const response = await get("/api/events");
      handlers.link("live");
      wait = 500;
      await read(response, handlers);
    } catch (error) {
      if (error.status === 401) return handlers.link("refused", error.message);
      handlers.link("lost", error.status ? error.message : undefined);
      await pause(wait);
      wait = Math.min(wait * 2, 5000);
    }
  }
}
