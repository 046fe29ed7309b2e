// What the server says, and what is done to it.

/** The whole store as it was last told: groups, and where the history stands. */
let store = null;
let groupById = new Map();

class Refused extends Error {}

/** An address of this workbench, which may lie below another server's: `/api/store` becomes `api/store`. */
function address(path, query) {
  return `${path.slice(1)}${query ? `?${query}` : ""}`;
}

async function ask(path, parameters, options) {
  const query = new URLSearchParams(parameters ?? {}).toString();
  let response;
  try {
    response = await fetch(address(path, query), options);
  } catch {
    throw new Refused("The workbench does not answer. Is `tac open` still running?");
  }
  const told = await response.json().catch(() => ({ error: `the workbench answered ${response.status}` }));
  if (!response.ok) throw new Refused(told.error ?? `the workbench answered ${response.status}`);
  return told;
}

/** Post something and give the answer. */
function post(path, what) {
  return ask(path, {}, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(what) });
}

async function readStore() {
  store = await ask("/api/store");
  groupById = new Map(store.groups.map((group) => [group.id, group]));
}

/** Enter an action, and wait until the tables say so; whoever acted meanwhile is seen first. */
async function act(what) {
  const { do: kind, ...rest } = what;
  try {
    await post("/api/actions", { do: kind, what: rest, seen: store.seen });
  } catch (error) {
    await readStore().catch(() => {});
    refresh();
    throw error;
  }
  busy(true);
  try {
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
    if (!store.waiting) return;
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
