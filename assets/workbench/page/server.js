// What the server says, and what is done to it.

/** The whole store as it was last told: groups, and where the history stands. */
let store = null;
let groupById = new Map();

class Refused extends Error {}

/** An address of this workbench, which may lie below another server's: `/api/store` becomes `api/store`. */
function address(path, query) {
  return `${path.slice(1)}${query ? `?${query}` : ""}`;
}

async function fetched(path, parameters, options) {
  const query = new URLSearchParams(parameters ?? {}).toString();
  try {
    return await fetch(address(path, query), options);
  } catch {
    throw new Refused("The workbench does not answer. Is `tac open` still running?");
  }
}

async function askBytes(path, parameters) {
  const response = await fetched(path, parameters);
  if (!response.ok) throw new Refused((await response.json().catch(() => ({}))).error ?? `the workbench answered ${response.status}`);
  return response.arrayBuffer();
}

async function ask(path, parameters, options) {
  const response = await fetched(path, parameters, options);
  const told = await response.json().catch(() => ({ error: `the workbench answered ${response.status}` }));
  if (!response.ok) throw new Refused(told.error ?? `the workbench answered ${response.status}`);
  return told;
}

/** Post something and give the answer; of any number of images, though a request is bounded. */
async function post(path, what) {
  return send(path, await inParts(what));
}

function send(path, what) {
  return ask(path, {}, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(what) });
}

const MOST_SENT = { ids: 20_000, letters: 1_000_000 };

/** The same with a long list of images replaced by the name of a list that was sent in parts before. */
async function inParts(what) {
  if (what.what) return { ...what, what: await inParts(what.what) };
  const sent = Array.isArray(what.images) ? [...parts(what.images)] : [];
  if (sent.length < 2) return what;
  let told = { list: null };
  for (const images of sent) told = await send("/api/list", { images, list: told.list });
  return { ...what, images: told };
}

/** Ids in pieces that each fit into a request. */
function* parts(ids) {
  let [start, letters] = [0, 0];
  for (let at = 0; at < ids.length; at += 1) {
    if (at > start && (at - start >= MOST_SENT.ids || letters + ids[at].length > MOST_SENT.letters)) {
      yield ids.slice(start, at);
      [start, letters] = [at, 0];
    }
    letters += ids[at].length;
  }
  if (start < ids.length) yield ids.slice(start);
}

async function readStore() {
  const told = await ask("/api/store", store ? { known: store.known } : {});
  // An answer from before the last action: what it says of the history is out of date.
  if (store && told.seen < store.seen) Object.assign(told, { seen: store.seen, waiting: Math.max(told.waiting, 1) });
  store = { ...told, groups: told.groups ?? store.groups };
  groupById = new Map(store.groups.map((group) => [group.id, group]));
}

/** Actions are entered one after the other: who presses a key three times means all three. */
let entering = Promise.resolve();

function enter(kind, what) {
  const mine = entering.then(async () => {
    const { number } = await post("/api/actions", { do: kind, what, seen: store.seen });
    // Meanwhile `store` may have become another one.
    store.seen = Math.max(store.seen, number);
  });
  entering = mine.catch(() => {});
  return mine;
}

/** Enter an action, call `entered`, and wait until the tables say so; whoever acted meanwhile is seen first. */
async function act(what, entered) {
  const { do: kind, ...rest } = what;
  busy(true);
  try {
    try {
      await enter(kind, rest);
    } catch (error) {
      await readStore().catch(() => {});
      throw error;
    }
    entered?.();
    await settled();
  } finally {
    busy(false);
    refresh();
  }
}

async function settled() {
  for (let wait = 120; ; wait = Math.min(wait * 1.4, 1500)) {
    await new Promise((done) => setTimeout(done, wait));
    await readStore();
    if (store.problem) throw new Refused(store.problem);
    if (!store.waiting) return untell();
    if (store.heldUp) return tell("A run of the store goes on. What you did is kept, and is in the tables when the run ends.", true);
  }
}

function title(group) {
  return group ? (group.name ?? `unnamed ${group.id}`) : "no group";
}

/** How sure a name is, in a word. */
function sureness(group) {
  if (group.curated && group.sureness === 1) return "yours";
  if (group.sureness >= 0.75) return "sure";
  return group.sureness >= 0.5 ? "likely" : "a guess";
}

const count = (number) => number.toLocaleString("en");
const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : (many ?? `${one}s`)}`;
const percent = (share) => (share === null || share === undefined ? "unknown" : `${Math.round(100 * share)}%`);

function pictureAddress(image) {
  return address("/api/picture", new URLSearchParams({ id: image.id, hash: image.hash ?? "" }));
}

/** The picture of an image, or what stands for it. */
function picture(image) {
  if (!store.hasPictures) return wordTile(image);
  const shown = el("img", { src: pictureAddress(image), alt: "", decoding: "async", loading: "lazy", draggable: "false" });
  shown.addEventListener("error", () => shown.replaceWith(gone(image)));
  return shown;
}
