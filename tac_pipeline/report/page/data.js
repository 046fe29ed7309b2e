// The page's data: blocks of JSON that are parsed when they are first asked for.

const parsed = new Map();

/** The data of a block. */
function block(id) {
  if (!parsed.has(id)) {
    const element = document.getElementById(id);
    parsed.set(id, JSON.parse(element.textContent));
    // Its text is not needed again, and pictures make up most of the page.
    element.textContent = "";
  }
  return parsed.get(id);
}

const summary = block("summary");
const clusters = summary.clusters;
// How many clusters have a name: where two do, their ids tell them apart.
const named = new Map();
for (const { name } of clusters) named.set(name, (named.get(name) ?? 0) + 1);
const clusterAt = new Map(clusters.map((cluster, index) => [cluster.id, index]));

/** The images of a cluster that the page shows, with their pictures. */
function packOf(index) {
  const pack = block(`pack-${index}`);
  pack.images.forEach((image, slot) => (image.picture = pack.pictures[slot]));
  return pack.images;
}

const whole = new Intl.NumberFormat("en");
const count = (number) => whole.format(number);
const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : (many ?? `${one}s`)}`;

/** A share as percent, never rounded to 0 or 100 where it is neither. */
function percent(share) {
  if (share === null || share === undefined) return "–";
  if (share > 0 && share < 0.001) return "<0.1%";
  if (share < 0.1) return `${(100 * share).toFixed(1)}%`;
  return share < 1 && share >= 0.995 ? ">99%" : `${Math.round(100 * share)}%`;
}

function when(seconds) {
  return new Date(seconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** What a cluster is called. */
function title(cluster) {
  if (cluster.name === null) return `unnamed ${cluster.id}`;
  return named.get(cluster.name) > 1 ? `${cluster.name} (${cluster.id})` : cluster.name;
}

/** The last part of a path, which tells most of an image. */
function shortId(id) {
  return id.split("/").pop() || id;
}

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
const searchable = clusters.map((cluster) => {
  const words = [title(cluster), ...cluster.alternatives, ...cluster.nouns.map(([noun]) => noun)];
  return { all: plain([...words, `#${cluster.id}`].join("\n")), words };
});

/** Whether a cluster has every word of a query in its name, alternatives or nouns. */
function matches(index, query) {
  return plain(query).split(/\s+/).every((word) => searchable[index].all.includes(word));
}

/** The alternatives and nouns that a query hit, where the name does not say it. */
function hits(index, query) {
  const words = plain(query).split(/\s+/).filter(Boolean);
  const [name, ...others] = searchable[index].words;
  if (!words.length || words.every((word) => plain(name).includes(word))) return [];
  const held = (other) => words.filter((word) => plain(other).includes(word)).length;
  return [...new Set(others)].filter(held).sort((a, b) => held(b) - held(a));
}
